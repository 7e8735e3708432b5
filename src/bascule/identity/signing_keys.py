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
KeyIds = tuple[str, str]  # of the key before and of the new one
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

    def use(self, signing: bytes, retired: bytes | None) -> bool:
        """Have these contents of the two files, whatever is in the data directory; were they others?

        Raises ConfigurationError; then the keys of before stay.
        """
        before = self._known()
        self._take(_key_of(signing, self._data_dir / SIGNING_KEY), retired)
        return self._known() != before

    def _known(self) -> tuple[str, Mapping[str, datetime]]:
        return self.kid, {kid: each.at for kid, each in self._retired.items()}

    def _read(self) -> None:
        signing = _read_or_make_key(self._data_dir / SIGNING_KEY)
        self._take(signing, read_if_present(self._data_dir / RETIRED_KEYS))

    def _take(self, signing: RSAKey, retired: bytes | None) -> None:
        kid = signing.thumbprint()
        known = _read_retired(retired, self._data_dir / RETIRED_KEYS)
        self.signing, self.kid = signing, kid
        self._retired = {each: key for each, key in known.items() if each != kid}

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
        kept = _retire(self.signing, self._retired, now, forget=forget)
        write_atomically(self._data_dir / RETIRED_KEYS, kept, PRIVATE)
        made = new_key()
        write_atomically(self._data_dir / SIGNING_KEY, made.as_pem(private=True), PRIVATE)
        self._read()
        return before, self.kid


def new_key() -> RSAKey:
    return RSAKey.generate_key(KEY_BITS, private=True)


def rotated(
    signing: bytes, retired: bytes | None, made: RSAKey, now: datetime, *, forget: bool
) -> tuple[KeyIds, bytes]:
    """``SigningKeys.rotate`` by the contents of its files: the kids, and the list of retired keys."""
    key = RSAKey.import_key(signing)
    known = _read_retired(retired, Path(RETIRED_KEYS))
    kept = _retire(key, known, now, forget=forget)
    return (key.thumbprint(), made.thumbprint()), kept.encode()


def _retire(
    signing: RSAKey, retired: Mapping[str, _Retired], now: datetime, *, forget: bool
) -> str:
    """The list of retired keys once ``signing`` is one of them, those that are over left out."""
    all_ = {} if forget else {**retired, signing.thumbprint(): _Retired(signing, now)}
    kept = [
        {**_public(each.key, kid), "retired_at": format_utc(each.at)}
        for kid, each in all_.items()
        if each.verifies_at(now)
    ]
    return json.dumps({"keys": kept}, indent=2) + "\n"


def _public(key: RSAKey, kid: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}


def _read_or_make_key(path: Path) -> RSAKey:
    pem = read_if_present(path)
    if pem is None:
        key = new_key()
        write_atomically(path, key.as_pem(private=True), PRIVATE)
        return key
    return _key_of(pem, path)


def _key_of(pem: bytes, path: Path) -> RSAKey:
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


def _read_retired(content: bytes | None, path: Path) -> dict[str, _Retired]:
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
