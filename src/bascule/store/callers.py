"""Rows of who calls, one statement each: every call asks for them, an act twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Row, String, bindparam, exists, func, select

from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.principals import Credential, ServicePrincipal, User
from bascule.domain.tokens import TokenFamily
from bascule.interfaces.points import OwnPoint, PointStanding
from bascule.store import tables as t
from bascule.store.access_stamp import STAMP, AccessStamp
from bascule.store.fleet import is_noted_silent, point_of_row
from bascule.store.inventory import machine_of_row
from bascule.store.plans import HELD, held_of_row
from bascule.store.principals import credential_of_row
from bascule.store.rows import resource_id
from bascule.store.tables import access
from bascule.store.tables import tokens as tokens_tables
from bascule.store.tables.plans import held_rules
from bascule.store.tokens import family_of_row

_users, _services, _credentials = access.users.c, access.service_principals.c, access.credentials.c
_families = tokens_tables.token_families
_SERVICE = (
    select(
        STAMP,
        _services.id.label("service_id"),
        _services.display_name.label("service_name"),
        _services.is_enabled,
        _services.created_at.label("service_created_at"),
        access.credentials,
    )
    .select_from(access.service_principals)
    .outerjoin(access.credentials, _credentials.principal_id == _services.id)
    .where(_services.id == bindparam("wanted"))
    .order_by(_credentials.created_at, _credentials.key_id)
)
_USER = (
    select(
        STAMP,
        _users.id.label("caller_id"),
        _users.name,
        _users.display_name,
        _users.is_enabled,
        _users.created_at.label("caller_created_at"),
        _users.epoch.label("caller_epoch"),
        _families,
    )
    .select_from(access.users)
    .outerjoin(_families, _families.c.id == bindparam("family"))
    .where(_users.id == bindparam("wanted"))
)
_AGENT = (
    select(t.machines, t.agents)
    .join(t.agents, t.agents.c.machine_uid == t.machines.c.uid)
    .where(t.machines.c.uid == bindparam("wanted"))
)
_NUMBER = (
    select(t.machine_generations.c.generation)
    .where(t.machine_generations.c.machine_uid == t.machines.c.uid)
    .scalar_subquery()
    .label("number")
)
_GUARDS_OTHERS = (
    exists()
    .where(t.bindings.c.point_uid == t.machines.c.uid, t.bindings.c.machine_uid != t.machines.c.uid)
    .label("guards_others")
)
OWN_POINT = _AGENT.outerjoin(held_rules, held_rules.c.machine_uid == t.machines.c.uid).add_columns(
    exists().where(t.bindings.c.machine_uid == t.machines.c.uid).label("is_bound"),
    _GUARDS_OTHERS,
    _NUMBER,
    *HELD,
)
_STANDING = (
    select(
        t.machines.c.id,
        t.agents.c.public_key,
        t.agents.c.last_contact_at,
        t.agents.c.acknowledged,
        _GUARDS_OTHERS,
        _NUMBER,
        is_noted_silent(t.machines.c.uid).label("is_silent"),
    )
    .join(t.agents, t.agents.c.machine_uid == t.machines.c.uid)
    .where(t.machines.c.uid == bindparam("wanted"))
)
_SAME_PLACE: BindParameter[str] = bindparam("place", type_=String)
_SPELT = select(
    select(t.resource_groups.c.name)
    .where(t.resource_groups.c.key == bindparam("group"))
    .scalar_subquery()
    .label("group_name"),
    # As ``locations`` spells it: the installation's before machines' before policies'.
    func.coalesce(
        select(t.installation.c.location)
        .where(func.lower(t.installation.c.location) == _SAME_PLACE)
        .scalar_subquery(),
        select(t.machines.c.location)
        .where(t.machines.c.location_key == _SAME_PLACE)
        .order_by(t.machines.c.location)
        .limit(1)
        .scalar_subquery(),
        select(t.policies.c.location_key)
        .where(t.policies.c.location_key == _SAME_PLACE)
        .limit(1)
        .scalar_subquery(),
    ).label("location"),
)


class CallerReads(AccessStamp):
    __slots__ = ()

    def service_caller(
        self, principal_id: str
    ) -> tuple[ServicePrincipal, Sequence[Credential]] | None:
        rows = self._all(_SERVICE, {"wanted": principal_id.lower()})
        if not rows:
            return None
        first = rows[0]
        self._stamp = first.stamp or ""
        service = ServicePrincipal(
            first.service_id, first.service_name, first.is_enabled, first.service_created_at
        )
        return service, [credential_of_row(row) for row in rows if row.key_id is not None]

    def user_caller(self, user_id: str, family_id: str) -> tuple[User, TokenFamily | None] | None:
        row = self._first(_USER, {"wanted": user_id.lower(), "family": family_id})
        if row is None:
            return None
        self._stamp = row.stamp or ""
        user = User(
            row.caller_id,
            row.name,
            row.display_name,
            row.is_enabled,
            row.caller_created_at,
            row.caller_epoch,
        )
        return user, None if row.id is None else family_of_row(row)

    def agent_caller(self, uid: str) -> tuple[Machine, EnforcementPoint] | None:
        row = self._first(_AGENT, {"wanted": uid})
        return None if row is None else (machine_of_row(row), point_of_row(row))

    def point_standing(self, uid: str) -> PointStanding | None:
        row = self._first(_STANDING, {"wanted": uid})
        if row is None:
            return None
        return PointStanding(
            row.public_key,
            resource_id(row.id).name,
            row.last_contact_at,
            row.acknowledged,
            row.number or 0,
            row.guards_others,
            row.is_silent,
        )

    def own_point(self, uid: str) -> OwnPoint | None:
        row = self._first(OWN_POINT, {"wanted": uid})
        return None if row is None else own_point_of_row(row)

    def spelt(self, group: str, location: str) -> tuple[str | None, str | None]:
        wanted = {"group": group.casefold(), "place": location.casefold()}
        row = self._all(_SPELT, wanted)[0]
        return row.group_name, row.location


def own_point_of_row(row: Row[Any]) -> OwnPoint:
    return OwnPoint(
        machine_of_row(row),
        point_of_row(row),
        row.is_bound,
        row.number or 0,
        row.guards_others,
        None if row.held_generation is None else held_of_row(row),
    )
