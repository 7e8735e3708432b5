"""Enforcement points: enrolment, the state that they are sent, and whether they are in contact.

EDGES A5, A12: a token is for one uid, short-lived, used once. What is not here: the reports that
settle grants (``reports``), and machines that are bound to further points (``bindings``).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import ENROLMENT_DELETE
from bascule.domain.bindings import Binding, GatewayInFront, InFront
from bascule.domain.desired import CUT_FOR, DesiredState, desired_state
from bascule.domain.facts.enrolments import (
    AgentEnrolled,
    AgentRemoved,
    EnrolmentCreated,
    EnrolmentRefused,
)
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import (
    EnforcementPoint,
    Machine,
    PointPart,
)
from bascule.domain.net import PortKey, PublicPort
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.domain.times import format_utc
from bascule.domain.told import known_part
from bascule.errors import AuthenticationFailed, Conflict
from bascule.interfaces.closed_ports import ClosedPortWrites, ToldPortReads
from bascule.interfaces.grants import ToldGrantReads
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.plans import PlanWrites
from bascule.interfaces.points import (
    AgentReads,
    Enrolment,
    EnrolmentReads,
    EnrolmentWrites,
    PointWrites,
)
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import IN_PROCESS_KEY, Act, new_id
from bascule.services.bindings import BindingActWrites, bind_anew, lose_point
from bascule.services.grants import GrantEndWrites, end_grants, touch
from bascule.services.guarded import Guarded, GuardedReads, guarded
from bascule.services.installation import subscription_of
from bascule.services.known_machine import known_machine
from bascule.services.left_behind import leave_behind
from bascule.services.made_once import check_not_made
from bascule.services.public_ports import forwarding_of, standing
from bascule.services.public_ports_told import mapped_at
from bascule.services.rights import Needed, denial, rights_of
from bascule.services.timeline import follow


class TokenPlaceReads(AgentReads, EnrolmentReads, MachineReads, Protocol):
    """An enrolment token, its machine and the point that is there."""


class EnrolWrites(
    GrantEndWrites,
    ClosedPortWrites,
    EnrolmentWrites,
    MachineReads,
    PlanWrites,
    PointWrites,
    Protocol,
):
    """Machines, their points and tokens, and what a new key ends."""


class AgentStateReads(
    GuardedReads, PolicyReads, PublicPortReads, ToldGrantReads, ToldPortReads, Protocol
):
    """What is wanted of one machine."""


class PointEndWrites(BindingActWrites, EnrolmentWrites, InventoryReads, Protocol):
    """A point, and what ends with it."""


MAXIMUM_TOKEN_LIFE = timedelta(minutes=15)


def hash_token(token: str) -> str:
    """Generated secrets are stored as SHA-256 (EDGES A27)."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_enrolment(
    tx: EnrolWrites,
    act: Act,
    machine_id: ResourceId,
    token_of: Callable[[str], str],
    valid_for: timedelta,
    *,
    replaces: bool,
    enrolment_id: str = "",
) -> tuple[Enrolment, str, Machine]:
    """Make a one-use token for one machine; returns what it is known by.

    ``token_of`` makes, for a machine uid, the public half of a token: here, ``token`` always means that,
    and whoever calls has checked that its private half was used (``protocol.signed``).
    ``enrolment_id`` is given by a form that makes the same text each time it is sent. Raises
    Conflict where the token could only be refused, and where that id was made before.
    """
    machine = known_machine(tx, machine_id)
    check_not_made(tx, act, enrolment_id)
    _require_usable(tx, machine, replaces=replaces)
    token = token_of(machine.uid)
    life = min(max(valid_for, timedelta(seconds=1)), MAXIMUM_TOKEN_LIFE)
    enrolment = Enrolment(
        enrolment_id or new_id(), machine.uid, hash_token(token), act.now + life, replaces
    )
    tx.add_enrolment(enrolment)
    act.record(
        tx,
        EnrolmentCreated(str(machine.id), enrolment.id, format_utc(enrolment.expires_at), replaces),
        machine.id,
    )
    return enrolment, token, machine


def _require_usable(tx: AgentReads, machine: Machine, *, replaces: bool) -> None:
    """Raise Conflict for a token that ``judge_enrolment`` would refuse by what is known now."""
    existing = tx.agent_of(machine.uid)
    if existing is None:
        return
    if existing.public_key == IN_PROCESS_KEY:
        raise Conflict(
            sentence(
                "The server protects {machine} itself (serve --this-host), so no agent "
                "can enrol for it.",
                machine=machine.id.name,
            ),
            code="GuardedByServer",
            advice="Start the server without --this-host and remove that enforcement point first.",
        )
    if not replaces:
        raise Conflict(
            sentence(
                "{machine} has an enrolled agent, so a new agent would be refused.",
                machine=machine.id.name,
            ),
            code="AgentEnrolled",
            advice=sentence(
                "To replace it, whether it runs or not: bascule machine enrol {machine} "
                "--replace. The old agent's key is then refused.",
                machine=machine.id.name,
            ),
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """An enrolment that is not to be; an answer, so that its event is kept."""

    why: str
    machine: Machine | None = field(default=None, compare=False)


def judge_enrolment(
    tx: TokenPlaceReads, token: str, public_key: str, now: datetime
) -> tuple[Enrolment, Machine] | Refused:
    """May that key have the machine that the token was made for?"""
    enrolment = tx.enrolment_by_hash(hash_token(token))
    if enrolment is None:
        return Refused("the token is not known")
    machine = tx.machine_by_uid(enrolment.machine_uid)
    if machine is None:
        return Refused("the machine of this token was deleted")
    existing = tx.agent_of(machine.uid)
    if enrolment.used_at is not None:
        if existing is not None and existing.public_key == public_key:
            return enrolment, machine  # the same agent again: killed before it read our answer
        return Refused("the token was already used", machine)
    if enrolment.expires_at <= now:
        return Refused("the token has expired", machine)
    if existing is not None and existing.public_key == IN_PROCESS_KEY:
        return Refused("the server protects this machine itself (serve --this-host)", machine)
    if existing is not None and not enrolment.replaces:
        return Refused("the machine has an enrolled agent; make the token with --replace", machine)
    return enrolment, machine


def enrol(
    tx: EnrolWrites,
    act: Act,
    token: str,
    public_key: str,
    agent_version: str,
    knows: frozenset[Feature] = KNOWN,
) -> Machine | Refused:
    """Bind a public key to the machine that the token was made for, once."""
    judged = judge_enrolment(tx, token, public_key, act.now)
    if isinstance(judged, Refused):
        return _refuse(tx, act, judged)
    enrolment, machine = judged
    if enrolment.used_at is not None:
        return machine
    if not tx.consume_enrolment(enrolment.id, act.now):
        return _refuse(tx, act, Refused("the token was already used", machine))
    before = tx.agent_of(machine.uid)
    if before is not None:  # of what the old agent has not heard, the new one is told
        for here in (before, *(each.at(before) for each in tx.bound_to(machine.uid))):
            for grant in tx.cut_grants(
                here.machine_uid, here.enrolled_at, here.observed_generation
            ):
                tx.mark_cut(grant.id, act.now)
    tx.put_enforcement_point(
        EnforcementPoint(
            machine.uid,
            public_key,
            act.now,
            agent_version=agent_version,
            knows=knows,
            managed_by=before.managed_by if before is not None else "",
        )
    )
    tx.delete_held_rules(machine.uid)  # the new point has reported nothing yet
    bind_anew(tx, act, machine)
    tx.forget_releases(machine.uid)  # what it finds closed here is let go anew, by name
    follow(tx, act, machine)
    touch(tx, act, machine.uid)
    fingerprint = hashlib.sha256(public_key.encode()).hexdigest()[:16]
    act.record(tx, AgentEnrolled(str(machine.id), machine.uid, fingerprint), machine.id)
    return machine


def _refuse(tx: EventWrites, act: Act, refused: Refused) -> Refused:
    name = str(refused.machine.id) if refused.machine else ""
    act.record(tx, EnrolmentRefused(name, refused.why), name)
    return refused


def remove_point(tx: PointEndWrites, act: Act, subject: Subject, machine_uid: str) -> bool:
    """Refuse an agent's key from now on and end its machine's grants; False when there is none.

    Raises Forbidden if the caller may not do so at the machine, and also for an unknown uid, so
    that a refusal does not reveal whose uid it is.

    Nothing opens by it: an agent that is refused closes every opening and keeps the ports
    closed (EDGES A12), until it is uninstalled on the host or another is enrolled. Tokens
    that were made for the machine and not used yet are void too.
    """
    machine = tx.machine_by_uid(machine_uid)
    whole = subscription_scope(subscription_of(tx))
    scope = resource_scope(machine.id) if machine is not None else whole
    if not rights_of(tx, subject.principal_id, act.now).may(ENROLMENT_DELETE, scope):
        raise denial(tx, subject, [Needed(ENROLMENT_DELETE, whole)])
    if machine is None or tx.agent_of(machine_uid) is None:
        return False
    lose_point(tx, act, machine_uid)
    live = tx.live_grants([machine_uid])
    end_grants(tx, act, live, StatusReason.USER_REQUESTED, f"removal of the agent of {machine.id}")
    for each in tx.bindings_of(machine_uid):
        if each.is_own:  # a gateway guards it too, and its word alone would close what is open
            leave_behind(tx, act, machine, each)
    tx.delete_enforcement_point(machine_uid)
    tx.delete_enrolments(machine_uid)
    touch(tx, act, machine_uid)  # its line ends, at other processes too
    follow(tx, act, machine)
    act.record(tx, AgentRemoved(str(machine.id), machine_uid), machine.id)
    return True


def state_for(
    tx: AgentStateReads,
    point_uid: str,
    now: datetime,
    machine_uid: str = "",
    knows: frozenset[Feature] | None = None,
) -> tuple[Machine, DesiredState]:
    """What an enforcement point is to hold of a machine at ``now``, its own unless one is named.

    ``knows`` is what the agent that asks says that it knows; None: what it said when it reported.

    Raises AuthenticationFailed when the point is unknown, Forbidden when it does not guard the
    machine.
    """
    found = guarded_by(tx, point_uid, machine_uid or point_uid)
    return found.machine, state_of(tx, found, now, knows)


def guarded_by(tx: GuardedReads, point_uid: str, machine_uid: str) -> Guarded:
    """Raises as ``state_for``."""
    found = guarded(tx, point_uid, machine_uid)
    if found is None:
        raise AuthenticationFailed("This agent's machine no longer exists.", code="AgentUnknown")
    return found


def state_of(
    tx: AgentStateReads, found: Guarded, now: datetime, knows: frozenset[Feature] | None
) -> DesiredState:
    """``state_for``, of a point and a machine that were read in the same transaction."""
    machine_uid, point = found.machine.uid, found.here
    live, cuts, drained = tx.told_grants(
        machine_uid, now, now - CUT_FOR, point.enrolled_at, point.observed_generation
    )
    here = found.binding
    if here is not None:
        drained = [each for each in drained if here.point_uid not in each.withdrawn]
        live = [each for each in live if here.is_told(each, now)]
    closed, released = tx.told_ports(machine_uid)
    wanted = desired_state(
        machine_uid,
        found.generation,
        closed,
        released,
        () if point.lacks("ends_leases") else live,
        now,
        cuts,
        point.observed_generation,
        drained,
    )
    told = known_part(wanted, point.knows if knows is None else knows)
    where = found.where and replace(found.where, name=found.machine.id.name)
    if where is not None and where.addresses:
        mapped = mapped_at(tx, machine_uid, found.agent.machine_uid)
        where = replace(where, mapped=mapped)
    return replace(told, where=where, in_front=_in_front(tx, found))


def _in_front(tx: AgentStateReads, found: Guarded) -> InFront | None:
    """What the machine's own agent is told of the gateways in front of it."""
    gateways = [each for each in found.bound if not each.is_own]
    if not found.is_own or not any(each.answered_by for each in gateways):
        return None
    machine, mapped = found.machine, defaultdict[str, dict[PortKey, tuple[PublicPort, ...]]](dict)
    for claim in standing(tx, machine.uid):
        there = mapped[claim.point_uid]
        there[claim.port] = (*there.get(claim.port, ()), claim.public)
    names = tx.machines_of([each.point_uid for each in gateways])

    def told(here: Binding, agent: EnforcementPoint) -> GatewayInFront:
        gives, uid = forwarding_of(agent.guard), here.point_uid
        versions = {each.version for each in gives.addresses} if gives.first else set[int]()
        return GatewayInFront(
            uid,
            tuple(sorted(here.answered_by, key=str)),
            mapped[uid],
            frozenset(versions & {each.version for each in here.addresses}),
            here.is_parallel,
            here.trusts_route,
            names[uid].id.name if uid in names else "",
        )

    return InFront(
        tuple(told(here, agent) for here, agent in tx.gateways_of([machine.uid])),
        tuple(dict.fromkeys(address for each in gateways for address in each.addresses)),
        is_for_all=any(
            source.network is None
            for _, rules in tx.rules_at([machine.id])
            for rule in rules.ports
            for source in rule.sources
        ),
    )


def is_online(point: EnforcementPoint, now: datetime) -> bool:
    return point.last_contact_at is not None and now - point.last_contact_at <= SILENCE_BOUND


def is_heard_part(part: PointPart, now: datetime) -> bool:
    return part.last_contact_at is not None and now - part.last_contact_at <= SILENCE_BOUND


def is_enforced(point: EnforcementPoint | None, now: datetime) -> bool:
    """Is it known what holds there: its point is heard, and can enforce?"""
    return point is not None and point.is_enforcing and is_online(point, now)
