"""Second factors, checked in a transaction, so that each code and challenge is used once.

What is not here: how often it may be tried (``services.sign_in_limits``), and enrolment
(``services.own_sign_in``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from bascule.domain.facts.sign_in import RecoveryCodeUsed
from bascule.domain.principals import User
from bascule.domain.sign_in import FactorKind
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.proofs import Proofs
from bascule.interfaces.record import EventWrites
from bascule.interfaces.sign_in import SignInReads, SignInWrites
from bascule.services.act import Act


class FactorWrites(EventWrites, PrincipalReads, SignInWrites, Protocol):
    """Second factors and whose they are, and the record."""


def factors_of(reader: SignInReads, user_id: str) -> tuple[FactorKind, ...]:
    """What a user may show after the password; empty when nothing is enrolled.

    Recovery codes stand in for an enrolled factor; alone they are none.
    """
    found = []
    if reader.totp(user_id, is_active=True) is not None:
        found.append(FactorKind.TOTP)
    if reader.passkeys_of(user_id):
        found.append(FactorKind.PASSKEY)
    codes = reader.recovery_codes(user_id)
    if found and codes is not None and codes.left:
        found.append(FactorKind.RECOVERY_CODE)
    return tuple(found)


def take_totp(proofs: Proofs, tx: SignInWrites, act: Act, user: User, code: str) -> bool:
    """Take a one-time password of the active secret, newer than the last one taken."""
    factor = tx.totp(user.id, is_active=True)
    if factor is None:
        return False
    step = proofs.totp.step(user.id, factor.sealed, code, act.now)
    if step is None or step <= factor.last_step:  # RFC 6238 section 5.2: never a second time
        return False
    tx.put_totp(replace(factor, last_step=step))
    return True


def take_recovery_code(proofs: Proofs, tx: FactorWrites, act: Act, user: User, code: str) -> bool:
    """Take a recovery code, if there is a factor that it stands in for."""
    if FactorKind.RECOVERY_CODE not in factors_of(tx, user.id):
        return False
    if not tx.use_recovery_code(user.id, proofs.recovery.digest(user.id, code), act.now):
        return False
    codes = tx.recovery_codes(user.id)
    act.record(tx, RecoveryCodeUsed(user.id, user.name, codes.left if codes else 0))
    return True


def take_passkey(
    proofs: Proofs,
    tx: FactorWrites,
    act: Act,
    user_id: str,
    ticket: str,
    answer: Mapping[str, Any],
    origin: str,
) -> User | None:
    """Take an authenticator's answer to one of our challenges; whose passkey it was.

    ``user_id`` is whom the challenge was made for; empty: for whoever answers.
    """
    challenge = proofs.passkeys.challenge(ticket, act.now)
    if challenge is None or challenge.user_id != user_id:
        return None
    passkey = tx.passkey(str(answer.get("id", "")))
    if passkey is None or user_id not in ("", passkey.user_id):
        return None
    count = proofs.passkeys.count(challenge, passkey, answer, origin)
    if count is None or not tx.use_challenge(challenge.challenge, challenge.ends_at, act.now):
        return None
    tx.put_passkey(replace(passkey, sign_count=count, last_used_at=act.now))
    return tx.user(passkey.user_id)
