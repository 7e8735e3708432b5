"""Rows of signing in: passwords, second factors, used challenges, known networks, counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, exists, func, insert, or_, select, update

from bascule.domain.sign_in import Passkey, RecoveryCodes, StoredPassword, TotpFactor
from bascule.store.rows import Rows
from bascule.store.tables import sign_in as t
from bascule.store.upsert import insert_or_set

MOST_KNOWN_NETWORKS = 20  # of one user
MOST_AT_ONCE = 500  # values of one IN

_PASSWORD = select(t.passwords).where(t.passwords.c.user_id == bindparam("wanted"))
_PASSKEYS = (
    select(t.passkeys)
    .where(t.passkeys.c.user_id == bindparam("wanted"))
    .order_by(t.passkeys.c.created_at, t.passkeys.c.id)
)
_KNOWN = select(t.known_networks.c.network).where(t.known_networks.c.user_id == bindparam("wanted"))

_COUNTS = select(t.sign_in_counts).where(
    t.sign_in_counts.c.place.in_(bindparam("wanted", expanding=True))
)
_FILLING = (
    select(t.sign_in_counts.c.full_at)
    .where(
        t.sign_in_counts.c.full_at > bindparam("now"),
        t.sign_in_counts.c.full_at <= bindparam("latest"),
    )
    .limit(1)
    .offset(bindparam("others"))
)
_FORGET_FULL = delete(t.sign_in_counts).where(
    or_(
        t.sign_in_counts.c.full_at <= bindparam("now"),
        t.sign_in_counts.c.full_at > bindparam("latest"),
    )
)
_PUT_COUNT = insert_or_set(t.sign_in_counts, "full_at")


class SignInReads(Rows):
    __slots__ = ()

    def sign_in_counts(self, places: Collection[str]) -> Mapping[str, datetime]:
        rows = self._all(_COUNTS, {"wanted": list(places)})
        return {row.place: row.full_at for row in rows}

    def has_sign_in_counts(self, many: int, now: datetime, latest: datetime) -> bool:
        return self._first(_FILLING, {"now": now, "latest": latest, "others": many - 1}) is not None

    def password(self, user_id: str) -> StoredPassword | None:
        row = self._first(_PASSWORD, {"wanted": user_id.lower()})
        return None if row is None else StoredPassword(row.user_id, row.hash, row.set_at)

    def has_sign_in(self, user_id: str) -> bool:
        wanted = user_id.lower()
        found = select(
            or_(
                exists().where(t.passwords.c.user_id == wanted),
                exists().where(t.passkeys.c.user_id == wanted),
            )
        )
        row = self._first(found)
        return bool(row and row[0])

    def totp(self, user_id: str, *, is_active: bool) -> TotpFactor | None:
        table = t.totp_factors
        row = self._first(
            select(table).where(
                table.c.user_id == user_id.lower(), table.c.is_active.is_(is_active)
            )
        )
        return None if row is None else _totp(row)

    def passkey(self, passkey_id: str) -> Passkey | None:
        row = self._first(select(t.passkeys).where(t.passkeys.c.id == passkey_id))
        return None if row is None else _passkey(row)

    def passkeys_of(self, user_id: str) -> Sequence[Passkey]:
        return [_passkey(row) for row in self._all(_PASSKEYS, {"wanted": user_id.lower()})]

    def recovery_codes(self, user_id: str) -> RecoveryCodes | None:
        table = t.recovery_codes
        row = self._first(
            select(
                func.max(table.c.made_at).label("made_at"),
                (func.count() - func.count(table.c.used_at)).label("left"),
            ).where(table.c.user_id == user_id.lower())
        )
        return None if row is None or row.made_at is None else RecoveryCodes(row.made_at, row.left)

    def known_networks(self, user_id: str) -> frozenset[str]:
        return frozenset(row.network for row in self._all(_KNOWN, {"wanted": user_id.lower()}))

    def known_among(self, networks: Collection[str]) -> frozenset[str]:
        network = t.known_networks.c.network
        wanted = sorted(networks)
        found = set()
        for start in range(0, len(wanted), MOST_AT_ONCE):
            part = wanted[start : start + MOST_AT_ONCE]
            rows = self._all(select(network).where(network.in_(part)).distinct())
            found |= {row.network for row in rows}
        return frozenset(found)


class SignInWrites(SignInReads):
    __slots__ = ()

    def put_sign_in_counts(self, full_at: Mapping[str, datetime]) -> None:
        rows = [{"place": place, "full_at": at} for place, at in full_at.items()]
        if rows:
            self._run(_PUT_COUNT, rows)

    def forget_sign_in_counts(self, now: datetime, latest: datetime) -> None:
        self._run(_FORGET_FULL, {"now": now, "latest": latest})

    def put_password(self, password: StoredPassword) -> None:
        self._put(
            t.passwords,
            {"user_id": password.user_id},
            {"hash": password.hash, "set_at": password.set_at},
        )

    def put_totp(self, factor: TotpFactor) -> None:
        self._put(
            t.totp_factors,
            {"user_id": factor.user_id, "is_active": factor.is_active},
            {
                "sealed": factor.sealed,
                "created_at": factor.created_at,
                "last_step": factor.last_step,
            },
        )

    def delete_totp(self, user_id: str, *, is_active: bool) -> None:
        table = t.totp_factors
        self._run(
            delete(table).where(
                table.c.user_id == user_id.lower(), table.c.is_active.is_(is_active)
            )
        )

    def put_passkey(self, passkey: Passkey) -> None:
        self._put(
            t.passkeys,
            {"id": passkey.id, "user_id": passkey.user_id},  # another's of that id: a Conflict
            {
                "name": passkey.name,
                "public_key": passkey.public_key,
                "sign_count": passkey.sign_count,
                "created_at": passkey.created_at,
                "last_used_at": passkey.last_used_at,
            },
        )

    def delete_passkey(self, passkey_id: str) -> None:
        self._run(delete(t.passkeys).where(t.passkeys.c.id == passkey_id))

    def put_recovery_codes(self, user_id: str, digests: Sequence[str], now: datetime) -> None:
        table = t.recovery_codes
        self._run(delete(table).where(table.c.user_id == user_id.lower()))
        rows = [{"user_id": user_id.lower(), "digest": each, "made_at": now} for each in digests]
        if rows:
            self._run(insert(table), rows)

    def use_recovery_code(self, user_id: str, digest: str, now: datetime) -> bool:
        table = t.recovery_codes
        used = update(table).where(
            table.c.user_id == user_id.lower(), table.c.digest == digest, table.c.used_at.is_(None)
        )
        return self._run(used.values(used_at=now)) == 1

    def use_challenge(self, challenge: str, ends_at: datetime, now: datetime) -> bool:
        table = t.used_challenges
        self._run(delete(table).where(table.c.ends_at <= now))
        if self._first(select(table.c.challenge).where(table.c.challenge == challenge)):
            return False
        self._run(insert(table), {"challenge": challenge, "ends_at": ends_at})
        return True

    def put_known_network(self, user_id: str, network: str, now: datetime) -> None:
        table = t.known_networks
        wanted = user_id.lower()
        self._put(table, {"user_id": wanted, "network": network}, {"last_at": now})
        newest = (
            select(table.c.network)
            .where(table.c.user_id == wanted)
            .order_by(table.c.last_at.desc(), table.c.network)
            .limit(MOST_KNOWN_NETWORKS)
        )
        self._run(delete(table).where(table.c.user_id == wanted, table.c.network.not_in(newest)))


def _totp(row: Row[Any]) -> TotpFactor:
    return TotpFactor(row.user_id, row.is_active, row.sealed, row.created_at, row.last_step)


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(
        row.id,
        row.user_id,
        row.name,
        row.public_key,
        row.sign_count,
        row.created_at,
        row.last_used_at,
    )
