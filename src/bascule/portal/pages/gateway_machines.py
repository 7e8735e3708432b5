"""Several machines are put behind one gateway at once, all or none (EDGES F3, G2).

Each is bound by the use case that the API calls, with its rights, in one transaction. What is not here:
one machine's gateways, which are changed and released there (``machine_gateways``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE
from bascule.domain.machine import Machine
from bascule.domain.net import Address, parse_address
from bascule.domain.scopes import resource_scope
from bascule.errors import InvalidInput, Problem
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import PortalRoute, Visit
from bascule.portal.machine_named import machine_named
from bascule.portal.pages.machine_gateways import check_new, is_parallel_in, order_field
from bascule.portal.pages.points import POINTS, read_point, why_not_behind
from bascule.portal.plain_forms import Field, Form, add_form
from bascule.sentences import sentence
from bascule.services import bindings
from bascule.services.act import Act
from bascule.services.rights import Needed, check

router = APIRouter(route_class=PortalRoute)

MOST = 100  # machines of one form
LONGEST = 20_000  # characters of it
_FIELD = "machines"


@dataclass(frozen=True, slots=True)
class Line:
    """A machine as the form names it, and where it is behind the gateway; nowhere: at its own addresses."""

    name: str
    addresses: tuple[Address, ...]


async def _gateway(visit: Visit) -> Machine:
    uid = str(visit.request.path_params["uid"])
    return await visit.read(lambda reader: read_point(reader, visit, uid).machine)


def _form(visit: Visit, gateway: Machine) -> Form:
    t = visit.words
    page = f"{POINTS}/{gateway.uid}"
    return Form(
        t("Put machines behind {gateway}", gateway=gateway.id.name),
        t("Put behind the gateway"),
        page,
        (
            Field(
                _FIELD,
                t("Machines"),
                kind="textarea",
                hint=t(
                    "One a line: its name, or group/name; then, if they are others than its own, the "
                    "addresses to which the gateway forwards, for example: db-1 10.1.0.20"
                ),
                is_required=True,
                longest=LONGEST,
            ),
            order_field(visit, is_parallel=False),
        ),
        effects=(
            t("Open access to these machines ends."),
            t("Only what passes the gateway is judged there."),
            t("In series, a port is then open only when the gateway has opened it too."),
        ),
        why_not=why_not_behind(visit, gateway),
        trail=((t("Enforcement points"), POINTS), (gateway.id.name, page)),
    )


def read_lines(text: str) -> list[Line]:
    """Raises InvalidInput with all that is wrong of the lines."""
    found: dict[str, Line] = {}
    problems: list[Problem] = []
    words = (re.findall(r"[^\s,;]+", each) for each in text.splitlines())
    for name, *addresses in filter(None, words):
        try:
            line = Line(name, tuple(parse_address(each, _FIELD) for each in addresses))
        except InvalidInput as error:
            problems.append(Problem(error.specific_code or error.code, error.message, _FIELD))
            continue
        if name.casefold() in found:
            twice = sentence("{machine} is named twice.", machine=name)
            problems.append(Problem("MachineNamedTwice", twice, _FIELD))
        found[name.casefold()] = line
    if len(found) > MOST:
        many = sentence("Name at most {most} machines at a time.", most=MOST)
        problems.append(Problem("TooManyMachines", many, _FIELD))
    if not found and not problems:
        problems.append(Problem("MissingField", sentence("Name a machine."), _FIELD))
    if problems:
        raise InvalidInput.of(problems)
    return list(found.values())


def _machines(visit: Visit, reader: Reader, lines: Sequence[Line]) -> list[tuple[Machine, Line]]:
    """Raises InvalidInput with each name that is unknown, and each machine that is nowhere."""
    found: list[tuple[Machine, Line]] = []
    problems: list[Problem] = []
    for line in lines:
        try:
            machine = machine_named(visit, reader, line.name, _FIELD)
        except InvalidInput as error:
            text = sentence("{name}: {why}", name=line.name, why=error.message)
            problems.append(Problem(error.specific_code or error.code, text, _FIELD))
            continue
        where = line.addresses or machine.addresses
        if not where or len({each.version for each in where}) < len(where):
            text = sentence(
                "Give the address of {machine} behind the gateway: one IPv4 and one IPv6 address at most.",
                machine=machine.id.name,
            )
            problems.append(Problem("InvalidAddress", text, _FIELD))
        found.append((machine, Line(line.name, where)))
    if problems:
        raise InvalidInput.of(problems)
    return found


async def _bind(visit: Visit, gateway: Machine) -> Response:
    text = visit.form.raw(_FIELD)[:LONGEST]
    is_parallel = is_parallel_in(visit)

    def find(reader: Reader) -> list[tuple[Machine, Line]]:
        """Who may not name an address at the gateway learns nothing of machines."""
        check(reader, visit.subject, visit.now, [Needed(MACHINE_WRITE, resource_scope(gateway.id))])
        return _machines(visit, reader, read_lines(text))

    named = await visit.read(find)

    def work(tx: Transaction, act: Act) -> None:
        for machine, line in named:
            check_new(tx, machine, gateway)
            bindings.bind(
                tx,
                act,
                visit.subject,
                machine.id,
                gateway.uid,
                line.addresses,
                is_parallel=is_parallel,
            )

    await visit.perform(work)
    return visit.go(f"{POINTS}/{gateway.uid}", "machines_bound")


add_form(
    router,
    f"{POINTS}/{{uid}}/machines",
    ENROLMENT_WRITE,
    _gateway,
    _form,
    _bind,
    is_kept=True,
    is_at_subscription=False,
)
