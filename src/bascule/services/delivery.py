"""Delivery of the record: for each sink, a task follows the sealed chain and sends its events.

Beside the requests and never in their way: a page is read and written out by a reader's
thread, one sink at a time, and a rest of RESTS times as long follows, so that sinks that catch
up take a third of one core, however many they are. What was delivered is noted in
the store after it was taken, at the latest NOTE_SECONDS later: a server that dies between
sends those events again, in order, and loses none.

A sink whose next event retention has deleted is told so, by a message of kind RecordGap that
stands in no record, and goes on behind the gap, which is an event: SinkSkipped. So it is with
events that somebody damaged so that they cannot be read.
What is not here: what a failure means (``domain.delivery``), and connections (``outward``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from random import SystemRandom
from typing import Protocol

import structlog

from bascule.domain.chain import Link, canonical
from bascule.domain.delivery import (
    Answer,
    Form,
    Outcome,
    Progress,
    Sink,
    SinkKind,
    SinkState,
    Stretch,
    advance,
    fall_back,
)
from bascule.domain.event import has_form
from bascule.domain.facts.delivery import SinkDisabled, SinkParked, SinkSkipped
from bascule.domain.facts.fact import Fact
from bascule.domain.grant import Grant
from bascule.domain.proof import link_line
from bascule.domain.request import AccessRequest
from bascule.errors import BasculeError, Unavailable
from bascule.interfaces.delivery import Carrier, DeliveryReads, DeliveryWrites, Parcel
from bascule.interfaces.duties import DutyWrites
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.record import ChainReads, EventWrites
from bascule.services.act import Act, Services, new_id
from bascule.services.chat import is_over
from bascule.services.chat_batches import BATCHED, Pace, batch_parcel, count_now
from bascule.services.cloudevents import webhook_parcel
from bascule.services.duties import DELIVERING
from bascule.services.mail import MailEventReads, mail_parcel
from bascule.services.messages import DAMAGED, GAP, TEST, message
from bascule.services.ocsf import kind_of_record, ocsf_event
from bascule.services.posts import Post
from bascule.services.sinks import known_sink, sink_id
from bascule.services.syslog_text import syslog_message


class ParcelReads(ChainReads, DeliveryReads, GrantReads, InventoryReads, MailEventReads, Protocol):
    """What is sent to a sink, and what stands around it."""


class SinkNoteWrites(DeliveryWrites, DutyWrites, EventWrites, InventoryReads, Protocol):
    """What became of a delivery."""


log = structlog.get_logger("bascule.delivery")

PAGE = 100  # events looked at in one step
LARGEST_PARCEL = 512 * 1024  # bytes of events in one step, unless one alone is larger
IDLE_SECONDS = 0.5  # between looks for something new
ROUND_SECONDS = 1.0  # between looks for sinks that came, went or changed state
NOTE_SECONDS = 1.0  # that what was delivered may be ahead of what is noted
RESTS = 2
LONGEST_REST = 0.1  # after a page; the clock may have jumped over a suspended hour
RETRY_SECONDS = 5.0  # after a failure of our own
_DICE = SystemRandom()
DELETED = "retention deleted these events before they were delivered"


class NoCarrier:
    """Of a process that delivers nothing."""

    def objection(self, sink: Sink) -> str:
        return f"This server has no carrier for {sink.target.shown}."

    async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
        raise Unavailable(f"This server cannot send {len(parcel.messages)} to {sink.name}.")

    async def forget(self, sink_id: str) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """Who carries, and what this server is called in what it sends."""

    carrier: Carrier = NoCarrier()  # noqa: RUF009  # reason: it holds nothing
    host: str = ""
    portal: str = ""  # the address of the portal, such as https://host:8443, for links
    mail_from: str = ""  # the sender of mail; empty: none is sent


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done next for a sink that is active."""

    sink: Sink
    progress: Progress
    stretch: Stretch
    parcel: Parcel | None  # None: nothing of the stretch is wanted
    gap: SinkSkipped | None = None


def next_step(
    reader: ParcelReads,
    wanted_id: str,
    ahead: Progress | None,
    now: datetime,
    way: WayOut,
    sent: int = 0,
) -> Step | None:
    """None when the sink is gone, or is not active. ``sent`` are a chat's messages of the last minute.

    ``ahead`` is how far it got beyond what is noted; it counts as long as nobody else moved
    the sink meanwhile.
    """
    sink, stored = reader.sink_by_id(wanted_id), reader.sink_progress(wanted_id)
    if sink is None or stored is None or stored.state is not SinkState.ACTIVE:
        return None
    progress = stored if ahead is None else ahead
    if not progress.is_due(now):
        return Step(sink, progress, Stretch(progress.position), None)
    begin = reader.chain_begin()
    if progress.position < begin.position:
        return _gap_step(reader, sink, progress, begin.position, DELETED, now, way)
    is_chat = sink.form in BATCHED
    most = PAGE if is_chat else sink.batch if sink.target.kind is SinkKind.WEBHOOK else PAGE
    links = reader.chain(progress.position, PAGE if sink.is_filtered else most)
    if links and not has_form(links[0].record):  # would the sink want it? That cannot be known
        near = reader.chain(progress.position, PAGE)
        *_, last = takewhile(lambda link: not has_form(link.record), near)
        return _gap_step(reader, sink, progress, last.position, DAMAGED, now, way)
    is_all = len(links) < PAGE
    links = list(takewhile(lambda link: has_form(link.record), links))
    wanted, through = _wanted(sink, progress, links, most)
    if not wanted:
        return Step(sink, progress, Stretch(through), None)
    if is_chat:
        is_all = is_all and through == links[-1].position
        wanted = wanted[: count_now(wanted, sent, progress.alone_until, is_all=is_all)]
        through = wanted[-1].position if wanted else progress.position
        if not wanted:
            return Step(sink, progress, Stretch(through), None)
    stretch = Stretch(through, wanted[-1].position, len(wanted))
    parcel = _parcel(reader, sink, wanted, now, way)
    return Step(sink, progress, stretch, parcel if parcel.messages else None)  # nobody wants it


def _wanted(
    sink: Sink, progress: Progress, links: Sequence[Link], most: int
) -> tuple[list[Link], int]:
    """The next events to send, and the position that is done with when they are taken."""
    wanted: list[Link] = []
    through, size = progress.position, 0
    for link in links:
        if sink.wants(str(link.record["kind"]), kind_of_record(link.record).severity):
            is_alone = link.position <= progress.alone_until
            size += len(canonical(link.record))
            if wanted and (is_alone or len(wanted) >= most or size > LARGEST_PARCEL):
                break
            wanted.append(link)
        through = link.position
    return wanted, through


def _gap_step(
    reader: ParcelReads,
    sink: Sink,
    progress: Progress,
    last: int,
    why: str,
    now: datetime,
    way: WayOut,
) -> Step:
    first = progress.position + 1
    data = {"sink": sink.name, "first": first, "last": last, "why": why}
    link = message(GAP, f"{sink.id}.{last}", last, data, now)
    parcel = _parcel(reader, sink, [link], now, way)
    gap = SinkSkipped(sink.name, first, last, why)
    return Step(sink, progress, Stretch(last, last, 1), parcel, gap)


def _parcel(
    reader: ParcelReads, sink: Sink, links: Sequence[Link], now: datetime, way: WayOut
) -> Parcel:
    if sink.form is Form.MAIL:
        return mail_parcel(reader, sink.target, links, way.mail_from, way.portal, now)
    if sink.form in BATCHED:
        found = [(link, _request_of(reader, link)) for link in links]
        told = [each for each in found if not is_over(*each, now)]
        return batch_parcel(told, sink.form, way.portal) if told else Parcel(())
    if sink.target.kind is SinkKind.WEBHOOK:
        secrets = reader.sink_secrets(sink.id)
        keys = secrets.valid(now) if secrets is not None else ()
        source = sink_id(reader, "").removesuffix("/sinks/")
        return webhook_parcel(links, source, keys, now, is_batch=sink.batch > 1)
    if sink.form is Form.RECORD:
        return Parcel(tuple(link_line(link) for link in links))
    named = {str(link.record["data"].get("request_id", "")) for link in links} - {""}
    grants = {grant.id: grant for grant in reader.grants_of(sorted(named))}
    if sink.target.kind is SinkKind.FILE:
        return Parcel(tuple(_json_line(link, grants) for link in links))
    return Parcel(tuple(syslog_message(link, grants, sink.form, way.host) for link in links))


def _request_of(reader: ParcelReads, link: Link) -> AccessRequest | None:
    wanted = str(link.record["data"].get("request_id", ""))
    return reader.request(wanted) if wanted else None


def _json_line(link: Link, grants: dict[str, Grant]) -> bytes:
    return canonical(ocsf_event(link, grants)) + b"\n"


async def send_test(services: Services, way_out: WayOut, name: str) -> Outcome:
    """Send one message of kind SinkTest now, whatever the sink's state, and say what came back."""
    now = services.clock.now()

    def prepare(reader: ParcelReads) -> tuple[Sink, SinkState, Parcel]:
        sink, progress = known_sink(reader, name)
        data = {"sink": sink.name, "what": "a test that an operator asked for"}
        link = message(TEST, new_id(), 0, data, now)
        return sink, progress.state, _parcel(reader, sink, [link], now, way_out)

    sink, state, parcel = await services.read(prepare)
    try:
        return await way_out.carrier.carry(sink, parcel)
    finally:
        if state is not SinkState.ACTIVE:  # nobody else will
            await way_out.carrier.forget(sink.id)


async def deliver(
    services: Services, way_out: WayOut, chance: Callable[[], float] = _DICE.random
) -> None:
    """Deliver to every active sink until cancelled, while no other server does."""
    post = Post(services, DELIVERING)
    workers: dict[str, asyncio.Task[None]] = {}
    turn = asyncio.Lock()
    try:
        while True:
            try:
                active = set(await services.read(lambda reader: reader.active_sinks()))
                if active and not await post.keep():
                    active = set()  # what was begun ends: another server goes on from its notes
                await _follow(
                    workers,
                    active,
                    lambda each: _Worker(services, way_out, each, post, turn, chance),
                    way_out,
                )
            except BasculeError as error:
                log.error("sinks cannot be read", why=error.message)
            except Exception:  # what one round trips over must not end delivery
                log.exception("sinks cannot be read")
            await asyncio.sleep(ROUND_SECONDS)
    finally:
        for task in workers.values():
            task.cancel()
        await asyncio.gather(*workers.values(), return_exceptions=True)
        await way_out.carrier.close()


async def _follow(
    workers: dict[str, asyncio.Task[None]],
    active: set[str],
    worker_of: Callable[[str], _Worker],
    way_out: WayOut,
) -> None:
    """Have a worker for each active sink and for no other."""
    for idle in [each for each, task in workers.items() if each not in active or task.done()]:
        task = workers.pop(idle)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await way_out.carrier.forget(idle)
    for fresh in active - workers.keys():
        workers[fresh] = asyncio.create_task(worker_of(fresh).run())


class _Worker:
    """Sends to one sink until it is not active any more."""

    def __init__(
        self,
        services: Services,
        way_out: WayOut,
        own_id: str,
        post: Post,
        turn: asyncio.Lock,
        chance: Callable[[], float],
    ) -> None:
        self._services = services
        self._carrier = way_out.carrier
        self._way_out = way_out
        self._sink_id = own_id
        self._post = post
        self._turn = turn
        self._chance = chance
        self._noted: Progress | None = None  # as the store has it
        self._ahead: Progress | None = None  # delivered, and not noted yet
        self._noted_at = 0.0
        self._pace = Pace()

    async def run(self) -> None:
        try:
            while await self._guarded():
                pass
        finally:
            with contextlib.suppress(BasculeError):
                await self._note()

    async def _guarded(self) -> bool:
        try:
            return await self._step()
        except Unavailable as error:
            log.error("delivery failed", sink_id=self._sink_id, why=error.message)
        except Exception as error:  # what one sink trips over must not end the others
            log.exception("delivery failed", sink_id=self._sink_id)
            await self._note_trouble(error)
        self._ahead = self._noted = None
        await asyncio.sleep(RETRY_SECONDS)
        return True

    async def _note_trouble(self, error: Exception) -> None:
        """What is read and cannot be written out is not passed over; its sink says where it is."""
        said = (
            "an event behind this position cannot be written out, or the sink's own row is damaged "
            f"({type(error).__name__})"
        )

        def work(tx: SinkNoteWrites, act: Act) -> None:
            was = tx.sink_progress(self._sink_id)
            if was is not None and self._post.is_ours(tx, act.now):
                trouble = Outcome(Answer.LATER, said)
                to = fall_back(was, Stretch(was.position), trouble, act.now, self._chance())
                tx.move_progress(was, to)

        with contextlib.suppress(Exception):  # the row to note it in may be what is damaged
            await self._services.perform(work)

    async def _step(self) -> bool:
        """Send the next piece, or wait; False when there is nothing to do here any more."""
        now = self._services.clock.now()
        async with self._turn:
            began = self._services.clock.boottime()
            step = await self._services.read(lambda reader: self._next_step(reader, now))
            if step is None:
                return False
            if step.progress.position != step.stretch.through:
                took = self._services.clock.boottime() - began
                await asyncio.sleep(min(took * RESTS, LONGEST_REST))
        if step.progress.position == step.stretch.through:
            await self._note()
            await asyncio.sleep(IDLE_SECONDS)
        elif step.parcel is None:
            self._ahead = advance(step.progress, step.stretch, now)
            await self._note_if_due()
        elif not self._post.is_held:  # by a clock that counts while this process is paused
            await asyncio.sleep(IDLE_SECONDS)
        else:
            outcome = await self._carrier.carry(step.sink, step.parcel)
            await self._settle(step, outcome)
        return True

    def _next_step(self, reader: ParcelReads, now: datetime) -> Step | None:
        stored = reader.sink_progress(self._sink_id)
        if stored != self._noted:  # an operator, or another replica
            self._noted, self._ahead = stored, None
        sent = self._pace.sent(self._services.clock.boottime())
        return next_step(reader, self._sink_id, self._ahead, now, self._way_out, sent)

    async def _settle(self, step: Step, outcome: Outcome) -> None:
        now = self._services.clock.now()
        if outcome.answer is Answer.TAKEN:
            self._pace.note(self._services.clock.boottime())
            self._ahead = advance(step.progress, step.stretch, now)
            if step.gap is None:
                await self._note_if_due()
            else:
                await self._note(step.gap)
            return
        await self._note()  # what was delivered before
        self._ahead = fall_back(step.progress, step.stretch, outcome, now, self._chance())
        log.warning("not delivered", sink=step.sink.name, why=outcome.said)
        await self._note(_fact_of(step.sink, self._ahead))

    async def _note_if_due(self) -> None:
        """Each note costs the writer a little, so a fast sink shares one among many events."""
        if self._services.clock.boottime() - self._noted_at >= NOTE_SECONDS:
            await self._note()

    async def _note(self, fact: Fact | None = None) -> None:
        """Write down how far it got, with the event that belongs to it."""
        was, to = self._noted, self._ahead
        if was is None or to is None:
            return

        def work(tx: SinkNoteWrites, act: Act) -> bool:
            is_moved = self._post.is_ours(tx, act.now) and tx.move_progress(was, to)
            sink = tx.sink_by_id(to.sink_id)
            if is_moved and fact is not None and sink is not None:
                act.record(tx, fact, sink_id(tx, sink.name))
            return is_moved

        is_moved = await self._services.perform(work)
        self._noted_at = self._services.clock.boottime()
        self._noted, self._ahead = (to if is_moved else None), None


def _fact_of(sink: Sink, progress: Progress) -> Fact | None:
    """The event of a sink that stopped."""
    if progress.state is SinkState.DISABLED:
        return SinkDisabled(sink.name, sink.target.shown, progress.position, progress.last_error)
    if progress.state is SinkState.PARKED:
        return SinkParked(sink.name, sink.target.shown, progress.position + 1, progress.last_error)
    return None
