"""A machine's configuration: just-in-time access on with the system's default, or off.

Each act is the use case that the API's ``machineRules`` calls, with its rights: writing
policies and the machine. What it takes to see the rules is the right to read policies.
What is not here: editing the policy and taking the machine out of it (``jit_configure``,
``jit_remove``).
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_READ, MACHINE_WRITE, POLICY_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.net import PortKey, TransportProtocol, parse_port_number
from bascule.errors import Conflict, InvalidInput
from bascule.interfaces.store import Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute
from bascule.portal.machine import default_rule, frame, path_of, read_machine, wanted_id
from bascule.portal.spans import words_of
from bascule.sentences import sentence
from bascule.services import machine_rules, unnamed_ports
from bascule.services.act import Act
from bascule.services.doubt import believe_point
from bascule.services.known_machine import known_machine
from bascule.services.policy_rights import check_may_set_rules

router = APIRouter(route_class=PortalRoute)

_MACHINE = "/portal/machines/{group}/{name}"
POLICY = "default"  # where one machine's rules go, as with the command line


@router.get(f"{_MACHINE}/configuration")
@decides(MACHINE_READ)
async def configuration(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)
    place = await visit.read(lambda reader: read_machine(visit, reader, wanted))
    return visit.show(
        "machine_configuration.html",
        **frame(visit, place, "configuration"),
        offered=default_rule(place.machine),
        span_words=words_of,
    )


@router.post(f"{_MACHINE}/configuration/enable")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def enable(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)
    await visit.perform(lambda tx, act: _enable(tx, act, visit, wanted))
    tab = "connect" if visit.form.text("then") == "connect" else "configuration"
    return visit.go(f"{path_of(wanted)}/{tab}", "jit_enabled")


def _enable(tx: Transaction, act: Act, visit: CurrentVisit, wanted: ResourceId) -> None:
    check_may_set_rules(tx, act, visit.subject, wanted)  # before anything is told of it
    machine = known_machine(tx, wanted)
    if any(stored.policy.rules_for(machine.id) for stored in tx.policies_naming(machine.id)):
        raise Conflict(
            sentence(
                "Just-in-time access is already enabled for {machine}. Nothing was changed.",
                machine=machine.id.name,
            ),
            code="JitEnabledAlready",
            advice="See its configuration, and edit the policy there.",
        )
    machine_rules.put_machine_rules(
        tx, act, visit.subject, machine.id, (default_rule(machine),), POLICY, ()
    )


@router.post(f"{_MACHINE}/configuration/release")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def release(visit: CurrentVisit, group: str, name: str) -> Response:
    """Let go the ports that the form names, and no other that has lost its policy since."""
    wanted = wanted_id(visit, group, name)
    ports = [_port(text) for text in visit.form.texts("port")]
    if not ports:
        raise InvalidInput("No port was selected to release. Nothing was changed.")
    await visit.perform(
        lambda tx, act: unnamed_ports.release_ports(tx, act, visit.subject, wanted, ports)
    )
    return visit.go(f"{path_of(wanted)}/configuration", "port_released")


@router.post(f"{_MACHINE}/configuration/take")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def take(visit: CurrentVisit, group: str, name: str) -> Response:
    """Close here too the ports that the form names, which the agent alone keeps closed."""
    wanted = wanted_id(visit, group, name)
    ports = [_port(text) for text in visit.form.texts("port")]
    if not ports:
        raise InvalidInput("No port was selected to keep closed. Nothing was changed.")
    await visit.perform(
        lambda tx, act: unnamed_ports.take_ports(tx, act, visit.subject, wanted, ports)
    )
    return visit.go(f"{path_of(wanted)}/configuration", "port_taken")


@router.post(f"{_MACHINE}/configuration/believe")
@decides(ENROLMENT_WRITE)
async def believe(visit: CurrentVisit, group: str, name: str) -> Response:
    """Take the agent's reports again that were not believed."""
    wanted = wanted_id(visit, group, name)
    await visit.perform(lambda tx, act: believe_point(tx, act, visit.subject, wanted))
    return visit.go(path_of(wanted), "point_believed")


def _port(text: str) -> PortKey:
    """As ``PortKey`` writes itself: 22/tcp. Raises InvalidInput."""
    number, _, protocol = text.strip().partition("/")
    kinds = {each.lower(): each for each in TransportProtocol}
    if protocol not in kinds or not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise InvalidInput(
            sentence("{text} is not a port such as 22/tcp.", text=repr(text[:20])),
            code="InvalidPort",
        )
    return PortKey(kinds[protocol], parse_port_number(int(number)))
