"""All kinds of proof put together, for one installation."""

from __future__ import annotations

from pathlib import Path

from bascule.identity.passkeys import WebAuthnPasskeys
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.recovery import RecoveryCodeBook
from bascule.identity.sealing import Sealer
from bascule.identity.totp import TotpCodes


class IdentityProofs:
    """``interfaces.proofs.Proofs``."""

    def __init__(
        self, data_dir: Path, rp_id: str, passwords: Argon2Passwords | None = None
    ) -> None:
        """``rp_id`` is the server's first name, without a port; raise ConfigurationError."""
        sealer = Sealer(data_dir)
        self.passwords = passwords or Argon2Passwords()
        self.totp = TotpCodes(sealer)
        self.recovery = RecoveryCodeBook()
        self.passkeys = WebAuthnPasskeys(sealer, rp_id)
