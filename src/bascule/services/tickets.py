"""Asking ticket systems, outside every transaction (EDGES J12; docs/adr/0041-tickets.md).

A transaction that needs an answer which it does not have raises ``TicketsNeeded`` and is undone;
``Services.perform`` asks here and runs it again with the answers. Where nothing may wait (a vote, the
sweep), the request is marked instead, and ``ask_again`` opens it by a step of its own.

A ticket system that is slow takes nothing from others: calls run in no transaction and in no thread of
the store, few at a time for each person and each system. Whoever finds no place at a system is answered *unavailable*
soon; whoever asks too often is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bascule.domain.tickets import Answered, Question, body_of, not_asked, read_answer
from bascule.errors import TooManyRequests
from bascule.interfaces.clock import Clock
from bascule.interfaces.sealing import Seals
from bascule.interfaces.tickets import CallFailed, TicketCarrier
from bascule.json_text import read_json
from bascule.sentences import sentence
from bascule.services.cloudevents import signature

MOST_A_MINUTE = 10  # questions of one person; the last request may go beyond it
MOST_AT_ONCE_OF_ONE = 2  # requests of one person, each with its questions
MOST_AT_ONCE_AT_ONE = 4  # at one system
MOST_AT_ONCE = 16
WAIT_SECONDS = 3.0  # for a place
MOST_REMEMBERED = 10_000  # people whose questions of the last minute are counted
PURPOSE = "ticket check"
TOO_BUSY = "Too many questions wait for it."
UNSEALABLE = (
    "Its secret cannot be opened: the key in the server's data directory is another one. Make a new "
    "secret: bascule policy ticket set --new-secret."
)


class TicketsNeeded(Exception):
    """What is under way needs answers that it does not have. It is never shown to anybody."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__(f"{len(questions)} questions")
        self.questions = tuple(questions)


@dataclass(slots=True)
class TicketDesk:
    carrier: TicketCarrier
    clock: Clock
    sealer: Seals
    woken: asyncio.Event = field(default_factory=asyncio.Event)  # something is to be asked again
    _all: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    _at: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(MOST_AT_ONCE_AT_ONE))
    )
    _now_of: Counter[str] = field(default_factory=Counter)
    _lately: OrderedDict[str, list[datetime]] = field(default_factory=OrderedDict)

    async def ask(self, questions: Sequence[Question], principal_id: str) -> Mapping[str, Answered]:
        """By digest. Every question has an answer, if only that there is none.

        Raises TooManyRequests where the person asks too often: that is not *unavailable*, or whoever asks
        often enough would pass by a rule that lets an emergency through then (EDGES J10).
        """
        self._admit(principal_id, len(questions))
        longest = WAIT_SECONDS if principal_id else None
        self._now_of[principal_id] += 1
        try:
            found = await asyncio.gather(*(self._ask(each, longest) for each in questions))
        finally:
            self._now_of[principal_id] -= 1
            if not self._now_of[principal_id]:
                del self._now_of[principal_id]
        return {each.digest: each for each in found}

    def seal(self, secret: str) -> str:
        return self.sealer.seal(PURPOSE, secret.encode())

    async def _ask(self, asked: Question, longest: float | None) -> Answered:
        at = self.clock.now()
        secret = self.sealer.open(PURPOSE, asked.check.sealed_secret)
        if secret is None:
            return not_asked(asked, UNSEALABLE, at)
        try:
            async with self._place(asked.check.target.authority, longest):
                return await self._call(asked, secret.decode())
        except TimeoutError:
            return not_asked(asked, TOO_BUSY, at)

    async def _call(self, asked: Question, secret: str) -> Answered:
        at = self.clock.now()
        nonce = secrets.token_urlsafe(24)
        body = body_of(asked, nonce)
        timestamp = str(int(at.timestamp()))
        headers = {
            "content-type": "application/json",
            "webhook-id": nonce,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature(secret, nonce, timestamp, body)}",
        }
        try:
            told = read_json(await self.carrier.call(asked.check, headers, body))
        except CallFailed as error:
            return not_asked(asked, str(error), at)
        except (ValueError, RecursionError):
            return not_asked(asked, "It did not answer with JSON.", at)
        return read_answer(asked, nonce, told, at)

    def _admit(self, principal_id: str, many: int) -> None:
        """Of the system itself, which asks again, nothing is counted."""
        if not principal_id:
            return
        now = self.clock.now()
        lately = [each for each in self._lately.pop(principal_id, []) if _is_lately(each, now)]
        if len(lately) >= MOST_A_MINUTE or self._now_of[principal_id] >= MOST_AT_ONCE_OF_ONE:
            self._lately[principal_id] = lately
            raise TooManyRequests(
                sentence(
                    "You asked ticket systems too often: at most {most} questions a minute, for {at_once} "
                    "requests at a time. Nothing was opened.",
                    most=MOST_A_MINUTE,
                    at_once=MOST_AT_ONCE_OF_ONE,
                ),
                code="TooManyTicketQuestions",
                advice="Wait a minute, then ask again.",
                retry_after=60,
            )
        self._lately[principal_id] = [*lately, *[now] * many]
        while len(self._lately) > MOST_REMEMBERED:
            self._lately.popitem(last=False)

    @contextlib.asynccontextmanager
    async def _place(self, authority: str, longest: float | None) -> AsyncIterator[None]:
        """Raises TimeoutError where there is none so soon. None: wait for it."""
        async with contextlib.AsyncExitStack() as held:
            async with asyncio.timeout(longest):
                for each in (self._at[authority], self._all):
                    await held.enter_async_context(each)
            yield


def _is_lately(at: datetime, now: datetime) -> bool:
    """What is ahead was counted before the clock was set back."""
    return now - timedelta(minutes=1) < at <= now + timedelta(minutes=1)
