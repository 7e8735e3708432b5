"""The keys that sign tokens: one signs, those before it verify until their tokens are over.

``token-signing.key`` is the one that signs (PEM, 0600). ``token-retired-keys.json`` holds the
public halves of those that it replaced, with the moment of each replacement; nobody can sign
with them any more. A rotation writes the retired half first, so that one that is killed
half-way has only noted a key that still signs, which changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from bascule.domain.times import format_utc, parse_instant
from bascule.errors import ConfigurationError, InvalidInput
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present

SIGNING_KEY = "token-signing.key"
RETIRED_KEYS = "token-retired-keys.json"
ALGORITHM = "RS256"
KEY_BITS = 2048
# The longest life of a token, and what clocks may differ by.
VERIFIES_FOR = timedelta(hours=1, minutes=5)


@dataclass(frozen=True, slots=True)
class _Retired:
    key: RSAKey
    at: datetime

    def verifies_at(self, now: datetime) -> bool:
        return now < self.at + VERIFIES_FOR


class SigningKeys:
    """The keys of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Read the keys; the first start makes one. Raises ConfigurationError."""
        self._data_dir = data_dir
        self._read()

    def _read(self) -> None:
        self.signing = _read_or_make_key(self._data_dir / SIGNING_KEY)
        self.kid = self.signing.thumbprint()
        retired = _read_retired(self._data_dir / RETIRED_KEYS)
        self._retired = {kid: each for kid, each in retired.items() if kid != self.kid}

    def find(self, kid: object, now: datetime) -> RSAKey | None:
        """The key by which a token of this kid is verified now."""
        if kid == self.kid:
            return self.signing
        retired = self._retired.get(kid) if isinstance(kid, str) else None
        return retired.key if retired is not None and retired.verifies_at(now) else None

    def public(self, now: datetime) -> dict[str, list[dict[str, Any]]]:
        """The public halves of all that verify now, the one that signs first (RFC 7517)."""
        keys = {self.kid: self.signing} | {
            kid: each.key for kid, each in self._retired.items() if each.verifies_at(now)
        }
        return {"keys": [_public(key, kid) for kid, key in keys.items()]}

    def rotate(self, now: datetime, *, forget: bool = False) -> tuple[str, str]:
        """Make a new key and sign with it; answer the kids of the one before and of the new.

        ``forget``: the keys of before verify nothing from now on (one of them was stolen).
        """
        before = self.kid
        retired = {} if forget else {**self._retired, before: _Retired(self.signing, now)}
        kept = [
            {**_public(each.key, kid), "retired_at": format_utc(each.at)}
            for kid, each in retired.items()
            if each.verifies_at(now)
        ]
        write_atomically(
            self._data_dir / RETIRED_KEYS, json.dumps({"keys": kept}, indent=2) + "\n", PRIVATE
        )
        made = RSAKey.generate_key(KEY_BITS, private=True)
        write_atomically(self._data_dir / SIGNING_KEY, made.as_pem(private=True), PRIVATE)
        self._read()
        return before, self.kid


def _public(key: RSAKey, kid: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}


def _read_or_make_key(path: Path) -> RSAKey:
    pem = read_if_present(path)
    if pem is None:
        key = RSAKey.generate_key(KEY_BITS, private=True)
        write_atomically(path, key.as_pem(private=True), PRIVATE)
        return key
    try:
        key = RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is damaged: {error}.",
            advice="Remove it: the next start makes a new one, and everybody must sign in again.",
        ) from error
    if not key.is_private:
        raise ConfigurationError(
            f"{path} contains no private key.",
            advice="Remove it: the next start makes a new one, and everybody must sign in again.",
        )
    return key


def _read_retired(path: Path) -> dict[str, _Retired]:
    content = read_if_present(path)
    if content is None:
        return {}
    try:
        listed: list[Mapping[str, Any]] = json.loads(content)["keys"]
        return dict(_retired(each) for each in listed)
    except (JoseError, InvalidInput, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"{path} is damaged: {error}.",
            advice="Remove it: people with tokens signed by an earlier key must sign in again.",
        ) from error


def _retired(listed: Mapping[str, Any]) -> tuple[str, _Retired]:
    key = RSAKey.import_key({name: listed[name] for name in ("kty", "n", "e")})
    return key.thumbprint(), _Retired(key, parse_instant(listed["retired_at"]))
