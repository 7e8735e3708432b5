"""Rows of the recovery key and its restores; and which tables a restore empties (EDGES I7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from bascule.domain.restoration import Restoration
from bascule.interfaces.recovery import Recovery
from bascule.protocol.codec import decode, encode
from bascule.store import tables as t
from bascule.store.rows import Rows
from bascule.store.tables.invites import replica_invites
from bascule.store.tables.kept_forms import kept_forms
from bascule.store.tables.mail import mail_codes_asked, mail_unconfirmed
from bascule.store.tables.providers import pending_sign_ins, provider_invitations
from bascule.store.tables.replicas import replicas
from bascule.store.tables.set_up import set_up_link
from bascule.store.tables.sign_in import recovery_codes, totp_factors
from bascule.store.tables.tokens import (
    authorization_codes,
    device_codes,
    refresh_tokens,
    sessions,
    token_families,
)

# What works once or for a time: used since the backup was made, it would work again. In the order
# in which rows refer to each other. The last says which servers ran.
VOIDED = (
    refresh_tokens,
    token_families,
    authorization_codes,
    device_codes,
    sessions,
    kept_forms,
    pending_sign_ins,
    provider_invitations,
    recovery_codes,
    set_up_link,
    mail_unconfirmed,
    mail_codes_asked,
    replica_invites,
    t.enrolments,
    replicas,
)


class RecoveryReads(Rows):
    __slots__ = ()

    def recovery(self) -> Recovery:
        row = self._first(select(t.installation.c.recovery_key, t.installation.c.restored))
        return Recovery() if row is None else recovery_of(row)


def recovery_of(row: Row[Any]) -> Recovery:
    """Of a row with the columns of the installation; without any where there is none yet."""
    if row.recovery_key is None:
        return Recovery()
    return Recovery(row.recovery_key, tuple(decode(Restoration, each) for each in row.restored))


class RecoveryWrites(RecoveryReads):
    __slots__ = ()

    def keep_recovery_key(self, public_key: str) -> None:
        self._run(update(t.installation), {"recovery_key": public_key})

    def keep_restored(self, restored: Sequence[Restoration]) -> None:
        self._run(update(t.installation), {"restored": [encode(each) for each in restored]})

    def void_used_once(self, step: int) -> int:
        voided = 0
        for table in VOIDED:
            row = self._first(select(func.count().label("rows")).select_from(table))
            voided += 0 if row is None else int(row.rows)
            self._run(delete(table))
        self._run(update(totp_factors).where(totp_factors.c.last_step < step), {"last_step": step})
        return voided
