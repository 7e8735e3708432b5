"""Generated secrets: made here, kept as SHA-256, compared without telling time apart.

A generated secret has 256 bits, so one round of SHA-256 keeps it (EDGES A27); a slow hash
is for what people choose, and nobody chooses these. What is not here: passwords.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets

SECRET_BYTES = 32
ENROLMENT_PREFIX = "bascule-enrol."


def new_secret() -> str:
    """43 characters of A-Z a-z 0-9 - _, 256 bits."""
    return secret_of(secrets.token_bytes(SECRET_BYTES))


def secret_of(key: bytes) -> str:
    """These bytes as a secret.

    The first is no ``-``: ``az login -p SECRET`` would take it for an option.
    """
    made = base64.urlsafe_b64encode(key).decode().rstrip("=")
    return f"_{made[1:]}" if made.startswith("-") else made


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_same_secret(given: str, stored_hash: str) -> bool:
    """Does ``given`` hash to ``stored_hash``? Takes the same time whatever differs."""
    return hmac.compare_digest(sha256_hex(given).encode(), stored_hash.encode())


def new_enrolment_token(
    machine_uid: str,
    ca_fingerprint: str,
    trust_key: str,
    secret: str = "",
    *,
    is_through: bool = False,
) -> str:
    """A token that names its machine, works once, and pins the CA and the trust key (EDGES A12, I1).

    The whole text is the secret; it is never sent, and the server stores the SHA-256 of what is
    (``protocol.signed.token_public``). ``secret`` is what is secret of it; empty: a new one.
    ``is_through``: its agent comes through a proxy that ends TLS, whose certificate others issued.
    """
    content: dict[str, object] = {"u": machine_uid, "s": secret or new_secret()}
    content |= {"c": ca_fingerprint, "k": trust_key}
    if is_through:
        content["p"] = 1
    compact = json.dumps(content, separators=(",", ":")).encode()
    return ENROLMENT_PREFIX + base64.urlsafe_b64encode(compact).decode().rstrip("=")
