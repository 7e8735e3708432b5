"""Asking ticket systems, outside every transaction (EDGES J12; docs/adr/0041-tickets.md).

A transaction that needs an answer which it does not have raises ``TicketsNeeded`` and is undone;
``Services.perform`` asks here and runs it again with the answers. Where nothing may wait (a vote, the
sweep), the request is marked instead, and ``ask_again`` opens it by a step of its own.

A ticket system that is slow takes nothing from others: calls run in no transaction and in no thread of
the store, few at a time for each person and each system, and whoever finds no place is answered
*unavailable* soon.
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
from bascule.interfaces.clock import Clock
from bascule.interfaces.sealing import Seals
from bascule.interfaces.tickets import CallFailed, TicketCarrier
from bascule.json_text import read_json
from bascule.services.cloudevents import signature

MOST_A_MINUTE = 10  # questions of one person
MOST_AT_ONCE_OF_ONE = 2  # of one person
MOST_AT_ONCE_AT_ONE = 4  # at one system
MOST_AT_ONCE = 16
WAIT_SECONDS = 3.0  # for a place
MOST_REMEMBERED = 10_000  # people whose questions of the last minute are counted
PURPOSE = "ticket check"
TOO_MANY = "You asked too often within a minute."
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
        """By digest. Every question has an answer, if only that there is none."""
        found = await asyncio.gather(*(self._ask(each, principal_id) for each in questions))
        return {each.digest: each for each in found}

    def seal(self, secret: str) -> str:
        return self.sealer.seal(PURPOSE, secret.encode())

    async def _ask(self, asked: Question, principal_id: str) -> Answered:
        at = self.clock.now()
        if not self._may_ask(principal_id, at):
            return not_asked(asked, TOO_MANY, at)
        secret = self.sealer.open(PURPOSE, asked.check.sealed_secret)
        if secret is None:
            return not_asked(asked, UNSEALABLE, at)
        self._now_of[principal_id] += 1
        try:
            longest = WAIT_SECONDS if principal_id else None
            async with self._place(asked.check.target.authority, longest):
                return await self._call(asked, secret.decode())
        except TimeoutError:
            return not_asked(asked, TOO_BUSY, at)
        finally:
            self._now_of[principal_id] -= 1
            if not self._now_of[principal_id]:
                del self._now_of[principal_id]

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

    def _may_ask(self, principal_id: str, now: datetime) -> bool:
        """Of the system itself, which asks again, nothing is counted."""
        if not principal_id:
            return True
        lately = [each for each in self._lately.pop(principal_id, []) if _is_lately(each, now)]
        may = len(lately) < MOST_A_MINUTE and self._now_of[principal_id] < MOST_AT_ONCE_OF_ONE
        self._lately[principal_id] = [*lately, now] if may else lately
        while len(self._lately) > MOST_REMEMBERED:
            self._lately.popitem(last=False)
        return may

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
