"""The circumstances of one use case, and the runner that joins it to the store.

``Services.perform`` runs a use case in one durable transaction and, when it is on disk,
wakes the streams of every machine that it touched: said only after it is so.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from bascule.domain.access import Subject
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts.calls import DenialsCounted
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import TicketChecked
from bascule.domain.net import Address
from bascule.domain.proof import Verdict
from bascule.domain.tickets import Answered, Question
from bascule.domain.times import format_utc
from bascule.interfaces.clock import Clock
from bascule.interfaces.points import Contact
from bascule.interfaces.record import EventWrites
from bascule.interfaces.replicas import Outdated, Replica
from bascule.interfaces.store import Reader, Store, Transaction, Unsettled, record_moved
from bascule.services.contacts import Contacts, store_contacts
from bascule.services.denials import Denials
from bascule.services.duties import Duties
from bascule.services.heartbeats import Heartbeats
from bascule.services.hub import Hub
from bascule.services.meters import Meters, Span
from bascule.services.tickets import TicketDesk, TicketsNeeded

T = TypeVar("T")
MOST_EXPECTED = 8  # machines of one change that are told to get ready
CONTACTS_AT_ONCE = 100  # of one transaction; each takes some 20 microseconds
NO_ANSWERS: Mapping[str, Answered] = MappingProxyType({})
MOST_ASKED = 2  # rounds of questions to ticket systems; what is asked may change in between
IN_PROCESS_KEY = "in-process"  # the key of the point that lives in the server's own process


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where a server listens: a policy must not cut it off (EDGES A4)."""

    ports: frozenset[int] = frozenset()
    is_own_address: Callable[[Address], bool] = lambda _: False
    is_alone: bool = True  # does no other server use its database?
    is_other: bool = False  # another server on the same database


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Act:
    """One use case under way: read once, ``now`` is the same for all that it does."""

    now: datetime
    actor: Actor = SYSTEM
    correlation_id: str = ""
    touched: set[str] = field(default_factory=set)  # machine uids whose desired state changed
    settled: set[str] = field(default_factory=set)  # request ids whose grants moved
    place: ServerPlace = ServerPlace()
    others: Sequence[ServerPlace] | None = None  # of other servers; None: not read in this act
    denials: Denials = field(default_factory=Denials)  # of what policies refuse
    has_recorded: bool = False
    serving_since: datetime | None = None  # when the server of this act was started
    boottime: float | None = None  # seconds since boot at ``now``; None: not read
    boot: str = ""  # which boot those are of
    acknowledged: str | None = None  # digest of a point's report that was settled here
    is_noticed: bool = False  # something that pages show is new, though nothing goes on record
    facts: list[Fact] = field(default_factory=list)  # what was recorded, in order
    measured: list[tuple[Span, timedelta]] = field(default_factory=list)  # of grants that moved
    taken: list[tuple[Denials, tuple[DenialsCounted, ...]]] = field(default_factory=list)
    denied: list[bool] = field(default_factory=list)  # each that was counted: was it recorded?
    tickets: Mapping[str, Answered] = field(default_factory=dict)  # just asked, by digest
    may_ask: bool = False  # may it be undone, to ask ticket systems and be done again?
    is_to_ask: bool = False  # a request goes on when they were asked by another step
    # When a point that reports had surely begun to read its rules; None: that is not known.
    heard_at: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        self.heard_at = self.now

    def record(self, tx: EventWrites, fact: Fact, resource_id: object = "") -> None:
        """Write an audit event into the same transaction."""
        self.has_recorded = True
        self.facts.append(fact)
        tx.record(
            Event(new_id(), self.now, self.actor, str(resource_id), fact, self.correlation_id)
        )

    def record_denied(
        self, tx: EventWrites, fact: Fact, denials: Denials, resource_id: object = ""
    ) -> None:
        """Write what was denied, and beside it what ``denials`` counted in minutes before."""
        self.record(tx, fact, resource_id)
        self.record_counts(tx, denials)

    def is_denial_recorded(self) -> bool:
        """Count one denial of the actor's; should it become an event? ``undo`` takes it back."""
        is_recorded = self.denials.is_recorded(self.actor.principal_id, self.now)
        self.denied.append(is_recorded)
        return is_recorded

    def record_counts(self, tx: EventWrites, denials: Denials) -> None:
        """Write what was counted; ``undo`` keeps it for the next who can."""
        counts = denials.take_counts()
        self.taken.append((denials, counts))
        for counted in counts:
            self.record(tx, counted)

    def undo(self) -> None:
        """To be called when the transaction was undone: what was taken for it is given back."""
        for denials, counts in self.taken:
            denials.give_back(counts)
        for was_recorded in self.denied:
            self.denials.take_back(self.actor.principal_id, self.now, was_recorded=was_recorded)


def actor_of(subject: Subject) -> Actor:
    kind = str(subject.kind)
    return Actor(subject.principal_id, subject.name, kind, subject.address, subject.client)


@dataclass(slots=True)
class Verified:
    """The last verdict on the whole record since this server started; None: not read yet."""

    newest: Verdict | None = None


@dataclass(slots=True)
class InstallationNumber:
    """Of the installation, as points are told it; 0: not read yet. It is raised only while no server
    runs, or one that is paused (EDGES H7).
    """

    value: int = 0


@dataclass(slots=True)
class Fitness:
    """May this server still use the database that it started on?"""

    has_moved: bool = False  # the record, since this server started: it changes nothing any more
    outdated: Outdated | None = None  # why this server is too old for the database; None: it is not

    def require_current(self) -> None:
        """Raise Unavailable when this server changes nothing any more, with the reason."""
        if self.has_moved:
            raise record_moved()
        if self.outdated is not None:
            raise Outdated(self.outdated.message, advice=self.outdated.advice)


@dataclass(frozen=True, slots=True)
class Services:
    """Where faces run use cases."""

    store: Store
    clock: Clock
    hub: Hub
    place: ServerPlace = ServerPlace()
    denials: Denials = field(default_factory=Denials)  # of what policies refuse, by subject
    verified: Verified = field(default_factory=Verified)
    serving_since: datetime | None = None  # when this server was started
    contacts: Contacts = field(default_factory=Contacts)  # of points, not stored yet
    heartbeats: Heartbeats = field(default_factory=Heartbeats)  # of runs, not stored yet
    replica: Replica | None = None  # this server among those on its database; None: it is alone
    duties: Duties = field(default_factory=Duties)
    boot: str = ""  # which boot the clock counts from; empty: no other server's is compared
    this_boot: str = ""  # the same, also of a server that is alone

    number: InstallationNumber = field(default_factory=InstallationNumber)
    fitness: Fitness = field(default_factory=Fitness)
    meters: Meters = field(default_factory=Meters)
    desk: TicketDesk | None = None  # asks ticket systems; None: none is asked

    async def perform(
        self,
        work: Callable[[Transaction, Act], T],
        subject: Subject | None = None,
        correlation_id: str = "",
        *,
        may_wait: bool = False,
        asks: bool | None = None,
    ) -> T:
        """Run ``work`` in one transaction, then wake whoever waits for what it changed.

        What needs the answer of a ticket system is undone, and done again with it. ``asks``: may it be?
        None: where a person or program acts.

        While it is brought to disk, agents of the machines are told to get ready (``hub.expect``).
        ``may_wait``: as of ``Store.write``.
        """
        desk = self.desk if (subject is not None if asks is None else asks) else None
        answers: dict[str, Answered] = {}
        questions: Sequence[Question] = ()
        for _ in range(MOST_ASKED):
            if desk is None:
                break
            try:
                return await self._perform(
                    work, subject, correlation_id, may_wait=may_wait, answers=answers, may_ask=True
                )
            except TicketsNeeded as needed:
                questions = needed.questions
            found = await desk.ask(questions, subject.principal_id if subject else "")
            await self._perform(partial(_note_answers, questions, found), subject, correlation_id)
            answers |= found
        return await self._perform(
            work, subject, correlation_id, may_wait=may_wait, answers=answers
        )

    async def _perform(
        self,
        work: Callable[[Transaction, Act], T],
        subject: Subject | None,
        correlation_id: str,
        *,
        may_wait: bool = False,
        answers: Mapping[str, Answered] = NO_ANSWERS,
        may_ask: bool = False,
    ) -> T:
        self.fitness.require_current()
        acts: list[Act] = []
        loop = asyncio.get_running_loop()

        def unit(tx: Transaction) -> T:
            for each in acts:  # the store does it again: what an earlier run took is given back
                each.undo()
            acts.clear()
            # The clock is read inside the writer, so that a queue cannot make it old.
            actor = actor_of(subject) if subject else SYSTEM
            act = Act(
                self.clock.now(),
                actor,
                correlation_id,
                place=self.place,
                denials=self.denials,
                serving_since=self.serving_since,
                tickets=answers,
                may_ask=may_ask,
                boottime=self.clock.boottime(),
                boot=self.this_boot,
            )
            acts.append(act)
            found = work(tx, act)
            if 0 < len(act.touched) <= MOST_EXPECTED:
                with contextlib.suppress(RuntimeError):  # the loop has ended, and all that listen
                    loop.call_soon_threadsafe(self.hub.expect, tuple(act.touched))
            return found

        try:
            result = await self.store.write(unit, may_wait=may_wait)
        except Unsettled as error:  # who waits for the change is told of it, if it is kept
            error.ended.add_done_callback(partial(self._end_later, loop, acts))
            raise
        except Exception:
            for each in acts:
                each.undo()
            raise
        self._kept(acts[-1])
        await asyncio.sleep(0)  # whoever was woken goes first: a port is waiting to open
        return result

    def _kept(self, act: Act) -> None:
        self.meters.note(act)
        if act.is_to_ask and self.desk is not None:
            self.desk.woken.set()
        if act.touched or act.settled or act.has_recorded or act.is_noticed:
            self.hub.wake(act.touched, act.settled)

    def _end_later(
        self, loop: asyncio.AbstractEventLoop, acts: Sequence[Act], ended: Future[object]
    ) -> None:
        """After its caller was told that it is not known. Runs in the writer's thread."""
        is_kept = not ended.cancelled() and ended.exception() is None
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all that listen
            for each in acts[-1:] if is_kept else acts:
                loop.call_soon_threadsafe(partial(self._kept, each) if is_kept else each.undo)

    async def on_duty(self, name: str, work: Callable[[Transaction, Act], T], otherwise: T) -> T:
        """``perform``, unless another server has this duty."""
        duties, now = self.duties, self.clock.now()
        if not duties.is_shared:
            return await self.perform(work)
        if not await self.read(lambda reader: duties.may_enter(reader, name, now)):
            return otherwise

        def fenced(tx: Transaction, act: Act) -> T:
            return otherwise if duties.enter(tx, name, act.now) is None else work(tx, act)

        return await self.perform(fenced)

    async def store_contacts(self) -> None:
        """Store what was heard of points; what cannot be stored now is stored by the next call.

        So few at a time that whoever waits for a port does not wait for thousands of these.
        """
        heard = self.contacts.take()
        for start in range(0, len(heard), CONTACTS_AT_ONCE):
            some = heard[start : start + CONTACTS_AT_ONCE]
            try:
                await self.perform(partial(_store_contacts, some), may_wait=True)
            except BaseException:
                self.contacts.give_back(heard[start:])
                raise
        self.contacts.note_stored(self.clock.boottime())

    async def store_heartbeats(self) -> None:
        """Store what was heard of runs; what cannot be stored now is stored by the next call."""
        heard = self.heartbeats.take()
        if not heard:
            return
        try:
            await self.perform(lambda tx, _: tx.hear_runs(heard), may_wait=True)
        except BaseException:
            self.heartbeats.give_back(heard)
            raise

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self.store.read(work)

    async def read_few(self, work: Callable[[Reader], T]) -> T:
        """``read``, for a handful of rows by their keys."""
        return await self.store.read_few(work)


def _note_answers(
    questions: Sequence[Question], found: Mapping[str, Answered], tx: Transaction, act: Act
) -> None:
    """On record whatever becomes of the request, which may be undone or refused."""
    for each in questions:
        answered = found[each.digest]
        fact = TicketChecked(
            each.policy_id,
            each.ticket,
            str(answered.answer),
            answered.text,
            format_utc(answered.at),
            each.digest,
            each.asked,
        )
        act.record(tx, fact, each.policy_id)


def _store_contacts(contacts: Sequence[Contact], tx: Transaction, act: Act) -> None:
    store_contacts(tx, contacts, act.now)
