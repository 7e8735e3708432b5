"""Verification of an export of the record: line by line, in bounded memory, offline.

An export consists of JSON lines (docs/record.md): a signed header with its beginning and end,
then events and checkpoints in order. The first break ends the verification and is named: a line
edited, removed, moved or inserted, the tail cut off, or everything rewritten except the signed
checkpoints.

A witness is a position of the chain that somebody else has seen and kept (EDGES B9). It reveals a
cut or a rewriting that even a holder of the signing key cannot hide.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bascule.domain.chain import (
    ChainHead,
    Checkpoint,
    Link,
    canonical,
    checkpoint_json,
    export_statement,
    read_checkpoint,
    text_hash,
)
from bascule.domain.facts.record import RecordPruned
from bascule.errors import BasculeError

_EVENT_KEYS = {"event", "hash", "position"}
FORMAT = "bascule-record"
VERSION = 1

# (key id, what was signed, signature) -> is it good? None: noted as of another key, not believed.
SignatureCheck = Callable[[str, bytes, str], bool | None]


class BreakKind(StrEnum):
    EDITED = "edited"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"  # its own hashes fit, what was signed or witnessed does not
    FORGED = "forged"  # a signature is not of the key


@dataclass(frozen=True, slots=True)
class Break:
    """The first break that was found."""

    kind: BreakKind
    position: int  # of the event from which on nothing is proved
    line: int  # of the export, from 1
    message: str


@dataclass(frozen=True, slots=True)
class Witness:
    """A position of the chain that somebody outside the server has seen."""

    name: str
    head: ChainHead


@dataclass(frozen=True, slots=True)
class Verdict:
    begin: ChainHead  # before the first event of the export
    head: ChainHead  # as far as it holds
    break_: Break | None
    exported_at: str = ""
    key_id: str = ""
    checkpoints: int = 0  # whose signature was good
    notes: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        return self.break_ is None

    @property
    def count(self) -> int:
        return self.head.position - self.begin.position


def line_of(value: Mapping[str, Any]) -> bytes:
    """One line of an export, its end included."""
    return canonical(value) + b"\n"


def link_line(link: Link) -> bytes:
    return line_of({"event": link.record, "hash": link.hash, "position": link.position})


def checkpoint_line(checkpoint: Checkpoint) -> bytes:
    return line_of({"checkpoint": checkpoint_json(checkpoint)})


class _Broken(Exception):  # reason: a way out, not an error of ours
    def __init__(self, kind: BreakKind, message: str) -> None:
        self.kind = kind
        self.message = message


@dataclass(slots=True)
class _EventLine:
    """An event as given in a line, not verified yet."""

    event: Any
    hash: Any
    position: Any
    text: bytes  # of the event, canonical

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> _EventLine:
        return cls(data["event"], data["hash"], data["position"], canonical(data["event"]))

    @property
    def line(self) -> bytes:
        """As ``link_line`` writes it, without encoding the event a second time."""
        rest = json.dumps(self.hash).encode(), json.dumps(self.position).encode()
        return b'{"event":%b,"hash":%b,"position":%b}\n' % (self.text, *rest)

    def follows(self, previous: str) -> bool:
        return (
            isinstance(self.event, dict)
            and isinstance(self.position, int)
            and self.hash == text_hash(previous, self.position, self.text)
        )


@dataclass(slots=True)
class _Suspect:
    """A break that later lines may classify better."""

    found: Break
    expected: int  # position of the event that should have stood there
    previous: str  # hash that it follows


@dataclass(slots=True)
class Proof:
    """Call ``take`` with every line, then ``verdict``; lines after a break cost little."""

    check: SignatureCheck
    witnesses: Iterable[Witness] = ()
    _line: int = 0
    _begin: ChainHead = field(default_factory=ChainHead)
    _head: ChainHead = field(default_factory=ChainHead)
    _end: ChainHead | None = None  # as the header says; None before it was read
    _signed: int = 0  # position of the last good checkpoint
    _stub: Checkpoint | None = None  # stands for what retention deleted; None: told of already
    _break: Break | None = None
    _suspect: _Suspect | None = None
    _header: Mapping[str, Any] = field(default_factory=dict)
    _checkpoints: int = 0
    _unknown_keys: dict[str, None] = field(default_factory=dict)
    _awaited: dict[int, list[Witness]] = field(default_factory=dict)
    _contradicted: Break | None = None

    def __post_init__(self) -> None:
        for witness in self.witnesses:
            self._awaited.setdefault(witness.head.position, []).append(witness)

    def take(self, line: bytes) -> None:
        """Process one more line, including its line end."""
        self._line += 1
        if self._break is not None:
            return
        try:
            self._take(line)
        except _Broken as broken:
            self._settle()
            if self._break is None:
                self._break = self._here(broken.kind, broken.message)

    def verdict(self) -> Verdict:
        """The result; call it after the last line."""
        self._settle()
        if self._break is None:
            self._break = self._cut() or self._contradicted or self._unseen()
        return Verdict(
            self._begin,
            self._head,
            self._break,
            str(self._header.get("exportedAt", "")),
            str(self._header.get("keyId", "")),
            self._checkpoints,
            tuple(self._notes()),
        )

    # -- lines ----------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            raise _Broken(BreakKind.TRUNCATED, "the export ends in the middle of a line")
        data = _parse(line)
        if self._end is None:
            self._take_header({} if isinstance(data, _EventLine) else data)
        elif isinstance(data, _EventLine):
            self._take_event(data)
        elif set(data) == {"checkpoint"}:
            self._take_checkpoint(data["checkpoint"])
        else:
            raise _Broken(BreakKind.INSERTED, "a line is neither an event nor a checkpoint")

    def _take_header(self, data: Mapping[str, Any]) -> None:
        header = data.get("header")
        if set(data) != {"header"} or not isinstance(header, dict):
            raise _Broken(BreakKind.REMOVED, "the first line is not the header of an export")
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise _Broken(
                BreakKind.EDITED,
                "the header has another format or version than this program supports",
            )
        key_id, signature = str(header.get("keyId")), str(header.get("signature"))
        if not self.check(key_id, export_statement(header), signature):
            raise _Broken(BreakKind.FORGED, "the header is not signed by the expected key")
        self._header = header
        try:
            self._end = _read_head(header["end"])
            begin = _read_head(header["begin"])
            stub = read_checkpoint(header["begin"]) if begin != ChainHead() else None
        except (KeyError, TypeError, ValueError, BasculeError):
            raise _Broken(
                BreakKind.REMOVED, "events were deleted, and no signed checkpoint covers them"
            ) from None
        self._begin = self._head = begin
        self._signed = begin.position
        self._compare(begin)
        if stub is not None:
            self._stub = stub
            self._check_signature(stub)

    def _take_event(self, given: _EventLine) -> None:
        if self._suspect is not None:
            self._judge(self._suspect, given)
            return
        expected = self._head.position + 1
        if given.position == expected and given.follows(self._head.hash):
            self._head = ChainHead(expected, str(given.hash))
            self._compare(self._head)
            if self._stub is not None and _tells_of(given.event, self._stub.head):
                self._stub = None
            return
        kind, message = _name(given.position, expected)
        self._suspect = _Suspect(self._here(kind, message), expected, self._head.hash)

    def _judge(self, suspect: _Suspect, given: _EventLine) -> None:
        """Classify a break by what follows it: the right event in the wrong place, or nothing."""
        is_it = given.position == suspect.expected
        if suspect.found.kind is BreakKind.REMOVED:
            if is_it:
                words = f"event {suspect.expected} is in line {self._line}, after later events"
                self._name_suspect(suspect, BreakKind.REORDERED, words)
            return  # it may come later still
        if is_it and given.follows(suspect.previous):
            words = f"line {suspect.found.line} is in the place of event {suspect.expected}"
            self._name_suspect(suspect, BreakKind.INSERTED, words)
        else:
            self._settle()

    def _take_checkpoint(self, data: object) -> None:
        if self._suspect is not None:
            return
        try:
            checkpoint = read_checkpoint(data)  # type: ignore[arg-type]  # reason: what it refuses
        except (KeyError, TypeError, ValueError, BasculeError):
            raise _Broken(BreakKind.EDITED, "a checkpoint cannot be read") from None
        if not self._check_signature(checkpoint):
            return
        if checkpoint.head.position > self._head.position:
            raise _Broken(
                BreakKind.REMOVED,
                f"a checkpoint signs {checkpoint.head.position} events, but there are "
                f"{self._head.position}",
            )
        if checkpoint.head.position < self._head.position:
            raise _Broken(
                BreakKind.REORDERED, "a checkpoint comes after events that it does not sign"
            )
        if checkpoint.head != self._head:
            raise _Broken(BreakKind.REWRITTEN, self._rewritten(checkpoint.head.position))
        self._checkpoints += 1
        self._signed = checkpoint.head.position

    def _check_signature(self, checkpoint: Checkpoint) -> bool:
        """Check a signature. False: its key is not known here; a wrong signature is a break."""
        is_good = self.check(checkpoint.key_id, checkpoint.statement(), checkpoint.signature)
        if is_good is None:
            self._unknown_keys[checkpoint.key_id] = None
        elif not is_good:
            raise _Broken(
                BreakKind.FORGED,
                f"the signature of the checkpoint at {checkpoint.head.position} is wrong, or from "
                f"a key that was not given",
            )
        return bool(is_good)

    # -- the end ----------------------------------------------------------------------------

    def _cut(self) -> Break | None:
        if self._end is None:
            return self._here(BreakKind.TRUNCATED, "it is empty")
        if self._head.position < self._end.position:
            return self._here(
                BreakKind.TRUNCATED,
                f"it was exported with {self._end.position} events but ends after "
                f"{self._head.position}",
            )
        if self._head.position > self._end.position:
            return self._here(
                BreakKind.INSERTED,
                f"it was exported with {self._end.position} events but has {self._head.position}",
            )
        if self._head != self._end:
            return self._here(BreakKind.REWRITTEN, self._rewritten(self._end.position))
        if self._stub is not None:
            return self._here(
                BreakKind.REMOVED,
                f"events 1 to {self._begin.position} were deleted, and no event records who did it",
            )
        return None

    def _unseen(self) -> Break | None:
        """The break if a witness has seen more events than there are."""
        beyond = [p for p in self._awaited if p > self._head.position]
        if not beyond:
            return None
        witness = self._awaited[max(beyond)][0]
        return self._here(
            BreakKind.TRUNCATED,
            f"{witness.name} has seen event {witness.head.position}, which is missing",
        )

    def _notes(self) -> Iterable[str]:
        for key in self._unknown_keys:
            yield f"checkpoints signed by the key {key} were not checked: give that key too"
        before = {
            each.name: position
            for position, witnesses in sorted(self._awaited.items())
            for each in witnesses
            if position < self._begin.position
        }
        for name, position in before.items():  # the last that each has seen of it
            yield (
                f"{name} has seen event {position}, which is before the beginning of this export, "
                f"{self._begin.position + 1}"
            )

    # -- words ----------------------------------------------------------------------------

    def _compare(self, head: ChainHead) -> None:
        for witness in self._awaited.get(head.position, ()):
            if witness.head.hash != head.hash and self._contradicted is None:
                self._contradicted = self._here(
                    BreakKind.REWRITTEN,
                    f"{witness.name} has seen a different event {head.position}",
                )

    def _settle(self) -> None:
        if self._suspect is not None:
            self._break = self._suspect.found
            self._suspect = None

    def _name_suspect(self, suspect: _Suspect, kind: BreakKind, message: str) -> None:
        found = suspect.found
        self._break = Break(kind, found.position, found.line, message)
        self._suspect = None

    def _rewritten(self, position: int) -> str:
        return (
            f"events {self._signed + 1} to {position} are not the signed ones: at least one was "
            f"changed and the hashes were recomputed"
        )

    def _here(self, kind: BreakKind, message: str) -> Break:
        return Break(kind, self._head.position + 1, self._line, message)


def _name(position: object, expected: int) -> tuple[BreakKind, str]:
    """Classify a break by an event's position alone."""
    if not isinstance(position, int) or position == expected:
        return (
            BreakKind.EDITED,
            f"event {expected} does not match its hash: the event or the previous hash was changed",
        )
    if position < expected:
        return BreakKind.INSERTED, f"event {position} appears twice"
    missing = (
        f"event {expected} is"
        if position == expected + 1
        else f"events {expected} to {position - 1} are"
    )
    return BreakKind.REMOVED, f"{missing} missing before event {position}"


def _read_head(data: Mapping[str, Any]) -> ChainHead:
    return ChainHead(int(data["position"]), str(data["hash"]))


def _tells_of(event: Mapping[str, Any], stub: ChainHead) -> bool:
    """Is this the pruning event for the deletion that this checkpoint covers?"""
    data = event.get("data")
    return (
        event.get("kind") == RecordPruned.__name__
        and isinstance(data, dict)
        and (data.get("through"), data.get("checkpoint_hash")) == (stub.position, stub.hash)
    )


def _parse(line: bytes) -> _EventLine | Mapping[str, Any]:
    """Parse one line; every byte must be as Bascule writes it, so that the form hides nothing."""
    with contextlib.suppress(ValueError, RecursionError):  # no JSON, not ASCII, NaN, too deep
        data = json.loads(line.decode("ascii"))
        if isinstance(data, dict) and data.keys() == _EVENT_KEYS:
            given = _EventLine.of(data)
            if given.line == line:
                return given
        elif isinstance(data, dict) and line_of(data) == line:
            return data
    raise _Broken(BreakKind.EDITED, "a line is not in the form that Bascule writes")
