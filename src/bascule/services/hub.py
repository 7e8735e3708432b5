"""Wake-ups: a hint that something changed, never the change itself.

Agents' lines wait for their machines, long-polls for a request's grants, open pages for anything that
is recorded. Whoever wakes reads the truth again; a lost hint costs time, never correctness. Where other
servers share the database, each is told what was woken here, and wakes the same (``hear``). Use from
one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

from bascule.interfaces.hints import Heard, Hints

CHANGES = "changes"  # the topic of whatever went on record


def machine_topic(machine_uid: str) -> str:
    return f"machine:{machine_uid}"


def request_topic(request_id: str) -> str:
    return f"request:{request_id}"


class Hub:
    """Waiters by topic; waking is idempotent and costs nothing when nobody waits."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._on_wake: list[Callable[[Iterable[str]], None]] = []
        self._on_expect: list[Callable[[Iterable[str]], None]] = []
        self._on_close: list[Callable[[], None]] = []
        self._on_all: list[Callable[[], None]] = []
        self._others: Hints | None = None
        self._is_closing = False
        self._start = uuid.uuid4().hex[:8]
        self._changes = 0

    @property
    def mark(self) -> str:
        """``START.NUMBER`` of the last change: whoever read after taking it has seen all up to
        that one. Another start is another process, whose numbers say nothing of this one's.
        """
        return f"{self._start}.{self._changes}"

    @property
    def is_closing(self) -> bool:
        """The server is stopping: waiters should answer with what they have."""
        return self._is_closing

    @contextlib.contextmanager
    def listening(self, topic: str) -> Iterator[asyncio.Event]:
        """An event that is set at each wake of ``topic``; listen first, then read."""
        event = asyncio.Event()
        self._waiters.setdefault(topic, set()).add(event)
        if self._is_closing:
            event.set()
        try:
            yield event
        finally:
            listeners = self._waiters[topic]
            listeners.discard(event)
            if not listeners:
                del self._waiters[topic]

    def subscribe(
        self,
        on_wake: Callable[[Iterable[str]], None],
        on_close: Callable[[], None],
        on_expect: Callable[[Iterable[str]], None] = lambda _: None,
        on_all: Callable[[], None] = lambda: None,
    ) -> None:
        """Call ``on_wake`` at each wake of machines, with their uids, and ``on_close`` at the end;
        ``on_expect`` when machines may be woken in a moment, or may not; ``on_all`` when another
        server may have changed any.

        For whoever waits for many machines: an event and a task for each would cost memory.
        """
        self._on_wake.append(on_wake)
        self._on_close.append(on_close)
        self._on_expect.append(on_expect)
        self._on_all.append(on_all)

    def share(self, others: Hints | None) -> None:
        """Tell other servers too what is woken here; None: no longer."""
        self._others = others

    def expect(self, machine_uids: Iterable[str]) -> None:
        """A change of these is being written, and is not kept yet: who listens may get ready."""
        for called in self._on_expect:
            called(machine_uids)

    def wake(self, machine_uids: Iterable[str] = (), request_ids: Iterable[str] = ()) -> None:
        """Whoever waits for one of these; whoever waits for CHANGES too."""
        machine_uids, request_ids = tuple(machine_uids), tuple(request_ids)
        self._wake(machine_uids, request_ids)
        if self._others is not None:
            self._others.tell(machine_uids, request_ids)

    def tell_of_lines(self, point_uids: Iterable[str]) -> None:
        """These points have newer connections here."""
        if self._others is not None:
            self._others.tell((), (), point_uids)

    def hear(self, heard: Heard) -> None:
        """Another server says that this may have changed: wake as there."""
        if not heard.is_all:
            if heard.point_uids:
                for called in self._on_wake:
                    called(heard.point_uids)
            if not heard.is_of_lines:
                self._wake(heard.machine_uids, heard.request_ids)
            return
        for look in self._on_all:
            look()
        self._wake_all()

    def look_again(self) -> None:
        """Something went on record, perhaps elsewhere: whoever waits here reads anew."""
        self._wake_all()

    def _wake(self, machine_uids: Sequence[str], request_ids: Sequence[str]) -> None:
        for uid in machine_uids:
            self._set(machine_topic(uid))
        if machine_uids:
            for called in self._on_wake:
                called(machine_uids)
        for request_id in request_ids:
            self._set(request_topic(request_id))
        self._changes += 1
        self._set(CHANGES)

    def wake_all(self) -> None:
        """Everybody, to look anew at whether they may wait on."""
        self._wake_all()
        if self._others is not None:
            self._others.tell_all()

    def _wake_all(self) -> None:
        self._changes += 1
        for topic in list(self._waiters):
            self._set(topic)

    def listeners(self, topic: str) -> int:
        return len(self._waiters.get(topic, ()))

    def close(self) -> None:
        """Wake everybody for the last time."""
        self._is_closing = True
        for called in self._on_close:
            called()
        self._wake_all()

    def _set(self, topic: str) -> None:
        for event in self._waiters.get(topic, ()):
            event.set()


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for a wake and clear it; False when the time is over first."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
