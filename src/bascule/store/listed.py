"""How the rows of ``listed_machines`` follow the tables that they are derived from.

The other parts of the store call this when they write what a row follows from; the store's
contract compares each row with what it should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import (
    Boolean,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from bascule.domain.classify import Trait, is_managed, tags_key
from bascule.domain.grant import Grant
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.shadows import past_us
from bascule.interfaces.listing import KEPT, Access, ListKind
from bascule.store import tables as t
from bascule.store.columns import Instant, from_microseconds
from bascule.store.rows import Rows, slices
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.tables.listing import recent_window

MANAGED, NAMED = Trait.MANAGED, Trait.NAMED
OF_POINT = Trait.POINT | Trait.FLUSHED | Trait.ELSEWHERE  # what its point tells
NEVER = from_microseconds(0)
_NOTHING: Mapping[ListKind, object] = {
    ListKind.TEXT: "",
    ListKind.NUMBER: 0,
    ListKind.INSTANT: NEVER,
}
_UNTOUCHED = {
    name: _NOTHING[each.kind] for each in KEPT for name in (each.kept, each.ordered_by)
}  # what is kept of a machine where nothing has happened

_NAMED_BY_POLICY = exists().where(
    t.policy_machines.c.machine_key == listed.c.id_key,
    t.policy_ports.c.policy_key == t.policy_machines.c.policy_key,
    t.policy_ports.c.machine_position == t.policy_machines.c.position,
)
_IS_NAMED = case((_NAMED_BY_POLICY, NAMED), else_=0)
_GENERATION = func.coalesce(
    select(t.machine_generations.c.generation)
    .where(t.machine_generations.c.machine_uid == listed.c.machine_uid)
    .scalar_subquery(),
    0,
)
_IS_HERE = listed.c.machine_uid == bindparam("here")
_WITHOUT_NAMED = listed.c.traits.op("&")(MANAGED | OF_POINT)
_FOLLOW_POLICIES = (
    update(listed)
    .where(listed.c.id_key.in_(bindparam("keys", expanding=True)))
    .values(traits=_WITHOUT_NAMED.op("|")(_IS_NAMED))
)
_FOLLOW_MACHINE = (
    update(listed)
    .where(_IS_HERE)
    .values(
        id_key=bindparam("new_id_key"),
        name_key=bindparam("new_name_key"),
        group_key=bindparam("new_group_key"),
        os_type=bindparam("new_os_type"),
        tags_key=bindparam("new_tags_key"),
        traits=listed.c.traits.op("&")(OF_POINT | NAMED).op("|")(bindparam("managed")),
    )
)
_WAS_POINT = listed.c.traits.op("&")(OF_POINT)
_IS_BEHIND = bindparam("observed") < _GENERATION
# A point is written every few seconds; the row only when something of it is new.
_FOLLOW_POINT = (
    update(listed)
    .where(
        _IS_HERE,
        or_(
            bindparam("bits") != _WAS_POINT,
            listed.c.is_silent != bindparam("silent", type_=Boolean),
            listed.c.is_behind != _IS_BEHIND,
            listed.c.shadow != bindparam("shadow_now"),
        ),
    )
    .values(
        traits=listed.c.traits.op("&")(MANAGED | NAMED).op("|")(bindparam("bits")),
        is_silent=bindparam("silent", type_=Boolean),
        is_behind=_IS_BEHIND,
        shadow=bindparam("shadow_now"),
    )
)
_LET_IN = ("last_access_at", "last_user_id", "last_user", "last_user_key")
_NOTE_ACCESS = update(listed).where(_IS_HERE).values({n: bindparam(n) for n in _LET_IN})
_FOLLOW_POINT_AND_ACCESS = (
    update(listed)
    .where(_IS_HERE)
    .values(
        traits=listed.c.traits.op("&")(MANAGED | NAMED).op("|")(bindparam("bits")),
        is_silent=bindparam("silent", type_=Boolean),
        is_behind=_IS_BEHIND,
        shadow=bindparam("shadow_now"),
        **{n: bindparam(n) for n in _LET_IN},
    )
)
_LOSE_POINT = (
    update(listed)
    .where(_IS_HERE)
    .values(
        traits=listed.c.traits.op("&")(MANAGED | NAMED),
        is_silent=False,
        is_behind=False,
        shadow="",
    )
)
_FALL_BEHIND = (
    update(listed)
    .where(_IS_HERE, listed.c.is_behind.is_(False), listed.c.traits.op("&")(Trait.POINT) != 0)
    .values(is_behind=True)
)
_WINDOW = func.coalesce(
    select(recent_window.c.begins_at).scalar_subquery(), literal(NEVER, Instant)
)
_IS_RECENT = bindparam("started_at", type_=Instant) >= type_coerce(_WINDOW, Instant)
_FOLLOW_REQUEST = (
    update(listed)
    .where(_IS_HERE)
    .values(
        is_behind=or_(listed.c.is_behind, listed.c.traits.op("&")(Trait.POINT) != 0),
        recent_requests=listed.c.recent_requests + case((_IS_RECENT, 1), else_=0),
    )
)
_FOLLOW_PORTS = (
    update(listed)
    .where(_IS_HERE)
    .values(
        is_closed=exists().where(
            t.closed_ports.c.machine_uid == listed.c.machine_uid,
            t.closed_ports.c.is_released.is_(False),
        )
    )
)
_COUNT_REQUEST = (
    update(listed)
    .where(
        _IS_HERE,
        _IS_RECENT,
        ~exists().where(
            t.grants.c.request_id == bindparam("request"),
            t.grants.c.machine_uid == listed.c.machine_uid,
            t.grants.c.id != bindparam("grant"),
        ),
    )
    .values(recent_requests=listed.c.recent_requests + 1)
)


class Listed(Rows):
    """Called in the transaction of what is written."""

    __slots__ = ()

    def _list_machine(self, machine: Machine) -> None:
        values = {
            "id_key": machine.id.key,
            "name_key": machine.id.name.casefold(),
            "group_key": machine.id.resource_group.casefold(),
            "os_type": machine.os_type,
            "tags_key": tags_key(machine.tags),
        }
        bits = MANAGED if is_managed(machine.tags) else Trait(0)
        new = {f"new_{name}": value for name, value in values.items()}
        if self._run(_FOLLOW_MACHINE, {"here": machine.uid, "managed": bits, **new}):
            return
        self._run(
            listed.insert(),
            {
                "machine_uid": machine.uid,
                **values,
                "traits": bits,
                "is_closed": False,
                "is_silent": False,
                "is_behind": False,
                "shadow": "",
                "last_user_id": "",
                **_UNTOUCHED,
            },
        )
        self._follow_policies([machine.id.key])

    def _follow_policies(self, machine_keys: Iterable[str]) -> None:
        """What policies name was written for these machines."""
        for some in slices(sorted(set(machine_keys))):
            self._run(_FOLLOW_POLICIES, {"keys": some})

    def _follow_point(self, point: EnforcementPoint, access: Access | None = None) -> None:
        now = {
            "here": point.machine_uid,
            "bits": Trait.POINT
            | (Trait.FLUSHED if point.flushed_by else 0)
            | (Trait.ELSEWHERE if point.managers else 0),
            "silent": point.last_contact_at is None or not point.is_enforcing,
            "observed": point.observed_generation,
            "shadow_now": past_us(point.weaknesses) or "",
        }
        if access is None:
            self._run(_FOLLOW_POINT, now)
        else:
            self._run(_FOLLOW_POINT_AND_ACCESS, {**now, **_let_in(access)})

    def note_access(self, machine_uid: str, access: Access) -> None:
        self._run(_NOTE_ACCESS, {"here": machine_uid, **_let_in(access)})

    def _lose_point(self, machine_uid: str) -> None:
        self._run(_LOSE_POINT, {"here": machine_uid})

    def _fall_behind(self, machine_uid: str) -> None:
        self._run(_FALL_BEHIND, {"here": machine_uid})

    def _follow_ports(self, machine_uid: str) -> None:
        self._run(_FOLLOW_PORTS, {"here": machine_uid})

    def _follow_request(self, machine_uids: Iterable[str], started_at: datetime) -> None:
        """A request that begins: it is counted at its machines, and each has a new generation."""
        self._run(
            _FOLLOW_REQUEST, [{"here": each, "started_at": started_at} for each in machine_uids]
        )

    def _count_request(self, grant: Grant) -> None:
        """A request is counted once a machine, however many ports of it were asked for."""
        self._run(
            _COUNT_REQUEST,
            {
                "here": grant.machine_uid,
                "request": grant.request_id,
                "grant": grant.id,
                "started_at": grant.started_at,
            },
        )


def _let_in(access: Access) -> dict[str, object]:
    return {
        "last_access_at": access.at,
        "last_user_id": access.user_id,
        "last_user": access.user,
        "last_user_key": access.user.casefold(),
    }
