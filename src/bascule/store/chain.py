"""Rows of the chain: a seal beside each event, and checkpoints.

Links are given as the event was written, never built anew from its type: a type that
gained a field since would not have the hash that was sealed. A damaged one is handed on as
an empty record, which has not that hash either: the proof names it, and the rest is read.

One transaction at a time seals, so the next position and what is not sealed yet are two look-ups.
What has a higher number than the last sealed event is not sealed. So an event is sealed only when
no transaction is running that may have taken a lower number: ours take turns, but a program that
takes none (somebody's psql) may commit later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, true, union_all

from bascule.domain.chain import ChainHead, Checkpoint, Link
from bascule.interfaces.record import Backlog
from bascule.interfaces.recovery import Recovery
from bascule.store import tables as t
from bascule.store.activity import ActivityWrites
from bascule.store.record import RAW, record_of
from bascule.store.recovery import recovery_of
from bascule.store.rows import Rows, slices
from bascule.store.spelling import is_before_all_running

_SEALS = t.event_seals.c
_CHECKPOINTS = t.checkpoints.c
# Built once: every agent's asking for its state runs the first two.
_NEWEST = select(t.event_seals).order_by(_SEALS.position.desc()).limit(1)
_AT = select(_SEALS.hash).where(_SEALS.position == bindparam("wanted"))
_OLDEST = select(t.event_seals).order_by(_SEALS.position).limit(1)
_RECOVERY = select(t.installation.c.recovery_key, t.installation.c.restored)
_ENDS = (
    select(t.event_seals, t.installation.c.recovery_key, t.installation.c.restored)
    .join_from(t.event_seals, t.installation, true(), isouter=True)  # there is one, or none yet
    .where(
        _SEALS.position.in_(
            union_all(select(func.min(_SEALS.position)), select(func.max(_SEALS.position)))
        )
    )
    .order_by(_SEALS.position)
)
_LAST_SEALED = select(func.max(_SEALS.sequence).label("sequence"))
_UNSEALED = (
    select(t.events.c.sequence, RAW)
    .where(t.events.c.sequence > bindparam("sealed"))
    .order_by(t.events.c.sequence)
    .limit(bindparam("most"))
)
_SEALABLE = _UNSEALED.add_columns(is_before_all_running().label("is_before"))
_BACKLOG = select(
    func.count(t.events.c.sequence).label("events"), func.min(t.events.c.at).label("oldest")
).where(t.events.c.sequence > bindparam("sealed"))
_NEWEST_CHECKPOINT = select(t.checkpoints).order_by(_CHECKPOINTS.position.desc()).limit(1)


class ChainReads(Rows):
    __slots__ = ()

    def chain_head(self) -> ChainHead:
        row = self._first(_NEWEST)
        if row is None:  # all that there was is deleted, or nothing ever was
            row = self._first(_NEWEST_CHECKPOINT)
        return ChainHead() if row is None else ChainHead(row.position, row.hash)

    def chain_begin(self) -> ChainHead:
        row = self._first(_OLDEST)
        return self.chain_head() if row is None else self._before(row)

    def record_ends(self) -> tuple[ChainHead, ChainHead, Recovery]:
        rows = self._all(_ENDS)
        if not rows:
            head, kept = self.chain_head(), self._first(_RECOVERY)
            return head, head, Recovery() if kept is None else recovery_of(kept)
        head = ChainHead(rows[-1].position, rows[-1].hash)
        return head, self._before(rows[0]), recovery_of(rows[0])

    def _before(self, row: Row[Any]) -> ChainHead:
        """Where the chain begins whose oldest seal this is."""
        if row.position == 1:
            return ChainHead()
        stub = self.checkpoint(row.position - 1)
        return stub.head if stub is not None else ChainHead(row.position - 1, "")

    def chain(self, after: int = 0, limit: int = 1000) -> Sequence[Link]:
        found = (
            select(_SEALS.position, _SEALS.hash, RAW)
            .join(t.events, t.events.c.sequence == _SEALS.sequence)
            .where(_SEALS.position > after)
            .order_by(_SEALS.position)
            .limit(limit)
        )
        return [Link(row.position, record_of(row.raw), row.hash) for row in self._all(found)]

    def seal_at(self, position: int) -> str | None:
        row = self._first(_AT, {"wanted": position})
        return None if row is None else str(row.hash)

    def seals_of(self, sequences: Sequence[int]) -> Mapping[int, ChainHead]:
        return {
            row.sequence: ChainHead(row.position, row.hash)
            for piece in slices(sequences)
            for row in self._all(select(t.event_seals).where(_SEALS.sequence.in_(piece)))
        }

    def unsealed(self, limit: int = 1000) -> Sequence[tuple[int, Mapping[str, Any]]]:
        found = self._all(_UNSEALED, {"sealed": self._last_sealed(), "most": limit})
        return [(row.sequence, record_of(row.raw)) for row in found]

    def sealable(self, limit: int = 1000) -> Sequence[tuple[int, Mapping[str, Any]]]:
        found = self._all(_SEALABLE, {"sealed": self._last_sealed(), "most": limit})
        ready = takewhile(lambda row: row.is_before, found)
        return [(row.sequence, record_of(row.raw)) for row in ready]

    def backlog(self) -> Backlog:
        row = self._all(_BACKLOG, {"sealed": self._last_sealed()})[0]
        return Backlog(row.events, row.oldest)

    def _last_sealed(self) -> int:
        last = self._first(_LAST_SEALED)
        return 0 if last is None or last.sequence is None else int(last.sequence)

    def checkpoint(self, position: int) -> Checkpoint | None:
        row = self._first(select(t.checkpoints).where(_CHECKPOINTS.position == position))
        return None if row is None else _checkpoint(row)

    def checkpoints(
        self, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[Checkpoint]:
        position = _CHECKPOINTS.position
        found = select(t.checkpoints)
        if after:
            found = found.where(position < after if newest_first else position > after)
        order = position.desc() if newest_first else position
        return [_checkpoint(row) for row in self._all(found.order_by(order).limit(limit))]

    def prunable(self, before: datetime, below: int | None = None) -> Checkpoint | None:
        """The last checkpoint all of whose events are from before that instant."""
        newer = (
            select(func.min(_SEALS.position).label("position"))
            .join(t.events, t.events.c.sequence == _SEALS.sequence)
            .where(t.events.c.at >= before)
        )
        first = self._first(newer)
        found = select(t.checkpoints).order_by(_CHECKPOINTS.position.desc()).limit(1)
        if first is not None and first.position is not None:
            found = found.where(_CHECKPOINTS.position < first.position)
        if below is not None:
            found = found.where(_CHECKPOINTS.position < below)
        row = self._first(found)
        return None if row is None else _checkpoint(row)


class ChainWrites(ChainReads, ActivityWrites):
    __slots__ = ()

    def add_seals(self, seals: Sequence[tuple[int, ChainHead]]) -> None:
        if seals:
            self._run(
                t.event_seals.insert(),
                [
                    {"sequence": sequence, "position": head.position, "hash": head.hash}
                    for sequence, head in seals
                ],
            )
            self.count([sequence for sequence, _ in seals])

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._run(
            t.checkpoints.insert(),
            {
                "position": checkpoint.head.position,
                "hash": checkpoint.head.hash,
                "at": checkpoint.at,
                "key_id": checkpoint.key_id,
                "signature": checkpoint.signature,
            },
        )

    def prune_record(self, through: int) -> int:
        sealed = select(_SEALS.sequence).where(_SEALS.position <= through)
        span = self._first(
            select(func.min(t.events.c.at).label("first"), func.max(t.events.c.at).label("last"))
            .join(t.event_seals, t.events.c.sequence == _SEALS.sequence)
            .where(_SEALS.position <= through)
        )
        self._run(delete(t.event_places).where(t.event_places.c.sequence.in_(sealed)))
        deleted = self._run(delete(t.events).where(t.events.c.sequence.in_(sealed)))
        self._run(delete(t.event_seals).where(_SEALS.position <= through))
        self._run(delete(t.checkpoints).where(_CHECKPOINTS.position < through))
        if span is not None and span.first is not None:
            self.count_again(span.first, span.last)
        return deleted


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(ChainHead(row.position, row.hash), row.at, row.key_id, row.signature)
