"""Rows of enforcement points (``agents``), of which machines they guard beside their own
(``bindings``), and of their enrolments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)

from bascule.domain.bindings import Binding, together
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.capabilities import ABILITIES, Capabilities, Latency
from bascule.domain.features import Feature
from bascule.domain.machine import ClosedPort, EnforcementPoint, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.shadows import PAST_US
from bascule.domain.weaknesses import Weakness
from bascule.interfaces.listing import Access
from bascule.interfaces.points import Contact, Enrolment
from bascule.store import tables as t
from bascule.store.listed import Listed
from bascule.store.rows import Rows, slices
from bascule.store.tables.lines import point_lines
from bascule.store.tables.listing import listed_machines
from bascule.store.tables.plans import held_rules

_MILLISECOND = timedelta(milliseconds=1)
_AGENT = select(t.agents).where(t.agents.c.machine_uid == bindparam("wanted"))
_AGENTS = select(t.agents).where(t.agents.c.machine_uid.in_(bindparam("wanted", expanding=True)))


_IN_ORDER = (
    t.bindings.c.machine_uid,
    t.bindings.c.point_uid != t.bindings.c.machine_uid,  # its own agent first
    t.bindings.c.point_uid,
)
_BINDINGS = (
    select(t.bindings)
    .where(t.bindings.c.machine_uid.in_(bindparam("wanted", expanding=True)))
    .order_by(*_IN_ORDER)
)
# Asked whenever a machine's point is, and nearly always empty.
_BINDINGS_OF = (
    select(t.bindings).where(t.bindings.c.machine_uid == bindparam("wanted")).order_by(*_IN_ORDER)
)
_BOUND = (
    select(t.bindings)
    .where(
        t.bindings.c.point_uid == bindparam("wanted"),
        t.bindings.c.machine_uid != t.bindings.c.point_uid,
    )
    .order_by(t.bindings.c.machine_uid)
)


_POINTS = select(func.count().label("points")).select_from(t.agents)


_NETWORKS = select(t.agents.c.machine_uid, t.agents.c.network, t.agents.c.last_contact_at).where(
    t.agents.c.last_contact_at >= bindparam("since"), t.agents.c.network != ""
)


def is_noted_silent(point_uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Do lists show the machine of that point as silent?"""
    return exists().where(
        listed_machines.c.machine_uid == point_uid, listed_machines.c.is_silent.is_(True)
    )


def _is_moved_by_contact(
    stored: Column[datetime], point_uid: ColumnElement[str]
) -> ColumnElement[bool]:
    """Later than what is stored; within the silence bound of it if the point was noted as silent.
    Or what is stored cannot be.
    """
    is_heard = or_(stored >= bindparam("since"), not_(is_noted_silent(point_uid)))
    return or_(and_(stored < bindparam("at"), is_heard), stored > bindparam("now"))


_HAS_KEY = (
    t.agents.c.machine_uid == bindparam("point"),
    t.agents.c.public_key == bindparam("key"),
)
_CONTACT = (
    update(t.agents)
    .where(*_HAS_KEY, _is_moved_by_contact(t.agents.c.last_contact_at, t.agents.c.machine_uid))
    .values(last_contact_at=bindparam("at"), network=bindparam("from"))
)
# Of connections at all servers, where there are several.
_IS_NEWEST = exists().where(
    point_lines.c.point_uid == bindparam("point"), point_lines.c.number == bindparam("line")
)
# Since it was bound: what was reported came by no beat that still counted.
_IS_FIRST_CONTACT = and_(
    t.bindings.c.reported_at.is_(None),
    t.bindings.c.bound_at <= bindparam("at"),
    not_(is_noted_silent(t.bindings.c.point_uid)),
)
_BOUND_CONTACT = (
    update(t.bindings)
    .where(
        t.bindings.c.point_uid == bindparam("point"),
        t.bindings.c.machine_uid == bindparam("machine"),
        or_(
            _is_moved_by_contact(t.bindings.c.reported_at, t.bindings.c.point_uid),
            _IS_FIRST_CONTACT,
        ),
        exists().where(*_HAS_KEY),
    )
    .values(reported_at=bindparam("at"))
)
_LINE_CONTACT, _BOUND_LINE_CONTACT = _CONTACT.where(_IS_NEWEST), _BOUND_CONTACT.where(_IS_NEWEST)


class FleetReads(Rows):
    __slots__ = ()

    def count_enforcement_points(self) -> int:
        row = self._first(_POINTS)
        return 0 if row is None else int(row.points)

    def agent_of(self, point_uid: str) -> EnforcementPoint | None:
        row = self._first(_AGENT, {"wanted": point_uid})
        return None if row is None else point_of_row(row)

    def _agents_of(self, point_uids: Sequence[str]) -> dict[str, EnforcementPoint]:
        return {
            row.machine_uid: point_of_row(row)
            for some in slices(point_uids)
            for row in self._all(_AGENTS, {"wanted": some})
        }

    def enforcement_point(self, machine_uid: str) -> EnforcementPoint | None:
        bound = self.bindings_of(machine_uid)
        if not bound:
            return self.agent_of(machine_uid)
        return together([each.at(point) for each, point in self._with_points(bound)])

    def points_of(self, machine_uids: Sequence[str]) -> Mapping[str, EnforcementPoint]:
        found = self._agents_of(machine_uids)
        bound: dict[str, list[EnforcementPoint]] = {}
        for some in slices(machine_uids):
            rows = [binding_of_row(row) for row in self._all(_BINDINGS, {"wanted": some})]
            for each, point in self._with_points(rows):
                bound.setdefault(each.machine_uid, []).append(each.at(point))
        return {**found, **{uid: together(points) for uid, points in bound.items()}}

    def gateways_of(
        self, machine_uids: Sequence[str]
    ) -> Sequence[tuple[Binding, EnforcementPoint]]:
        rows = [
            found
            for some in slices(machine_uids)
            for row in self._all(_BINDINGS, {"wanted": some})
            if not (found := binding_of_row(row)).is_own
        ]
        return self._with_points(rows)

    def _with_points(self, bindings: Sequence[Binding]) -> list[tuple[Binding, EnforcementPoint]]:
        points = self._agents_of(sorted({each.point_uid for each in bindings}))
        return [(each, points[each.point_uid]) for each in bindings]

    def bindings_of(self, machine_uid: str) -> Sequence[Binding]:
        return [binding_of_row(row) for row in self._all(_BINDINGS_OF, {"wanted": machine_uid})]

    def bound_to(self, point_uid: str) -> Sequence[Binding]:
        return [binding_of_row(row) for row in self._all(_BOUND, {"wanted": point_uid})]

    def enforcement_points(
        self, after: str = "", limit: int | None = None
    ) -> Sequence[EnforcementPoint]:
        wanted = select(t.agents).where(t.agents.c.machine_uid > after)
        ordered = wanted.order_by(t.agents.c.machine_uid).limit(limit)
        return [point_of_row(row) for row in self._all(ordered)]

    def points_last_heard(
        self, since: datetime | None, until: datetime
    ) -> Sequence[EnforcementPoint]:
        wanted = select(t.agents).where(t.agents.c.last_contact_at < until)
        if since is not None:
            wanted = wanted.where(t.agents.c.last_contact_at >= since)
        return [point_of_row(row) for row in self._all(wanted.order_by(t.agents.c.machine_uid))]

    def networks_of_points(self, since: datetime) -> Mapping[str, tuple[str, datetime]]:
        rows = self._all(_NETWORKS, {"since": since})
        return {row.machine_uid: (row.network, row.last_contact_at) for row in rows}

    def enrolment_by_hash(self, token_hash: str) -> Enrolment | None:
        row = self._first(select(t.enrolments).where(t.enrolments.c.token_hash == token_hash))
        if row is None:
            return None
        return Enrolment(
            id=row.id,
            machine_uid=row.machine_uid,
            token_hash=row.token_hash,
            expires_at=row.expires_at,
            replaces=row.replaces,
            used_at=row.used_at,
        )


class FleetWrites(FleetReads, Listed):
    __slots__ = ()

    def put_enforcement_point(self, point: EnforcementPoint) -> None:
        before = self.agent_of(point.machine_uid)
        self._put_agent(point)
        self._follow(point.machine_uid)
        # Nearly every report of a gateway says nothing of this; it may guard a thousand machines.
        if before is None or _shown_behind(before) != _shown_behind(point):
            for each in self.bound_to(point.machine_uid):
                self._follow(each.machine_uid)

    def put_point_alone(self, point: EnforcementPoint, access: Access | None = None) -> None:
        self._put_agent(point)
        self._follow_point(point, access)

    def _put_agent(self, point: EnforcementPoint) -> None:
        low, high = point.local_port_range or (None, None)
        self._put(
            t.agents,
            {"machine_uid": point.machine_uid},
            {
                "public_key": point.public_key,
                "enrolled_at": point.enrolled_at,
                "observed_generation": point.observed_generation,
                "last_contact_at": point.last_contact_at,
                "agent_version": point.agent_version,
                "local_port_low": low,
                "local_port_high": high,
                "weaknesses": [[each.code, dict(each.arguments)] for each in point.weaknesses],
                "blocked_attempts": point.blocked_attempts,
                "counted_at": point.counted_at,
                "facts": dict(point.facts),
                "flushed_by": point.flushed_by,
                "managed_by": point.managed_by,
                "knows": sorted(point.knows),
                "not_enforced_since": point.not_enforced_since,
                "doubted_since": point.doubted_since,
                "believed_since": point.believed_since,
                "clock_skew_ms": None
                if point.clock_skew is None
                else point.clock_skew // _MILLISECOND,
                "guard": None if point.guard is None else _guard_row(point.guard),
                "driver": point.driver,
                "capabilities": None
                if point.capabilities is None
                else _capabilities_row(point.capabilities),
                "acknowledged": point.acknowledged,
            },
        )

    def forget_acknowledged(self, point_uid: str) -> None:
        here = (t.agents.c.machine_uid == point_uid, t.agents.c.acknowledged != "")
        self._run(update(t.agents).where(*here).values(acknowledged=""))

    def put_contacts(self, contacts: Sequence[Contact], now: datetime, silence: timedelta) -> None:
        told = [
            (
                each,
                {
                    "point": each.point_uid,
                    "key": each.public_key,
                    "at": each.at,
                    "since": each.at - silence,
                    "now": now,
                },
            )
            for each in contacts
        ]
        self._note_contacts(_CONTACT, _BOUND_CONTACT, [each for each in told if not each[0].line])
        of_lines = [(each, {**row, "line": each.line}) for each, row in told if each.line]
        self._note_contacts(_LINE_CONTACT, _BOUND_LINE_CONTACT, of_lines)

    def _note_contacts(
        self, own: Update, behind: Update, told: Sequence[tuple[Contact, dict[str, Any]]]
    ) -> None:
        if told:
            self._run(own, [{**row, "from": each.network} for each, row in told])
        bound = [{**row, "machine": uid} for each, row in told for uid in sorted(each.machine_uids)]
        if bound:
            self._run(behind, bound)

    def delete_enforcement_point(self, machine_uid: str) -> None:
        others = [each.machine_uid for each in self.bound_to(machine_uid)]
        self._run(delete(t.agents).where(t.agents.c.machine_uid == machine_uid))
        self._run(delete(held_rules).where(held_rules.c.machine_uid == machine_uid))
        for uid in (machine_uid, *others):
            self._follow(uid)

    def put_binding(self, binding: Binding) -> None:
        self._put(
            t.bindings,
            {"machine_uid": binding.machine_uid, "point_uid": binding.point_uid},
            {
                "bound_at": binding.bound_at,
                "reported_at": binding.reported_at,
                "generation": binding.generation,
                "failed_since": binding.failed_since,
                "in_force": sorted(binding.in_force),
                "closed": [
                    [str(each.port.protocol), each.port.number, str(each.on_expiry)]
                    for each in sorted(binding.closed, key=lambda each: each.port)
                ],
                "addresses": [str(each) for each in binding.addresses],
                "former": sorted(str(each) for each in binding.former),
                "released": {str(each): since for each, since in binding.released.items()},
                "is_parallel": binding.is_parallel,
                "answered_by": sorted(str(each) for each in binding.answered_by),
                "trusts_route": binding.trusts_route,
            },
        )
        self._follow(binding.machine_uid)

    def delete_binding(self, machine_uid: str, point_uid: str) -> None:
        here = (t.bindings.c.machine_uid == machine_uid, t.bindings.c.point_uid == point_uid)
        self._run(delete(t.bindings).where(*here))
        self._follow(machine_uid)

    def _follow(self, machine_uid: str) -> None:
        """What lists tell of what guards a machine."""
        point = self.enforcement_point(machine_uid)
        if point is None:
            self._lose_point(machine_uid)
        else:
            self._follow_point(point)

    def delete_enrolments(self, machine_uid: str) -> None:
        self._run(delete(t.enrolments).where(t.enrolments.c.machine_uid == machine_uid))

    def add_enrolment(self, enrolment: Enrolment) -> None:
        self._run(
            t.enrolments.insert(),
            {
                "id": enrolment.id,
                "machine_uid": enrolment.machine_uid,
                "token_hash": enrolment.token_hash,
                "expires_at": enrolment.expires_at,
                "replaces": enrolment.replaces,
                "used_at": enrolment.used_at,
            },
        )

    def consume_enrolment(self, enrolment_id: str, now: datetime) -> bool:
        """Whether it is too old is for the caller, who says so otherwise than "used"."""
        unused = (t.enrolments.c.id == enrolment_id, t.enrolments.c.used_at.is_(None))
        return self._run(update(t.enrolments).where(*unused).values(used_at=now)) == 1


def _shown_behind(point: EnforcementPoint) -> tuple[object, ...]:
    """What lists tell of a point at the machines that are bound to it (``listed._follow_point``);
    how far each of those has come is its binding's.
    """
    return (
        point.flushed_by,
        point.is_enforcing,
        point.last_contact_at is None,
        point.manager is None,
        {
            (each.arguments.get("port", ""), each.shadow)
            for each in point.weaknesses
            if each.shadow in PAST_US
        },
    )


def binding_of_row(row: Row[Any]) -> Binding:
    return Binding(
        row.machine_uid,
        row.point_uid,
        row.bound_at,
        row.reported_at,
        row.generation,
        row.failed_since,
        frozenset(row.in_force),
        frozenset(
            ClosedPort(PortKey(TransportProtocol(protocol), number), OnExpiry(on_expiry))
            for protocol, number, on_expiry in row.closed
        ),
        tuple(ip_address(each) for each in row.addresses),
        frozenset(ip_address(each) for each in row.former),
        {ip_address(each): since for each, since in row.released.items()},
        row.is_parallel,
        frozenset(ip_address(each) for each in row.answered_by),
        row.trusts_route,
    )


def point_of_row(row: Row[Any]) -> EnforcementPoint:
    has_range = row.local_port_low is not None
    return EnforcementPoint(
        machine_uid=row.machine_uid,
        public_key=row.public_key,
        enrolled_at=row.enrolled_at,
        observed_generation=row.observed_generation,
        last_contact_at=row.last_contact_at,
        agent_version=row.agent_version,
        local_port_range=(row.local_port_low, row.local_port_high) if has_range else None,
        weaknesses=tuple(Weakness(code, told) for code, told in row.weaknesses),
        blocked_attempts=row.blocked_attempts,
        counted_at=row.counted_at,
        facts=row.facts,
        flushed_by=row.flushed_by,
        managed_by=row.managed_by,
        knows=frozenset(Feature) & frozenset(row.knows),
        not_enforced_since=row.not_enforced_since,
        doubted_since=row.doubted_since,
        believed_since=row.believed_since,
        clock_skew=None if row.clock_skew_ms is None else row.clock_skew_ms * _MILLISECOND,
        guard=None if row.guard is None else _guard(row.guard),
        driver=row.driver,
        capabilities=None if row.capabilities is None else _capabilities(row.capabilities),
        acknowledged=row.acknowledged,
    )


def _capabilities_row(found: Capabilities) -> dict[str, Any]:
    has = [name for name in ABILITIES if name not in found.missing]
    return {"has": has, "latency": str(found.latency)}


def _capabilities(row: Mapping[str, Any]) -> Capabilities:
    """An ability that no row tells of is not there."""
    return Capabilities.having(row["has"], Latency(row["latency"]))


def _guard_row(guard: Guard) -> dict[str, Any]:
    longest = guard.max_duration
    return {
        "ports": None
        if guard.ports is None
        else [[str(port.protocol), port.number] for port in guard.ports],
        "sources": None if guard.sources is None else [str(each) for each in guard.sources],
        "maxDurationMs": None if longest is None else longest // _MILLISECOND,
        "mayRelease": guard.may_release,
        "problem": guard.problem,
        "maxDrainMs": None if guard.max_drain is None else guard.max_drain // _MILLISECOND,
        "forwarding": None
        if guard.forwarding is None
        else {
            "networks": [str(each) for each in guard.forwarding.networks],
            "addresses": [str(each) for each in guard.forwarding.addresses],
            "first": guard.forwarding.first,
            "last": guard.forwarding.last,
        },
    }


def _guard(row: Mapping[str, Any]) -> Guard:
    ports, sources, longest = row["ports"], row["sources"], row["maxDurationMs"]
    drain = row.get("maxDrainMs")
    return Guard(
        None
        if ports is None
        else tuple(PortKey(TransportProtocol(name), number) for name, number in ports),
        None if sources is None else tuple(AddressPrefix.parse(each) for each in sources),
        None if longest is None else longest * _MILLISECOND,
        row["mayRelease"],
        row["problem"],
        None if row.get("forwarding") is None else _forwarding(row["forwarding"]),
        None if drain is None else drain * _MILLISECOND,
    )


def _forwarding(row: Mapping[str, Any]) -> Forwarding:
    return Forwarding(
        tuple(AddressPrefix.parse(each) for each in row["networks"]),
        tuple(ip_address(each) for each in row["addresses"]),
        row["first"],
        row["last"],
    )
