"""All lines of a server: who holds one, when each is beaten, what is told to all of them.

One ticker beats a hundredth of the lines every 100 ms. Wake-ups of the hub go to the lines of the
machines that moved. Once a second one indexed read finds generations that another process moved, or
whose wake-up was lost; the record's end is read once for all lines. Nothing here grows with the
fleet from one second to the next but the beats. Use from one event loop.

A newer line of a point replaces the older one. What is not here: one line (``line``), and how its
connection came to be one (``upgrade``).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import structlog

from bascule.api.arrivals import Arrivals
from bascule.api.claims import Claims
from bascule.api.line import Line
from bascule.api.networks import AgentNetworks, KnownNetworks
from bascule.api.sampling import Sampler
from bascule.api.wire.agents import record_mark
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.calls import CallerDenied
from bascule.errors import BasculeError, Forbidden
from bascule.identity.tokens import LIFE
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.closed_ports import Move
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.frames import CloseCode
from bascule.protocol.line import (
    BEAT_SECONDS,
    LONGEST_COMING_BACK,
    Ask,
    Head,
    Record,
    Reported,
    write,
)
from bascule.protocol.signed import Kind
from bascule.protocol.state import RecordMark
from bascule.protocol.trust import Trust
from bascule.services.act import Act, Services
from bascule.services.contacts import Contacts
from bascule.services.denials import Denials
from bascule.services.hub import wait_for
from bascule.services.lines import record_contention

log = structlog.get_logger("bascule.api")

SLOTS = 100  # of the ticker
CATCH_UP_SECONDS = 1.0
MOST_MOVES = 500  # of one read
HEAD_SECONDS = 40.0  # with a beat's ten seconds, each line is told within a minute
POINTS_A_SECOND = 350  # that come back after a restart: 2.9 ms of CPU each
REPLACED_WITHIN = 60.0  # seconds
MOST_REPLACED = 5  # lines of one point in that time, before it goes on record


class Lines:
    """The lines of one installation."""

    def __init__(
        self,
        services: Services,
        tenant_id: str,
        record_floor: timedelta,
        denials: Denials,
        strangers: Sampler,
        known: KnownNetworks,
        agents: AgentNetworks,
        trust_key: TrustKey,
    ) -> None:
        """``denials`` bounds what is recorded of known callers, ``strangers`` what is logged of
        others; a point that proves itself makes its network one of ``known`` and ``agents``.
        """
        self.services = services
        self.tenant_id = tenant_id
        # The number and body of the change of trust that points are told, and what signs it.
        self.trust: Callable[[], tuple[int, bytes] | None] = lambda: None
        self.sign: Callable[[Kind, str, str, int, bytes], str] = trust_key.sign
        self.proof_seconds = LIFE[PrincipalKind.AGENT].total_seconds()
        self.come_back_seconds = LONGEST_COMING_BACK  # until the fleet was counted
        self.head = b""  # the text that tells where the record ends; empty: not read yet
        self.arrivals = Arrivals()
        self.is_alone = services.replica is None  # no other server has lines
        self.claims = Claims(services)
        self._claimed = 0  # number of the last claim that was looked at
        self._gaps = 0  # of the contacts, that were looked at
        self._floor = record_floor
        self._denials = denials
        self._strangers = strangers
        self._known, self._agents = known, agents
        self._of: dict[str, Line] = {}  # proved, by point uid
        self._unproved: set[Line] = set()
        self._by_machine: dict[str, set[Line]] = {}
        self._slots: tuple[set[Line], ...] = tuple(set() for _ in range(SLOTS))
        self._next_slot = count()
        self._replaced: dict[str, deque[float]] = {}  # when, by point uid
        self._contended: dict[str, float] = {}  # when that went on record
        self._tasks: set[asyncio.Task[None]] = set()
        self._owed: dict[object, float] = {}  # answers: since when, the oldest first
        self._move = 0  # the last that was looked at; at a start all are, since lines may be older
        self._is_closing = False
        self._is_behind = asyncio.Event()  # anything may have moved: the next round begins now
        services.hub.subscribe(self.wake, self.close, self.expect, self._is_behind.set)

    def __len__(self) -> int:
        return len(self._of)

    @property
    def lag(self) -> float:
        """For how many seconds the agent has waited that has waited longest for an answer."""
        oldest = next(iter(self._owed.values()), None)
        return 0.0 if oldest is None else self.services.clock.monotonic() - oldest

    @contextmanager
    def owing(self) -> Iterator[None]:
        """An agent waits for what is done in it."""
        answer = object()
        self._owed[answer] = self.services.clock.monotonic()
        try:
            yield
        finally:
            del self._owed[answer]

    # -- what a line needs --------------------------------------------------------------

    @property
    def contacts(self) -> Contacts:
        return self.services.contacts

    def is_logged(self, address: str) -> bool:
        return self._strangers.is_written(address)

    def mark(self, reader: Reader, ask: Ask) -> RecordMark:
        return record_mark(reader, ask.seen, self._floor, ask.told)

    def begin_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish_task)

    def _finish_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of a line failed", exc_info=error)

    async def record_denial(
        self, subject: Subject, message: Ask | Reported, error: BasculeError
    ) -> None:
        """As of calls over HTTP (EDGES B8)."""
        if not isinstance(error, Forbidden):
            return
        if not self._denials.is_recorded(subject.principal_id, self.services.clock.now()):
            return
        method, verb = ("GET", "state") if isinstance(message, Ask) else ("POST", "report")
        path = f"/bascule/points/{subject.principal_id}/{verb}"
        fact = CallerDenied(method, path, error.message)
        await self.services.perform(
            lambda tx, act: act.record_denied(tx, fact, self._denials), subject
        )

    def trust_for(self, uid: str, taken: int | None = None) -> Trust | None:
        """What that point is told to trust; None: nothing but what it pinned, or no change above ``taken``,
        which it has.
        """
        told = self.trust()
        if told is None:
            return None
        number, body = told
        if taken is not None and number <= taken:
            return None
        signature = self.sign(Kind.TRUST, uid, "", number, body)
        return Trust(number, body.decode(), signature)

    def tell_trust(self) -> None:
        """All points that are here, at once."""
        for line in list(self._of.values()):
            line.tell_trust()

    # -- who is there -------------------------------------------------------------------

    def begin(self, line: Line, seconds: float) -> None:
        """A new connection, which has so many seconds to prove its point."""
        if self._is_closing:
            line.end(CloseCode.GOING_AWAY)
            return
        self._unproved.add(line)
        line.begin(seconds)

    def admit(self, line: Line, generations: Mapping[str, int], network: str) -> None:
        """The line has proved its point: an older one ends."""
        self._unproved.discard(line)
        self._known.note(line.address, line.uid)
        self._agents.note(line.uid, network, self.services.clock.boottime())
        older = self._of.get(line.uid)
        if older is not None and older.number > line.number:
            self.replace(line, older)
            return
        self._of[line.uid] = line
        line.slot = next(self._next_slot) % SLOTS
        self._slots[line.slot].add(line)
        self.follow(line, generations)
        if older is not None:
            self.replace(older, line)

    def replace(self, line: Line, by: Line | None = None) -> None:
        """The point has a newer connection: ``by``, or one at another server."""
        if line.is_over:
            return
        line.end(CloseCode.REPLACED, "This enforcement point has opened a newer connection.")
        subject = line.subject if by is None else by.subject
        if by is None:  # whence the newer one calls is not known here
            subject = dataclasses.replace(subject, address="", client="")
        self._note_replaced(subject)

    def was_reported(self, point_uid: str, by: Line | None = None) -> None:
        """A report of that point was settled that came otherwise than on its line: what the line's
        agent has read back is to be reported once more. ``by``: another line, which is over.
        """
        line = self._of.get(point_uid)
        if line is not None and line is not by:
            line.acknowledged = ""

    def follow(self, line: Line, generations: Mapping[str, int]) -> None:
        """The line is of these machines from now on, and is told these generations of them."""
        for uid in line.generations.keys() - generations.keys():
            self._forget(line, uid)
        for uid in generations.keys() - line.generations.keys():
            self._by_machine.setdefault(uid, set()).add(line)
        line.generations = generations

    def _forget(self, line: Line, machine_uid: str) -> None:
        lines = self._by_machine.get(machine_uid)
        if lines is not None:
            lines.discard(line)
            if not lines:
                del self._by_machine[machine_uid]

    def leave(self, line: Line) -> None:
        """The line is over; safe to repeat."""
        self._unproved.discard(line)
        if line.slot >= 0:
            self._slots[line.slot].discard(line)
        for uid in line.generations:
            self._forget(line, uid)
        if self._of.get(line.uid) is line:
            del self._of[line.uid]

    def _note_replaced(self, by: Subject) -> None:
        uid, now = by.principal_id, self.services.clock.monotonic()
        times = self._replaced.setdefault(uid, deque())
        times.append(now)
        while now - times[0] > REPLACED_WITHIN:
            times.popleft()
        last = self._contended.get(uid)
        if len(times) > MOST_REPLACED and (last is None or now - last > REPLACED_WITHIN):
            self._contended[uid] = now
            self.begin_task(self._record_contention(by, len(times)))

    async def _record_contention(self, by: Subject, times: int) -> None:
        log.warning("agents replace each other", point=by.principal_id, address=by.address)

        def record(tx: Transaction, act: Act) -> None:
            record_contention(tx, act, by.principal_id, times)

        await self.services.perform(record, by)

    def close(self) -> None:
        """The server stops: say so to all."""
        self._is_closing = True
        for line in (*self._of.values(), *self._unproved):
            line.end(CloseCode.GOING_AWAY, "The server is stopping.")

    # -- news ---------------------------------------------------------------------------

    def wake(self, machine_uids: Iterable[str]) -> None:
        """Something of these machines has moved, or of points that are enrolled for them."""
        for uid in machine_uids:
            for line in tuple(self._by_machine.get(uid, ())):
                line.look()

    def expect(self, machine_uids: Iterable[str]) -> None:
        """Something of these machines may move in a moment."""
        for uid in machine_uids:
            for line in tuple(self._by_machine.get(uid, ())):
                line.expect()

    async def run(self) -> None:
        """Beat, catch up, and read what all are told, until cancelled."""
        await asyncio.gather(
            self._tick(),
            _forever(CATCH_UP_SECONDS, self.catch_up, self._is_behind),
            _forever(HEAD_SECONDS, self.read_for_all, asyncio.Event()),
        )

    async def _tick(self) -> None:
        """Each slot in its turn; when the loop was late, those that are due at once."""
        pause = BEAT_SECONDS / SLOTS
        done = int(self.services.clock.monotonic() / pause)
        while True:
            await asyncio.sleep(pause)
            due = int(self.services.clock.monotonic() / pause)
            for number in range(max(done, due - SLOTS) + 1, due + 1):
                for line in tuple(self._slots[number % SLOTS]):
                    self._beat(line)
            done = due

    def _beat(self, line: Line) -> None:
        try:
            line.beat()
        except Exception:  # a fault of ours with one line must not silence all
            log.exception("a beat was not sent", point=line.uid)
            line.end(CloseCode.GOING_AWAY)

    async def catch_up(self) -> None:
        """Tell what moved without a wake-up of this process."""
        is_more = True
        while is_more:
            moves = await self.services.read(lambda r: r.moves_after(self._move, MOST_MOVES))
            for each in moves:
                self._move = each.number
                self._catch_up_with(each)
            is_more = len(moves) == MOST_MOVES
        is_more = not self.is_alone
        while is_more:
            claims = await self.services.read(lambda r: r.lines_after(self._claimed, MOST_MOVES))
            for claim in claims:
                self._claimed = claim.number
                line = self._of.get(claim.point_uid)
                if line is not None and line.number < claim.number:
                    self.replace(line)
            is_more = len(claims) == MOST_MOVES
        if not self.is_alone and self._gaps != self.contacts.gaps:
            self._gaps = self.contacts.gaps
            for line in tuple(self._of.values()):  # another server may have noted them as silent
                line.forget_contact()

    def _catch_up_with(self, move: Move) -> None:
        for line in tuple(self._by_machine.get(move.machine_uid, ())):
            if line.generations.get(move.machine_uid) != move.generation:
                line.look()

    async def read_for_all(self) -> None:
        """Where the record ends, and how many points would come back after a stop."""
        head, points = await self.services.read(
            lambda reader: (reader.chain_head(), self._coming_back(reader))
        )
        if head.position:
            told = write(Record(Head(head.position, head.hash)))
            if told != self.head:
                self.head = told
        self.come_back_seconds = min(LONGEST_COMING_BACK, 2 + points // POINTS_A_SECOND)

    def _coming_back(self, reader: Reader) -> int:
        """At one server: all points, or, where others go on, a part of those that are here."""
        replica = self.services.replica
        if replica is None:
            return reader.count_enforcement_points()
        others = sum(each.is_alive for each in reader.replicas() if each.replica.uid != replica.uid)
        return len(self) // others if others else reader.count_enforcement_points()


async def _forever(
    seconds: float, work: Callable[[], Coroutine[None, None, None]], sooner: asyncio.Event
) -> None:
    """Do it again and again. What goes wrong is logged, and tried again."""
    while True:
        sooner.clear()
        try:
            await work()
        except BasculeError as error:
            log.error("changes for agents were not read", why=error.message)
        except Exception:
            log.exception("changes for agents were not read")
        await wait_for(sooner, seconds)
