"""Rows of where people want mail, and of what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, or_, select

from bascule.domain.grant import LONGEST_WARNING, Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.mail import MailChoice, Unconfirmed
from bascule.domain.request import LONGEST_WARNING as LONGEST_BEFORE_START
from bascule.domain.request import AccessRequest
from bascule.interfaces.approvals import AskedBy
from bascule.store import tables
from bascule.store.grants import GrantReads
from bascule.store.requests import request_of_row
from bascule.store.tables import access
from bascule.store.tables.approvals import approval_asked as asked
from bascule.store.tables.approvals import approvals as waiting
from bascule.store.tables.mail import mail_choices as t
from bascule.store.tables.mail import mail_codes_asked as codes
from bascule.store.tables.mail import mail_unconfirmed as unconfirmed
from bascule.store.tables.mail import warned_grants as warned
from bascule.store.tables.mail import warned_starts

_ENABLED = (
    select(t)
    .join(access.users, access.users.c.id == t.c.user_id)
    .where(access.users.c.is_enabled.is_(True))
    .order_by(t.c.user_id)
)
_NOW = bindparam("now", type_=asked.c.since.type)
_HERE = select(asked.c.who).where(asked.c.request_id == bindparam("wanted"), asked.c.since <= _NOW)
_members, _assigned = access.memberships.c, access.role_assignments.c
_MEMBER = or_(_members.expires_at.is_(None), _members.expires_at > _NOW)
_HOLDERS = select(_assigned.principal_id).where(
    _assigned.role_id.in_(bindparam("roles", expanding=True))
)
_ASKED = _ENABLED.where(
    t.c.asked.is_(True),
    or_(
        t.c.user_id.in_(_HERE.where(asked.c.kind == str(AskedBy.USER))),
        t.c.user_id.in_(
            select(_members.member_id).where(
                _MEMBER, _members.group_id.in_(_HERE.where(asked.c.kind == str(AskedBy.GROUP)))
            )
        ),
        _HERE.where(asked.c.kind == str(AskedBy.ROLE)).exists()
        & or_(
            t.c.user_id.in_(_HOLDERS),
            t.c.user_id.in_(
                select(_members.member_id).where(_MEMBER, _members.group_id.in_(_HOLDERS))
            ),
        ),
    ),
)
_grants = tables.grants.c
_ENDING = (
    select(tables.grants)
    .join(t, t.c.user_id == _grants.requestor_id)
    .outerjoin(warned, warned.c.grant_id == _grants.id)
    .where(
        tables.IS_LIVE,
        tables.is_in_state([GrantState.OPEN]),
        t.c.ending.is_(True),
        t.c.address != "",
        _grants.ends_at > _NOW,
        _grants.ends_at <= bindparam("until", type_=_grants.ends_at.type),
        or_(warned.c.ends_at.is_(None), warned.c.ends_at != _grants.ends_at),
    )
    .order_by(_grants.ends_at, _grants.sequence)
)

_STARTING = (
    select(tables.requests)
    .join(waiting, waiting.c.request_id == tables.requests.c.id)
    .outerjoin(warned_starts, warned_starts.c.request_id == waiting.c.request_id)
    .where(
        waiting.c.opens_at > _NOW,
        waiting.c.opens_at <= bindparam("until", type_=waiting.c.opens_at.type),
        waiting.c.is_due.is_(False),  # it is judged anew first, and may lapse
        waiting.c.is_to_ask.is_(False),
        warned_starts.c.request_id.is_(None),
    )
    .order_by(waiting.c.opens_at, waiting.c.request_id)
)


class MailReads(GrantReads):
    __slots__ = ()

    def mail_choice(self, user_id: str) -> MailChoice | None:
        row = self._first(select(t).where(t.c.user_id == user_id))
        return None if row is None else _choice(row)

    def mail_choices(self) -> Sequence[MailChoice]:
        return [_choice(row) for row in self._all(_ENABLED)]

    def mail_choices_asked(
        self, request_id: str, role_ids: Sequence[str], now: datetime
    ) -> Sequence[MailChoice]:
        wanted = {"wanted": request_id, "roles": list(role_ids), "now": now}
        return [_choice(row) for row in self._all(_ASKED, wanted)]

    def grants_to_warn_of(self, now: datetime, limit: int = 100) -> Sequence[Grant]:
        near = {"now": now, "until": now + LONGEST_WARNING}
        found = [grant for _, grant in self._grants(_ENDING, near)]
        return [grant for grant in found if grant.warned_at <= now][:limit]

    def requests_to_warn_of(self, now: datetime, limit: int = 100) -> Sequence[AccessRequest]:
        near = {"now": now, "until": now + LONGEST_BEFORE_START}
        found = [request_of_row(row) for row in self._all(_STARTING, near)]
        return [request for request in found if request.is_starting_soon(now)][:limit]

    def unconfirmed(self, user_id: str) -> Unconfirmed | None:
        row = self._first(select(unconfirmed).where(unconfirmed.c.user_id == user_id))
        return None if row is None else _unconfirmed(row)

    def next_unsent(self, since: datetime) -> Unconfirmed | None:
        rows = select(unconfirmed).where(
            unconfirmed.c.code_hash == "", unconfirmed.c.asked_at > since
        )
        row = self._first(rows.order_by(unconfirmed.c.asked_at, unconfirmed.c.user_id).limit(1))
        return None if row is None else _unconfirmed(row)

    def codes_asked(self, since: datetime, *, user_id: str = "", address: str = "") -> int:
        of = [codes.c.at > since]
        of += [codes.c.user_id == user_id] if user_id else []
        of += [codes.c.address == address] if address else []
        row = self._first(select(func.count().label("many")).where(*of))
        return 0 if row is None else int(row.many)


class MailWrites(MailReads):
    __slots__ = ()

    def put_unconfirmed(self, found: Unconfirmed) -> None:
        values = asdict(found)
        self._put(unconfirmed, {"user_id": values.pop("user_id")}, values)

    def delete_unconfirmed(self, user_id: str) -> None:
        self._run(delete(unconfirmed).where(unconfirmed.c.user_id == user_id))

    def note_code_asked(self, code_id: str, user_id: str, address: str, at: datetime) -> None:
        self._run(codes.insert(), {"id": code_id, "user_id": user_id, "address": address, "at": at})

    def forget_codes_asked(self, before: datetime) -> None:
        self._run(delete(codes).where(codes.c.at <= before))

    def put_mail_choice(self, choice: MailChoice) -> None:
        values = asdict(choice)
        self._put(t, {"user_id": values.pop("user_id")}, values)

    def note_warned(self, grant: Grant) -> None:
        self._put(warned, {"grant_id": grant.id}, {"ends_at": grant.ends_at})

    def note_start_warned(self, request_id: str) -> None:
        self._run(warned_starts.insert(), {"request_id": request_id})


def _choice(row: Row[Any]) -> MailChoice:
    return MailChoice(
        user_id=row.user_id,
        address=row.address,
        language=row.language,
        asked=row.asked,
        own=row.own,
        ending=row.ending,
        previous=row.previous,
        previous_until=row.previous_until,
    )


def _unconfirmed(row: Row[Any]) -> Unconfirmed:
    return Unconfirmed(row.user_id, row.address, row.asked_at, row.code_hash, row.tries)
