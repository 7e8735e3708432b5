"""Recovery codes: for whoever lost the second factor. Ten, each for once, shown once.

A code has 80 bits of chance, so one round of SHA-256 keeps it (NIST SP 800-63B section 3.1.2,
look-up secrets): nobody chose it, and nobody guesses it. Crockford's base32, in which no two
characters are mistaken for each other when read from paper.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

CODES = 10
CHARACTERS = 16  # of five bits
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


class RecoveryCodeBook:
    """``interfaces.proofs.RecoveryCodeMaker``."""

    def new(self, user_id: str) -> Sequence[tuple[str, str]]:
        codes = [_new_code() for _ in range(CODES)]
        return [(code, self.digest(user_id, code)) for code in codes]

    def digest(self, user_id: str, code: str) -> str:
        letters = "".join(each for each in code.upper() if each.isalnum()).translate(_MISREAD)
        return hashlib.sha256(f"{user_id}/{letters}".encode(errors="replace")).hexdigest()


def _new_code() -> str:
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(CHARACTERS))
    return "-".join(letters[start : start + 4] for start in range(0, CHARACTERS, 4))
