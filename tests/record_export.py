"""Exports for tests, made with a real key and no server: as many events as are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from bascule.domain.chain import ChainHead, Checkpoint, link_after
from bascule.domain.event import Actor, Event
from bascule.domain.facts.grants import GrantOpened
from bascule.domain.proof import checkpoint_line, line_of, link_line
from bascule.domain.times import format_utc
from bascule.identity.record_key import RecordKey
from bascule.services.record import Bounds, export_header
from tests.samples import NOW

SPAN = 1000  # events between checkpoints
ALICE = Actor("11111111-2222-3333-4444-555555555555", "Alice", "ServicePrincipal", "192.0.2.10")


def event_lines(key: RecordKey, count: int) -> tuple[list[bytes], ChainHead]:
    """Events and checkpoints in order, and where they end."""
    fact = GrantOpened("g", "r", "/subscriptions/s/machines/web-1")
    usual = Event("e", NOW, ALICE, fact.machine, fact, "c").record()
    head, lines = ChainHead(), []
    for n in range(1, count + 1):
        at = NOW + timedelta(seconds=n)
        link = link_after(head, {**usual, "id": f"e{n}", "at": format_utc(at)})
        head = link.head
        lines.append(link_line(link))
        if n % SPAN == 0 or n == count:
            unsigned = Checkpoint(head, at, key.key_id)
            lines.append(
                checkpoint_line(replace(unsigned, signature=key.sign(unsigned.statement())))
            )
    return lines, head


def export_lines(key: RecordKey, count: int) -> Iterator[bytes]:
    """A whole export."""
    lines, head = event_lines(key, count)
    header = export_header(Bounds(ChainHead(), None, head, head.position), key, None, NOW)
    yield line_of({"header": header})
    yield from lines
