"""All kinds of proof put together, for one installation."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.identity.browser_marks import SealedMarks
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.recovery import RecoveryCodeBook
from bascule.identity.sealing import Sealer
from bascule.identity.totp import TotpCodes

if TYPE_CHECKING:
    from bascule.identity.passkeys import WebAuthnPasskeys


class IdentityProofs:
    """``interfaces.proofs.Proofs``."""

    def __init__(
        self, data_dir: Path, rp_id: str, passwords: Argon2Passwords | None = None
    ) -> None:
        """``rp_id`` is the server's first name, without a port; raise ConfigurationError."""
        self._sealer, self._rp_id = Sealer(data_dir), rp_id
        self.passwords = passwords or Argon2Passwords()
        self.totp = TotpCodes(self._sealer)
        self.recovery = RecoveryCodeBook()
        self.marks = SealedMarks(self._sealer)
        self.count_key = self._sealer.derive("sign-in counts")

    @cached_property
    def passkeys(self) -> WebAuthnPasskeys:
        from bascule.identity.passkeys import WebAuthnPasskeys  # noqa: PLC0415  # reason: slow to load

        return WebAuthnPasskeys(self._sealer, self._rp_id)
