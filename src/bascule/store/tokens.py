"""Rows of codes, refresh tokens and sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, not_, select

from bascule.domain.places import TakenPlace
from bascule.domain.tokens import (
    CODE_LIFE,
    DEVICE_LIFE,
    FAMILY_LIFE,
    HALF_LIFE,
    REFRESH_LIFE,
    SESSION_IDLE,
    SESSION_LIFE,
    AuthorizationCode,
    DeviceCode,
    DeviceState,
    Flow,
    Origin,
    RefreshToken,
    Session,
    SignIn,
    TokenFamily,
)
from bascule.store.rows import Rows
from bascule.store.tables import tokens as t
from bascule.store.upsert import insert_once

_SESSION = select(t.sessions).where(t.sessions.c.hash == bindparam("wanted"))
_FAMILY = select(t.token_families).where(t.token_families.c.id == bindparam("wanted"))

_USED = select(func.count().label("used")).where(
    t.used_assertions.c.holder == bindparam("wanted"),
    t.used_assertions.c.ends_at <= bindparam("latest"),
)
_USE = insert_once(t.used_assertions)
_FORGET_USED = delete(t.used_assertions).where(t.used_assertions.c.ends_at <= bindparam("ended_by"))


class TokenReads(Rows):
    __slots__ = ()

    def session(self, session_hash: str) -> Session | None:
        row = self._first(_SESSION, {"wanted": session_hash})
        return None if row is None else _session(row)

    def sessions_of(self, user_id: str) -> Sequence[Session]:
        table = t.sessions
        wanted = select(table).where(table.c.user_id == user_id)
        newest = (table.c.signed_in_at.desc(), table.c.id)
        return [_session(row) for row in self._all(wanted.order_by(*newest))]

    def authorization_code(self, code_hash: str) -> AuthorizationCode | None:
        table = t.authorization_codes
        row = self._first(select(table).where(table.c.hash == code_hash))
        return None if row is None else _code(row)

    def device_code(self, code_hash: str) -> DeviceCode | None:
        table = t.device_codes
        row = self._first(select(table).where(table.c.hash == code_hash))
        return None if row is None else _device(row)

    def device_code_of(self, user_code: str) -> DeviceCode | None:
        table = t.device_codes
        row = self._first(select(table).where(table.c.user_code == user_code))
        return None if row is None else _device(row)

    def waiting_device_codes(
        self, since: datetime, client_id: str = "", address: str = ""
    ) -> Sequence[TakenPlace]:
        table = t.device_codes
        here = [table.c.created_at > since, table.c.state == str(DeviceState.PENDING)]
        if client_id:
            here.append(table.c.client_id == client_id)
        if address:
            here.append(table.c.address == address)
        columns = (table.c.hash, table.c.address, table.c.created_at)
        rows = self._all(select(*columns).where(*here).order_by(table.c.created_at))
        return [TakenPlace(row.hash, row.address, row.created_at + DEVICE_LIFE) for row in rows]

    def token_family(self, family_id: str) -> TokenFamily | None:
        row = self._first(_FAMILY, {"wanted": family_id})
        return None if row is None else family_of_row(row)

    def token_families_of(self, user_id: str) -> Sequence[TokenFamily]:
        table = t.token_families
        wanted = select(table).where(table.c.user_id == user_id, table.c.is_revoked.is_(False))
        return [
            family_of_row(row) for row in self._all(wanted.order_by(table.c.created_at, table.c.id))
        ]

    def refresh_token(self, token_hash: str) -> RefreshToken | None:
        table = t.refresh_tokens
        row = self._first(select(table).where(table.c.hash == token_hash))
        return (
            None
            if row is None
            else RefreshToken(row.hash, row.family_id, row.generation, row.created_at, row.used_at)
        )


class TokenWrites(TokenReads):
    __slots__ = ()

    def put_session(self, session: Session) -> None:
        values = {
            "id": session.id,
            **_proof(session.sign_in),
            "address": session.origin.address,
            "program": session.origin.program,
            "seen_at": session.seen_at,
            "seen_from": session.seen_from,
            "is_whole": session.is_whole,
        }
        self._put(t.sessions, {"hash": session.hash}, values)

    def delete_session(self, session_hash: str) -> None:
        self._run(delete(t.sessions).where(t.sessions.c.hash == session_hash))

    def put_authorization_code(self, code: AuthorizationCode) -> None:
        values = {
            "client_id": code.client_id,
            "redirect_uri": code.redirect_uri,
            "challenge": code.challenge,
            "nonce": code.nonce,
            "audience": code.audience,
            "created_at": code.created_at,
            "is_used": code.is_used,
            "family_id": code.family_id,
            **_proof(code.sign_in),
        }
        self._put(t.authorization_codes, {"hash": code.hash}, values)

    def put_device_code(self, code: DeviceCode) -> None:
        values = {
            "user_code": code.user_code,
            "client_id": code.client_id,
            "audience": code.audience,
            "address": code.address,
            "created_at": code.created_at,
            "polled_at": code.polled_at,
            "interval": code.interval,
            "state": str(code.state),
            **_proof(code.sign_in),
        }
        self._put(t.device_codes, {"hash": code.hash}, values)

    def delete_device_code(self, code_hash: str) -> None:
        self._run(delete(t.device_codes).where(t.device_codes.c.hash == code_hash))

    def put_token_family(self, family: TokenFamily) -> None:
        values = {
            "client_id": family.client_id,
            "flow": str(family.flow),
            "created_at": family.created_at,
            "seed": family.seed,
            "is_revoked": family.is_revoked,
            "address": family.origin.address,
            "program": family.origin.program,
            "seen_at": family.seen_at,
            "seen_from": family.seen_from,
            **_proof(family.sign_in),
        }
        self._put(t.token_families, {"id": family.id}, values)

    def assertions_used(self, holder: str, ending_by: datetime) -> int:
        row = self._first(_USED, {"wanted": holder, "latest": ending_by})
        return int(row.used) if row is not None else 0

    def use_assertion(self, holder: str, token_hash: str, ends_at: datetime) -> bool:
        values = {"holder": holder, "token_hash": token_hash, "ends_at": ends_at}
        return self._run(_USE, values) == 1

    def forget_assertions(self, ended_by: datetime) -> None:
        self._run(_FORGET_USED, {"ended_by": ended_by})

    def put_refresh_token(self, token: RefreshToken) -> None:
        values = {
            "family_id": token.family_id,
            "generation": token.generation,
            "created_at": token.created_at,
            "used_at": token.used_at,
        }
        self._put(t.refresh_tokens, {"hash": token.hash}, values)

    def forget_refresh_tokens(self, family_id: str, before: int) -> None:
        table = t.refresh_tokens
        here = (table.c.family_id == family_id, table.c.generation < before)
        self._run(delete(table).where(*here))

    def forget_codes_of(self, user_id: str, signed_in_at: datetime | None = None) -> None:
        for table in (t.authorization_codes, t.device_codes):
            here = [table.c.user_id == user_id]
            if signed_in_at is not None:
                here.append(table.c.signed_in_at == signed_in_at)
            self._run(delete(table).where(*here))

    def forget_sign_ins_of(self, user_id: str) -> None:
        for table in (t.sessions, t.authorization_codes, t.device_codes, t.token_families):
            self._run(delete(table).where(table.c.user_id == user_id))

    def forget_ended(self, now: datetime) -> None:
        sessions, families = t.sessions, t.token_families
        for statement in (
            delete(sessions).where(sessions.c.signed_in_at <= now - SESSION_LIFE),
            delete(sessions).where(sessions.c.seen_at <= now - SESSION_IDLE),
            delete(sessions).where(
                not_(sessions.c.is_whole), sessions.c.signed_in_at <= now - HALF_LIFE
            ),
            # A used code is kept for a while: its second use is to be noticed.
            delete(t.authorization_codes).where(
                t.authorization_codes.c.created_at <= now - 10 * CODE_LIFE
            ),
            delete(t.device_codes).where(t.device_codes.c.created_at <= now - 2 * DEVICE_LIFE),
            delete(families).where(families.c.created_at <= now - FAMILY_LIFE),
            delete(t.refresh_tokens).where(t.refresh_tokens.c.created_at <= now - REFRESH_LIFE),
        ):
            self._run(statement)


def _proof(sign_in: SignIn | None) -> Mapping[str, Any]:
    if sign_in is None:
        return dict.fromkeys(("user_id", "epoch", "signed_in_at", "methods", "factor_at"))
    return {
        "user_id": sign_in.user_id,
        "epoch": sign_in.epoch,
        "signed_in_at": sign_in.at,
        "methods": list(sign_in.methods),
        "factor_at": sign_in.factor_at,
    }


def _sign_in(row: Row[Any]) -> SignIn:
    return SignIn(row.user_id, row.epoch, row.signed_in_at, tuple(row.methods), row.factor_at)


def _session(row: Row[Any]) -> Session:
    return Session(
        row.hash,
        _sign_in(row),
        row.seen_at,
        row.is_whole,
        row.id,
        Origin(row.address, row.program),
        row.seen_from,
    )


def _code(row: Row[Any]) -> AuthorizationCode:
    return AuthorizationCode(
        row.hash,
        row.client_id,
        row.redirect_uri,
        row.challenge,
        row.nonce,
        row.audience,
        _sign_in(row),
        row.created_at,
        row.is_used,
        row.family_id,
    )


def _device(row: Row[Any]) -> DeviceCode:
    return DeviceCode(
        row.hash,
        row.user_code,
        row.client_id,
        row.audience,
        row.address,
        row.created_at,
        row.polled_at,
        row.interval,
        DeviceState(row.state),
        None if row.user_id is None else _sign_in(row),
    )


def family_of_row(row: Row[Any]) -> TokenFamily:
    return TokenFamily(
        row.id,
        row.client_id,
        Flow(row.flow),
        _sign_in(row),
        row.created_at,
        row.seed,
        row.is_revoked,
        Origin(row.address, row.program),
        row.seen_at,
        row.seen_from,
    )
