"""Rows of users, groups and service principals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, delete, func, or_, select, tuple_

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import (
    Credential,
    CredentialKind,
    Group,
    Membership,
    ServicePrincipal,
    User,
)
from bascule.store.access_stamp import AccessStamp
from bascule.store.tables import access as t

_USER = select(t.users).where(t.users.c.id == bindparam("wanted"))
_SERVICE = select(t.service_principals).where(t.service_principals.c.id == bindparam("wanted"))
_CREDENTIAL = select(t.credentials).where(t.credentials.c.key_id == bindparam("wanted"))
_MEMBERSHIPS = (
    select(t.memberships)
    .where(
        t.memberships.c.member_id == bindparam("wanted"),
        or_(t.memberships.c.expires_at.is_(None), t.memberships.c.expires_at > bindparam("now")),
    )
    .order_by(t.memberships.c.group_id, t.memberships.c.provider_id)
)

MOST_NAMESAKES = 2000  # service principals of one name that are read


class PrincipalReads(AccessStamp):
    __slots__ = ()

    def user(self, user_id: str) -> User | None:
        row = self._first(_USER, {"wanted": user_id.lower()})
        return None if row is None else _user(row)

    def user_by_name(self, name: str) -> User | None:
        row = self._first(select(t.users).where(t.users.c.name_key == name.casefold()))
        return None if row is None else _user(row)

    def users(
        self, after: str = "", limit: int = 1000, *, part: str = "", is_descending: bool = False
    ) -> Sequence[User]:
        wanted = _named(t.users, after, limit, part, is_descending)
        return [_user(row) for row in self._all(wanted)]

    def count_users(self, part: str = "") -> int:
        return self._count_named(t.users, part)

    def service_principal(self, principal_id: str) -> ServicePrincipal | None:
        row = self._first(_SERVICE, {"wanted": principal_id.lower()})
        return None if row is None else _service(row)

    def service_principals(self, after: str = "", limit: int = 1000) -> Sequence[ServicePrincipal]:
        table = t.service_principals
        wanted = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        return [_service(row) for row in self._all(wanted)]

    def service_principals_by_name(
        self,
        after: tuple[str, str] = ("", ""),
        limit: int = 1000,
        *,
        part: str = "",
        is_descending: bool = False,
    ) -> Sequence[ServicePrincipal]:
        table = t.service_principals
        place = tuple_(table.c.name_key, table.c.id)
        wanted = _containing(select(table), table, part)
        if any(after):
            wanted = wanted.where(place < after if is_descending else place > after)
        columns = (table.c.name_key, table.c.id)
        ordered = wanted.order_by(*(each.desc() if is_descending else each for each in columns))
        return [_service(row) for row in self._all(ordered.limit(limit))]

    def service_principals_called(self, name: str) -> Sequence[ServicePrincipal]:
        table = t.service_principals
        wanted = select(table).where(table.c.name_key == name.casefold()).order_by(table.c.id)
        return [_service(row) for row in self._all(wanted.limit(MOST_NAMESAKES))]

    def count_service_principals(self, part: str = "") -> int:
        return self._count_named(t.service_principals, part)

    def credential(self, key_id: str) -> Credential | None:
        row = self._first(_CREDENTIAL, {"wanted": key_id.lower()})
        return None if row is None else credential_of_row(row)

    def credentials_of(self, principal_id: str) -> Sequence[Credential]:
        table = t.credentials
        wanted = select(table).where(table.c.principal_id == principal_id.lower())
        return [
            credential_of_row(row)
            for row in self._all(wanted.order_by(table.c.created_at, table.c.key_id))
        ]

    def group(self, group_id: str) -> Group | None:
        row = self._first(select(t.groups).where(t.groups.c.id == group_id.lower()))
        return None if row is None else _group(row)

    def group_by_name(self, name: str) -> Group | None:
        row = self._first(select(t.groups).where(t.groups.c.name_key == name.casefold()))
        return None if row is None else _group(row)

    def groups(
        self, after: str = "", limit: int = 1000, *, part: str = "", is_descending: bool = False
    ) -> Sequence[Group]:
        wanted = _named(t.groups, after, limit, part, is_descending)
        return [_group(row) for row in self._all(wanted)]

    def count_groups(self, part: str = "") -> int:
        return self._count_named(t.groups, part)

    def _count_named(self, table: Table, part: str) -> int:
        counted = select(func.count().label("many")).select_from(table)
        return sum(int(row.many) for row in self._all(_containing(counted, table, part)))

    def members_of(self, group_id: str) -> Sequence[Membership]:
        table = t.memberships
        wanted = select(table).where(table.c.group_id == group_id.lower())
        ordered = wanted.order_by(table.c.member_id, table.c.provider_id)
        return [_membership(row) for row in self._all(ordered)]

    def memberships_of(self, member_id: str, now: datetime) -> Sequence[Membership]:
        rows = self._all(_MEMBERSHIPS, {"wanted": member_id.lower(), "now": now})
        return [_membership(row) for row in rows]

    def next_membership_end(self) -> datetime | None:
        row = self._first(select(func.min(t.memberships.c.expires_at).label("first")))
        return None if row is None else row.first

    def ended_memberships(self, now: datetime, limit: int = 1000) -> Sequence[Membership]:
        table = t.memberships
        wanted = select(table).where(table.c.expires_at <= now)
        ordered = wanted.order_by(table.c.expires_at, table.c.member_id).limit(limit)
        return [_membership(row) for row in self._all(ordered)]

    def principal_kind(self, principal_id: str) -> PrincipalKind | None:
        wanted = principal_id.lower()
        for table, kind in (
            (t.users, PrincipalKind.USER),
            (t.service_principals, PrincipalKind.SERVICE),
            (t.groups, PrincipalKind.GROUP),
        ):
            if self._first(select(table.c.id).where(table.c.id == wanted)) is not None:
                return kind
        return None


class PrincipalWrites(PrincipalReads):
    __slots__ = ()

    def put_user(self, user: User) -> None:
        self._put(
            t.users,
            {"id": user.id},
            {
                "name_key": user.name.casefold(),
                "name": user.name,
                "display_name": user.display_name,
                "is_enabled": user.is_enabled,
                "created_at": user.created_at,
                "epoch": user.epoch,
            },
        )
        self._renew_stamp()

    def put_service_principal(self, principal: ServicePrincipal) -> None:
        self._put(
            t.service_principals,
            {"id": principal.id},
            {
                "name_key": principal.display_name.casefold(),
                "display_name": principal.display_name,
                "is_enabled": principal.is_enabled,
                "created_at": principal.created_at,
            },
        )
        self._renew_stamp()

    def put_group(self, group: Group) -> None:
        self._put(
            t.groups,
            {"id": group.id},
            {
                "name_key": group.name.casefold(),
                "name": group.name,
                "description": group.description,
                "created_at": group.created_at,
            },
        )
        self._renew_stamp()

    def delete_principal(self, principal_id: str) -> None:
        wanted = principal_id.lower()
        for statement in (
            delete(t.role_assignments).where(t.role_assignments.c.principal_id == wanted),
            delete(t.memberships).where(t.memberships.c.member_id == wanted),
            delete(t.users).where(t.users.c.id == wanted),
            delete(t.service_principals).where(t.service_principals.c.id == wanted),
            delete(t.groups).where(t.groups.c.id == wanted),
        ):
            self._run(statement)
        self._renew_stamp()

    def put_credential(self, credential: Credential) -> None:
        self._put(
            t.credentials,
            {"key_id": credential.key_id},
            {
                "principal_id": credential.principal_id,
                "kind": str(credential.kind),
                "proof": credential.proof,
                "display_name": credential.display_name,
                "created_at": credential.created_at,
                "expires_at": credential.expires_at,
            },
        )

    def delete_credential(self, key_id: str) -> None:
        self._run(delete(t.credentials).where(t.credentials.c.key_id == key_id.lower()))

    def put_membership(self, membership: Membership) -> None:
        self._put(
            t.memberships,
            {
                "group_id": membership.group_id,
                "member_id": membership.member_id,
                "provider_id": membership.provider_id,
            },
            {"member_kind": str(membership.member_kind), "expires_at": membership.expires_at},
        )
        self._renew_stamp()

    def delete_membership(self, group_id: str, member_id: str, provider_id: str = "") -> None:
        table = t.memberships
        self._run(
            delete(table).where(
                table.c.group_id == group_id.lower(),
                table.c.member_id == member_id.lower(),
                table.c.provider_id == provider_id,
            )
        )
        self._renew_stamp()


def _named(table: Table, after: str, limit: int, part: str, is_descending: bool) -> Select[Any]:
    key = table.c.name_key
    wanted = _containing(select(table), table, part)
    if after:
        wanted = wanted.where(key < after if is_descending else key > after)
    return wanted.order_by(key.desc() if is_descending else key).limit(limit)


def _containing(wanted: Select[Any], table: Table, part: str) -> Select[Any]:
    if not part:
        return wanted
    return wanted.where(table.c.name_key.contains(part.casefold(), autoescape=True))


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.display_name, row.is_enabled, row.created_at, row.epoch)


def _service(row: Row[Any]) -> ServicePrincipal:
    return ServicePrincipal(row.id, row.display_name, row.is_enabled, row.created_at)


def credential_of_row(row: Row[Any]) -> Credential:
    return Credential(
        row.key_id,
        row.principal_id,
        CredentialKind(row.kind),
        row.proof,
        row.display_name,
        row.created_at,
        row.expires_at,
    )


def _group(row: Row[Any]) -> Group:
    return Group(row.id, row.name, row.description, row.created_at)


def _membership(row: Row[Any]) -> Membership:
    return Membership(
        row.group_id,
        row.member_id,
        PrincipalKind(row.member_kind),
        row.provider_id,
        row.expires_at,
    )
