"""The host as a witness of the server's record (EDGES B9).

With each state the server tells where the chain of its record ends. The agent keeps the
furthest place that it was told of, and at each asking wants to hear the hash of that place
again. A chain that is shorter now, or has another hash there, is another past: it is kept
as evidence, reported, and stays a weakness until root removes the file. From then on the
new chain is witnessed, the evidence stays. A server that was restored from a backup does
this too; its owner knows then why. Another installation, at which root enrolled this agent,
has another record: what was seen of the one before is kept aside.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from bascule.agent.state import LARGEST
from bascule.domain.chain import ChainHead
from bascule.errors import BasculeError
from bascule.files import write_atomically

log = structlog.get_logger("bascule.agent")

FILE = "witness.json"
KEPT_ASIDE = "witness.previous.json"  # what was seen of another installation
SAVE_SECONDS = 30.0  # the disk is not asked for each event; evidence is saved at once


class Witness:
    """What was seen of the record; in memory alone without a directory. For one thread."""

    def __init__(self, directory: Path | None = None, tenant_id: str = "") -> None:
        """``tenant_id`` names the installation; empty: whichever it is."""
        self._path = directory / FILE if directory is not None else None
        self._tenant_id = tenant_id
        self.head = ChainHead()  # the furthest that we were told of
        self.first: tuple[ChainHead, str] | None = None  # what was contradicted, and how
        self._pending: tuple[str, ...] = ()  # not reported yet
        self._saved: tuple[object, ...] = ()
        self._next_save = 0.0
        self._load()

    def take(self, told: object) -> None:
        """Compare what a state says of the record with what was seen, and go on from there."""
        if not isinstance(told, Mapping):
            return  # a server of before
        head = _read_head(told)
        if head is None:
            return
        what = _contradiction(self.head, head, told)
        if what:
            log.error("the server's record is not the one that was seen", what=what)
            self._pending = (*self._pending, what)[-8:]
            if self.first is None:
                self.first = (self.head, what)
            self._next_save = 0.0
        self.head = head

    def pending(self) -> tuple[str, ...]:
        """Contradictions that the server was not told of yet."""
        return self._pending

    def forget(self, reported: tuple[str, ...]) -> None:
        self._pending = self._pending[len(reported) :]

    def weaknesses(self) -> tuple[str, ...]:
        if self.first is None:
            return ()
        sentence = (
            f"the server's record was changed: {self.first[1]}. The evidence is in this agent's "
            f"state directory, {FILE} (bascule audit verify --witness); remove it and restart "
            "the agent once the reason is known"
        )
        return (sentence,)

    def facts(self) -> dict[str, str]:
        if not self.head.position:
            return {}
        return {"record seen": f"event {self.head.position}, {self.head.hash[:16]}"}

    def status(self) -> dict[str, Any]:
        """What ``bascule audit verify --witness`` reads."""
        return {
            "head": {"position": self.head.position, "hash": self.head.hash},
            "first": None
            if self.first is None
            else {
                "position": self.first[0].position,
                "hash": self.first[0].hash,
                "what": self.first[1],
            },
        }

    def save(self, now: float) -> None:
        """Write what changed, not more often than SAVE_SECONDS; a full disk is said, no more."""
        state = (self.head, self.first)
        if self._path is None or now < self._next_save or state == self._saved:
            return
        self._next_save = now + SAVE_SECONDS
        try:
            write_atomically(self._path, json.dumps(self._record()) + "\n")
            self._saved = state
        except BasculeError as error:
            log.error("what was seen of the record is not on disk", why=error.message)

    def _record(self) -> dict[str, Any]:
        named = {"tenantId": self._tenant_id} if self._tenant_id else {}
        return {**named, **self.status()}

    def _load(self) -> None:
        if self._path is None:
            return
        with contextlib.suppress(OSError, ValueError, AttributeError):
            data = json.loads(self._path.read_text())
            seen_at = data.get("tenantId", self._tenant_id)  # not there: of before it was kept
            if self._tenant_id and seen_at != self._tenant_id:
                self._path.replace(self._path.with_name(KEPT_ASIDE))
                return
            self.head = _read_head(data.get("head")) or ChainHead()
            first = _read_head(data.get("first"))
            self.first = (first, str(data["first"].get("what", ""))) if first is not None else None
            self._saved = (self.head, self.first)


def _contradiction(kept: ChainHead, head: ChainHead, told: Mapping[str, Any]) -> str:
    """How what is told now differs from what was seen; empty when it goes on from there."""
    if head.position < kept.position:
        return f"it ends at event {head.position} and went up to {kept.position}"
    if kept.position == 0:
        return ""
    again = head.hash if head.position == kept.position else told.get("seenHash")
    begin = told.get("begin")
    if again is None and isinstance(begin, int) and begin >= kept.position:
        return ""  # retention deleted it, which the record itself tells
    return "" if again == kept.hash else f"event {kept.position} is another one than it was"


def _read_head(data: object) -> ChainHead | None:
    """The place that is told; None when it cannot be one. No server of ours takes a position
    beyond LARGEST: kept, it would shut this agent out for ever.
    """
    if not isinstance(data, Mapping):
        return None
    position, digest = data.get("position"), data.get("hash")
    if isinstance(position, int) and 0 <= position <= LARGEST and isinstance(digest, str):
        return ChainHead(position, digest)
    return None
