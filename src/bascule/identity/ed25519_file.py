"""A private key of this installation in a file of its own: Ed25519 (RFC 8032), made when it is missing."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present


def read_or_make(path: Path, loses: str) -> Ed25519PrivateKey:
    """The key in ``path`` (PEM, 0600). Raises ConfigurationError where the file has none; ``loses`` says
    what a new key would not do.
    """
    pem = read_if_present(path)
    if pem is None:
        key = Ed25519PrivateKey.generate()
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(path, written, PRIVATE)
        return key
    try:
        found = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _damaged(path, str(error), loses) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise _damaged(path, "it contains another kind of key", loses)
    return found


def raw_public(key: Ed25519PrivateKey) -> bytes:
    """32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _damaged(path: Path, why: str, loses: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is damaged: {why}.",
        advice="Restore it from a backup. If there is none, remove it: the next start makes a new "
        f"one, and {loses}.",
    )
