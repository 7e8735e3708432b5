"""The record as a chain: positions, links, and signed checkpoints.

Every event has a position, counted from 1 without a gap, and a hash that covers the hash before
it, the position and the event (``link_hash``; docs/record.md has the canonical form). A
checkpoint is the installation's signature of one position, which fixes all events up to it. Not
here: keys and signatures (``identity`` makes them, ``client`` checks them), and the verification
of whole exports (``domain.proof``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bascule.domain.times import format_utc, parse_instant

GENESIS = "0" * 64  # the hash before the first record
_CHECKPOINT_CONTEXT = b"bascule checkpoint 1\n"  # a signature under one is good for nothing else
_EXPORT_CONTEXT = b"bascule export 1\n"
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """A position in the chain; its hash covers everything before it."""

    position: int = 0  # how many events there were up to here; 0: before the first
    hash: str = GENESIS  # 64 hex digits


@dataclass(frozen=True, slots=True)
class Link:
    """One sealed event."""

    position: int
    record: Mapping[str, Any]  # Event.record() as it was written
    hash: str

    @property
    def head(self) -> ChainHead:
        return ChainHead(self.position, self.hash)


def link_hash(previous: str, position: int, record: Mapping[str, Any]) -> str:
    """The hash of the event at ``position``; ``previous`` is the hash of the one before."""
    return text_hash(previous, position, canonical(record))


def text_hash(previous: str, position: int, event: bytes) -> str:
    """``link_hash`` of an event that is canonical JSON already."""
    body = b'{"event":%b,"position":%d}' % (event, position)
    return hashlib.sha256(previous.encode() + b"\n" + body).hexdigest()


def link_after(head: ChainHead, record: Mapping[str, Any]) -> Link:
    """The next link of the chain."""
    position = head.position + 1
    return Link(position, record, link_hash(head.hash, position, record))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One signed position of the chain."""

    head: ChainHead
    at: datetime  # when it was signed
    key_id: str
    signature: str = ""  # Ed25519 (RFC 8032), base64url without padding

    def statement(self) -> bytes:
        """What the signature covers."""
        unsigned = checkpoint_json(replace(self, signature=""))
        return _CHECKPOINT_CONTEXT + canonical(unsigned)


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    written = {
        "at": format_utc(checkpoint.at),
        "hash": checkpoint.head.hash,
        "keyId": checkpoint.key_id,
        "position": checkpoint.head.position,
    }
    return {**written, "signature": checkpoint.signature} if checkpoint.signature else written


def read_checkpoint(data: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint as ``checkpoint_json`` writes it.

    Raises KeyError, TypeError, ValueError or InvalidInput for anything else.
    """
    return Checkpoint(
        ChainHead(int(data["position"]), str(data["hash"])),
        parse_instant(data["at"]),
        str(data["keyId"]),
        str(data["signature"]),
    )


def export_statement(header: Mapping[str, Any]) -> bytes:
    """The signed text of an export's header: everything except the signature."""
    unsigned = {key: value for key, value in header.items() if key != "signature"}
    return _EXPORT_CONTEXT + canonical(unsigned)


def canonical(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, without blanks and in ASCII alone: one value, one text."""
    return _CANONICAL.encode(value).encode()
