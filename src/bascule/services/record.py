"""The record as a whole: exported and verified.

An export is read page by page: the chain only grows at its end, so the pages need not be
of one moment. The same lines that are exported are what the server verifies, so that one
piece of code, ``domain.proof``, says what holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from bascule.domain.chain import ChainHead, Checkpoint, Link, checkpoint_json, export_statement
from bascule.domain.event import has_form
from bascule.domain.proof import (
    FORMAT,
    VERSION,
    Proof,
    Verdict,
    checkpoint_line,
    line_of,
    link_line,
)
from bascule.domain.times import format_utc
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import Installation, InventoryReads
from bascule.interfaces.record import ChainReads
from bascule.services.act import Services
from bascule.services.messages import DAMAGED, GAP, message
from bascule.services.ocsf import ocsf_event


class RecordReads(ChainReads, GrantReads, Protocol):
    """The chain, and the grants that its events tell of."""


SLOW = timedelta(seconds=10)  # from an event to its place in the chain


class SnapshotReads(ChainReads, InventoryReads, Protocol):
    """The chain, and whose it is."""


PAGE = 500  # events read and written at a time
_REST = 9  # times as long as a page took, where there is no hurry


class Signer(Protocol):
    """The installation's key for its record."""

    @property
    def key_id(self) -> str: ...

    @property
    def public_key(self) -> str:
        """Raw Ed25519, base64url without padding."""
        ...

    def sign(self, statement: bytes) -> str: ...

    def check(self, key_id: str, statement: bytes, signature: str) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an export holds."""

    begin: ChainHead
    stub: Checkpoint | None  # the checkpoint at ``begin``; None at the very beginning
    end: ChainHead
    signed: int  # position of the last checkpoint; after the end only if events were taken away
    unsealed: int = 0  # events that are not in the chain yet, and so not in the export


def bounds(reader: ChainReads) -> Bounds:
    begin = reader.chain_begin()
    stub = reader.checkpoint(begin.position) if begin.position else None
    end = reader.chain_head()
    newest = reader.checkpoints(limit=1)
    signed = newest[0].head.position if newest else 0
    unsealed = reader.backlog().events
    return Bounds(begin, stub, end, max(end.position, signed), unsealed)


def export_header(
    found: Bounds, signer: Signer, installation: Installation | None, now: datetime
) -> dict[str, Any]:
    """The first line: whose record, from where to where, signed."""
    begin = {"position": found.begin.position, "hash": found.begin.hash}
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "exportedAt": format_utc(now),
        "tenantId": installation.tenant_id if installation else "",
        "subscriptionId": installation.subscription_id if installation else "",
        "keyId": signer.key_id,
        "publicKey": signer.public_key,
        "begin": checkpoint_json(found.stub) if found.stub is not None else begin,
        "end": {"position": found.end.position, "hash": found.end.hash},
    }
    if found.unsealed:
        header["unsealed"] = found.unsealed
    return {**header, "signature": signer.sign(export_statement(header))}


def backlog_words(reader: ChainReads, now: datetime) -> str:
    """Empty unless events wait for longer than sealing ever takes by itself."""
    backlog = reader.backlog()
    age = timedelta() if backlog.oldest is None else now - backlog.oldest
    if age <= SLOW:
        return ""
    return f"{backlog.events} events are not sealed yet, the oldest for {age.total_seconds():.0f} s"


async def export_pages(services: Services, signer: Signer) -> AsyncIterator[list[bytes]]:
    """The lines of the whole record, up to what is sealed now."""
    now = services.clock.now()
    installation, found = await services.read(
        lambda reader: (reader.installation(), bounds(reader))
    )
    yield [line_of({"header": export_header(found, signer, installation, now)})]
    after = found.begin.position
    is_last = False
    while not is_last:
        lines, after, is_last = await services.read(_page_after(after, found))
        yield lines


def _page_after(after: int, found: Bounds) -> Callable[[ChainReads], tuple[list[bytes], int, bool]]:
    """The next lines, the position that they end at, and whether they are the last."""

    def read(reader: ChainReads) -> tuple[list[bytes], int, bool]:
        links = [link for link in reader.chain(after, PAGE) if link.position <= found.end.position]
        last = links[-1].position if links else after
        is_last = len(links) < PAGE
        reaches = found.signed if is_last else last
        signed = reader.checkpoints(after, newest_first=False)
        return (
            _merge(links, [each for each in signed if each.head.position <= reaches]),
            last,
            is_last,
        )

    return read


def _merge(links: Sequence[Link], signed: Sequence[Checkpoint]) -> list[bytes]:
    """In the order of the chain, a checkpoint behind what it signs."""
    lines = [(link.position, 0, link_line(link)) for link in links]
    lines += [(each.head.position, 1, checkpoint_line(each)) for each in signed]
    return [line for _, _, line in sorted(lines, key=lambda each: each[:2])]


async def ocsf_pages(services: Services) -> AsyncIterator[list[bytes]]:
    """Every sealed event in OCSF, a line each, up to what is sealed now; for one that somebody
    damaged a message of kind RecordGap, as sinks are sent.
    """
    now = services.clock.now()
    found = await services.read(bounds)
    after = found.begin.position
    while lines_and_last := await services.read(_ocsf_page(after, found.end.position, now)):
        lines, after = lines_and_last
        yield lines


def _ocsf_page(
    after: int, end: int, now: datetime
) -> Callable[[RecordReads], tuple[list[bytes], int] | None]:
    def read(reader: RecordReads) -> tuple[list[bytes], int] | None:
        found = reader.chain(after, PAGE)
        links = [_readable(link, now) for link in found if link.position <= end]
        if not links:
            return None
        named = {str(link.record["data"].get("request_id", "")) for link in links} - {""}
        grants = {grant.id: grant for grant in reader.grants_of(sorted(named))}
        return [line_of(ocsf_event(link, grants)) for link in links], links[-1].position

    return read


def _readable(link: Link, now: datetime) -> Link:
    if has_form(link.record):
        return link
    place = link.position
    data = {"first": place, "last": place, "why": DAMAGED}
    return message(GAP, f"damaged.{place}", place, data, now)


async def verify_record(services: Services, signer: Signer, pause: float = 0.0) -> Verdict:
    """Read the whole chain back and say whether it holds.

    With a ``pause``, at least so many seconds lie between pages, and however long a page takes,
    most of the time is left to others.
    """
    proof = Proof(signer.check)
    began = services.clock.boottime()
    async for lines in export_pages(services, signer):
        await asyncio.to_thread(_take_all, proof, lines)
        spent = services.clock.boottime() - began
        await asyncio.sleep(max(pause, _REST * spent) if pause else 0)
        began = services.clock.boottime()
    services.verified.newest = proof.verdict()
    return services.verified.newest


def verify_snapshot(
    reader: SnapshotReads, signer: Signer, now: datetime, on_events: Callable[[int], None]
) -> Verdict:
    """``verify_record`` in one transaction, for commands on the host."""
    proof, found = Proof(signer.check), bounds(reader)
    header = export_header(found, signer, reader.installation(), now)
    proof.take(line_of({"header": header}))
    after, is_last = found.begin.position, False
    while not is_last:
        lines, after, is_last = _page_after(after, found)(reader)
        _take_all(proof, lines)
        on_events(after - found.begin.position)
    return proof.verdict()


def _take_all(proof: Proof, lines: Sequence[bytes]) -> None:
    for line in lines:
        proof.take(line)
