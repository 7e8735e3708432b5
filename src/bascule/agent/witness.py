"""The host as a witness of the server's record (EDGES B9, E2).

With each state the server tells where the chain of its record ends, and in between, on the line,
how far it has come. The agent keeps the furthest place that a state told and the furthest that was
told since, and at each asking wants to hear the hashes of both again. A chain that is shorter now,
or has another hash there, is another past: it is kept as evidence, reported, and stays a weakness
until root removes the file. From then on the new chain is witnessed, the evidence stays. A server
that was restored from a backup does this too; its owner knows then why. If the restore is signed with the
recovery key whose public half was told first, no root is needed: what was seen is kept as evidence, and
the chain that the signature names is witnessed from then on (EDGES I6). Another installation, at
which root enrolled this agent, has another record: what was seen of the one before is kept aside.

Once a day the place and the time are kept as a mark. The floor that the server told first is
the one that holds here: when the record begins behind a mark that is younger, events were
deleted that had to stay, and that is an alarm too. A later floor changes nothing, so that a
server in the wrong hands cannot talk its witnesses out of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from bascule.domain.chain import ChainHead
from bascule.domain.plain import clean
from bascule.domain.restoration import Restoration
from bascule.domain.retention import LONGEST_FLOOR, SHORTEST_FLOOR
from bascule.domain.times import format_utc, parse_instant
from bascule.domain.weaknesses import RECORD_CHANGED, Weakness
from bascule.errors import BasculeError
from bascule.files import write_atomically
from bascule.protocol.shape import LARGEST
from bascule.protocol.state import LONGEST_HASH, RecordMark

log = structlog.get_logger("bascule.agent")

FILE = "witness.json"
KEPT_ASIDE = "witness.previous.json"  # what was seen of another installation
RECORD_RESTORED = "record restored"  # when, and the furthest place of before
RECORD_SEEN = "record seen"  # the fact of a report that names the furthest place
MARK_EVERY = timedelta(days=1)
MOST_MARKS = 400
MOST_SETTLED = 20
SLACK = timedelta(hours=1)  # between this host's clock and the server's, and for sealing
SAVE_SECONDS = 30.0  # the disk is not asked for each event; evidence is saved at once


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the record went at some time."""

    head: ChainHead
    at: datetime  # by this host's clock


@dataclass(frozen=True, slots=True)
class Settled:
    """A restore that explained why the record is another one."""

    number: int
    at: datetime
    reason: str
    seen: ChainHead  # the place that the record of before had reached: the evidence


class Witness:
    """What was seen of the record; in memory alone without a directory. For one thread."""

    def __init__(self, directory: Path | None = None, tenant_id: str = "") -> None:
        """``tenant_id`` names the installation; empty: whichever it is."""
        self._path = directory / FILE if directory is not None else None
        self._tenant_id = tenant_id
        self.head = ChainHead()  # the furthest that a state told
        self.told = ChainHead()  # what was told beyond it, not verified yet
        self.first: tuple[ChainHead, str] | None = None  # what was contradicted, and how
        self.floor: timedelta | None = None  # as it was first told; None: not yet
        self.marks: tuple[Mark, ...] = ()  # oldest first
        self.recovery_key = ""  # its public half, as it was first told
        self.restored: tuple[Settled, ...] = ()  # oldest first
        self._refused_key = ""
        self._heard: tuple[ChainHead, str] | None = None  # for the next state to explain
        self._pending: tuple[str, ...] = ()  # not reported yet
        self._saved: tuple[object, ...] = ()
        self._next_save = 0.0
        self._load()

    def take(self, told: RecordMark | None, now: datetime) -> None:
        """Compare what a state says of the record with what was seen, and go on from there."""
        if told is None:
            return  # nothing that can be read
        head = ChainHead(told.position, told.hash)
        heard, self._heard, was_told = self._heard, None, ChainHead()
        for kept, again in ((self.head, told.seen_hash), (self.told, told.told_hash)):
            what = _contradiction(kept, head, again, told.begin)
            if what:
                self.marks, heard = (), None  # of another chain
                explained = self._explanation(kept, head, told.restored or ())
                if explained is None:
                    self._dispute(kept, what)
                else:
                    self._settle(explained, kept)
                    # The next state has to have the hash that was signed, and this one's.
                    head, was_told = explained.new, head
                break
        if heard is not None:
            self._dispute(*heard)
        self.head, self.told = head, was_told
        self._learn(told.recovery_key)  # a key that comes with what it explains explains nothing
        self._mark(head, told, now)

    def hear(self, head: ChainHead) -> None:
        """Keep where the record ends as the server told unasked, for the next state to confirm."""
        for kept in (self.head, self.told):
            if head.position == kept.position and head.hash != kept.hash:
                if self.recovery_key:
                    self._heard = (kept, _another(kept))
                else:
                    self._dispute(kept, _another(kept))
                return
        if head.position > max(self.head.position, self.told.position):
            self.told = head

    def _learn(self, recovery_key: str | None) -> None:
        """The first that is told counts: who takes over a server cannot bring another."""
        if not recovery_key or recovery_key == self.recovery_key:
            return
        if self.recovery_key:
            if recovery_key != self._refused_key:
                log.warning(
                    "the server tells another recovery key; the first one told still counts"
                )
                self._refused_key = recovery_key
            return
        self.recovery_key = recovery_key
        self._next_save = 0.0

    def _explanation(
        self, seen: ChainHead, head: ChainHead, told: Sequence[Restoration]
    ) -> Restoration | None:
        """The restore that explains it, signed with the recovery key; each explains once."""
        last = self.restored[-1].number if self.restored else 0
        for each in sorted(told, key=lambda restoration: restoration.number):
            is_ours = self._tenant_id in ("", each.tenant_id)
            if is_ours and each.number > last and each.explains(seen, head) and self._signed(each):
                return each
        return None

    def _signed(self, restoration: Restoration) -> bool:
        from bascule.client.signature import is_signed_for_recovery  # noqa: PLC0415  # reason: rare

        return is_signed_for_recovery(
            self.recovery_key, restoration.statement(), restoration.signature
        )

    def _settle(self, restoration: Restoration, seen: ChainHead) -> None:
        log.warning(
            "the server was restored from a backup, signed with the recovery key",
            at=format_utc(restoration.at),
            reason=clean(restoration.reason),
            seen=seen.position,
        )
        settled = Settled(restoration.number, restoration.at, clean(restoration.reason), seen)
        self.restored = (*self.restored, settled)[-MOST_SETTLED:]
        self._next_save = 0.0

    def _dispute(self, seen: ChainHead, what: str) -> None:
        log.error("the server's record is not the one that was seen", what=what)
        self._pending = (*self._pending, what)[-8:]
        if self.first is None:
            self.first = (seen, what)
        self._next_save = 0.0

    def _mark(self, head: ChainHead, told: RecordMark, now: datetime) -> None:
        """Keep today's mark, and look for events that were deleted before their time."""
        self.floor = self.floor or told.floor
        if self.floor is None:
            return  # not told
        # A time still to come was written by a clock that was wrong; it was not later than now.
        self.marks = tuple(replace(each, at=min(each.at, now)) for each in self.marks)
        begin = told.begin
        if begin is not None:
            passed = [each for each in self.marks if each.head.position < begin]
            young = [each for each in passed if now - each.at < self.floor - SLACK]
            self.marks = self.marks[len(passed) :]
            if young:
                self._dispute(young[0].head, _deleted(begin, young[0], self.floor))
        spacing = max(MARK_EVERY, self.floor / (MOST_MARKS - 1))
        if not self.marks or now - self.marks[-1].at >= spacing:
            self.marks = (*self.marks, Mark(head, now))[-MOST_MARKS:]
            self._next_save = 0.0

    def pending(self) -> tuple[str, ...]:
        """Contradictions that the server was not told of yet."""
        return self._pending

    def forget(self, reported: tuple[str, ...]) -> None:
        self._pending = self._pending[len(reported) :]

    def weaknesses(self) -> tuple[Weakness, ...]:
        return () if self.first is None else (RECORD_CHANGED(difference=self.first[1], file=FILE),)

    def facts(self) -> dict[str, str]:
        if not self.head.position:
            return {}
        told = {RECORD_SEEN: f"event {self.head.position}, {self.head.hash[:16]}"}
        if self.restored:
            last = self.restored[-1]
            told[RECORD_RESTORED] = (
                f"on {last.at:%Y-%m-%d %H:%M} UTC; before, event {last.seen.position}, "
                f"{last.seen.hash[:16]}"
            )
        return told

    def status(self) -> dict[str, Any]:
        """What ``bascule audit verify --witness`` reads."""
        return {
            "head": {"position": self.head.position, "hash": self.head.hash},
            "told": {"position": self.told.position, "hash": self.told.hash},
            "first": None
            if self.first is None
            else {
                "position": self.first[0].position,
                "hash": self.first[0].hash,
                "what": self.first[1],
            },
            "floorSeconds": int(self.floor.total_seconds()) if self.floor else None,
            "marks": [
                {
                    "position": each.head.position,
                    "hash": each.head.hash,
                    "at": format_utc(each.at),
                }
                for each in self.marks
            ],
            "recoveryKey": self.recovery_key,
            "restored": [
                {
                    "number": each.number,
                    "at": format_utc(each.at),
                    "reason": each.reason,
                    "before": {"position": each.seen.position, "hash": each.seen.hash},
                }
                for each in self.restored
            ],
        }

    def save(self, now: float) -> None:
        """Write what changed, not more often than SAVE_SECONDS; a full disk is said, no more."""
        state = self._state()
        if self._path is None or now < self._next_save or state == self._saved:
            return
        self._next_save = now + SAVE_SECONDS
        try:
            write_atomically(self._path, json.dumps(self._record()) + "\n")
            self._saved = state
        except BasculeError as error:
            log.error("what was seen of the record is not on disk", why=error.message)

    def _state(self) -> tuple[object, ...]:
        return (
            *(self.head, self.told, self.first, self.floor, self.marks),
            *(self.recovery_key, self.restored),
        )

    def _record(self) -> dict[str, Any]:
        named = {"tenantId": self._tenant_id} if self._tenant_id else {}
        return {**named, **self.status()}

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            data = json.loads(self._path.read_text())
            seen_at = data.get("tenantId", self._tenant_id)  # not there: of before it was kept
            if self._tenant_id and seen_at != self._tenant_id:
                self._path.replace(self._path.with_name(KEPT_ASIDE))
                return
            self.head = _read_head(data.get("head")) or ChainHead()
            self.told = _read_head(data.get("told")) or ChainHead()
            first = _read_head(data.get("first"))
            self.first = (first, str(data["first"].get("what", ""))) if first is not None else None
            self.floor = _read_floor(data)
            self.marks = tuple(_read_marks(data.get("marks")))
            self.recovery_key = str(data.get("recoveryKey") or "")
            self.restored = tuple(_read_restored(data.get("restored")))
            self._saved = self._state()
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            log.error("what was seen of the record cannot be read", file=FILE, why=str(error))


def _contradiction(kept: ChainHead, head: ChainHead, again: str | None, begin: int | None) -> str:
    """How the record that ends at ``head`` differs from one that went through ``kept``; empty when
    it goes on from there. ``again`` is the hash that it has there now.
    """
    if head.position < kept.position:
        return f"it ends at event {head.position}, but reached event {kept.position} before"
    if kept.position == 0:
        return ""
    if head.position == kept.position:
        again = head.hash
    if again is None and begin is not None and begin >= kept.position:
        return ""  # retention deleted it, which the record itself tells
    return "" if again == kept.hash else _another(kept)


def _another(kept: ChainHead) -> str:
    return f"event {kept.position} has changed"


def _deleted(begin: int, mark: Mark, floor: timedelta) -> str:
    return (
        f"events up to {begin} were deleted, and what came after event {mark.head.position} was "
        f"recorded after {mark.at:%Y-%m-%d %H:%M} UTC, to be kept for {floor.days} days"
    )


def _read_floor(told: Mapping[str, Any]) -> timedelta | None:
    """The floor; None when it is not told, or is none that a server of ours may have."""
    seconds = told.get("floorSeconds")
    least, most = SHORTEST_FLOOR.total_seconds(), LONGEST_FLOOR.total_seconds()
    if isinstance(seconds, int) and least <= seconds <= most:
        return timedelta(seconds=seconds)
    return None


def _read_marks(data: object) -> Iterator[Mark]:
    """Those that can be read, as they were written."""
    for each in data if isinstance(data, list) else ():
        head = _read_head(each)
        with contextlib.suppress(BasculeError, TypeError):
            if head is not None:
                yield Mark(head, parse_instant(each.get("at")))


def _read_restored(data: object) -> Iterator[Settled]:
    for each in data if isinstance(data, list) else ():
        with contextlib.suppress(
            BasculeError, TypeError, ValueError, AttributeError, OverflowError
        ):
            seen, reason = _read_head(each.get("before")), str(each.get("reason", ""))
            if seen is not None:
                yield Settled(int(each.get("number")), parse_instant(each.get("at")), reason, seen)


def _read_head(data: object) -> ChainHead | None:
    """The place that is told; None when it cannot be one. No server of ours takes a position
    beyond LARGEST: kept, it would lock this agent out for ever.
    """
    if not isinstance(data, Mapping):
        return None
    position, digest = data.get("position"), data.get("hash")
    if not isinstance(digest, str) or len(digest) > LONGEST_HASH:
        return None
    if isinstance(position, int) and 0 <= position <= LARGEST:
        return ChainHead(position, digest)
    return None
