"""Witnesses and keys as files give them to ``bascule audit verify``.

A witness file is what ``bascule agent status -o json`` prints on a protected host, the
``witness.json`` of an agent's state directory, or ``{"position", "hash"}`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bascule.domain.chain import ChainHead
from bascule.domain.proof import Witness
from bascule.errors import InvalidInput

LARGEST_FILE = 1 << 20  # bytes


def read_witnesses(path: Path) -> list[Witness]:
    """Every place of the chain that this file tells of; raise InvalidInput when none."""
    try:
        data = json.loads(_read(path, "--witness"))
    except (ValueError, RecursionError):
        data = None
    found = list(_witnesses(data, path.name))
    if not found:
        raise InvalidInput(
            f"{path} contains no position of the record.",
            target="--witness",
            advice="To make one on a protected host: bascule agent status -o json > FILE.",
        )
    return found


def read_public_key(given: str) -> str:
    """A public key as text, or in a file: the text alone, or what ``audit key -o json`` prints."""
    path = Path(given)
    if len(given) < 200 and not path.is_file():
        return given.strip()
    text = _read(path, "--public-key").strip()
    try:
        data = json.loads(text)
    except ValueError:
        return text
    return str(data.get("publicKey", "")) if isinstance(data, dict) else text


def _witnesses(data: object, name: str) -> Iterator[Witness]:
    if not isinstance(data, dict):
        return
    name = str(data.get("machine") or name)
    own = _head(data)
    if own is not None:
        yield Witness(name, own)
    for key in ("record", "head", "first", "seen"):  # as agents write what they keep
        yield from _witnesses(data.get(key), name)
    marks = data.get("marks")
    for each in marks if isinstance(marks, list) else ():
        yield from _witnesses(each, name)


def _head(data: dict[str, Any]) -> ChainHead | None:
    position, digest = data.get("position"), data.get("hash")
    if isinstance(position, int) and position > 0 and isinstance(digest, str) and len(digest) == 64:
        return ChainHead(position, digest)
    return None


def _read(path: Path, target: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", target=target) from None
