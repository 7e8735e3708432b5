"""One-time passwords by time: RFC 6238 as every authenticator app knows it.

SHA-1, six digits, thirty seconds; the step before and the one after count as well, for
clocks that differ and people who type (section 5.2). That each step counts once is the
store's affair.
"""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp

from bascule.domain.principals import User
from bascule.identity.sealing import Sealer
from bascule.interfaces.proofs import NewTotp

ISSUER = "Bascule"
DIGITS = 6
STEP_SECONDS = 30
STEPS_OFF = 1  # before and after


class TotpCodes:
    """``interfaces.proofs.OneTimePasswords``."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def new(self, user: User) -> NewTotp:
        secret = pyotp.random_base32()  # 160 bits (RFC 4226 section 4, R6)
        uri = pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER)
        return NewTotp(self._sealer.seal(_purpose(user.id), secret.encode()), secret, uri)

    def step(self, user_id: str, sealed: str, code: str, now: datetime) -> int | None:
        given = "".join(code.split())
        secret = self._sealer.open(_purpose(user_id), sealed)
        if secret is None or len(given) != DIGITS or not given.isascii() or not given.isdigit():
            return None
        codes = pyotp.TOTP(secret.decode())
        present = int(now.timestamp()) // STEP_SECONDS
        near = range(present - STEPS_OFF, present + STEPS_OFF + 1)
        right = [step for step in near if hmac.compare_digest(codes.generate_otp(step), given)]
        return max(right, default=None)


def _purpose(user_id: str) -> str:
    return f"totp/{user_id}"
