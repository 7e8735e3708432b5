"""Who is behind a request, whether by a token (``auth.Call``) or a session (``portal.guard.Visit``).

What is here is the same for both: what the caller may see, and how use cases are run for them.
What is not here: the proof itself, which each of the two asks again in every transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from fastapi import Request

from bascule.api.context import AppState
from bascule.api.origin import base_url
from bascule.domain.access import Subject
from bascule.domain.roles import Reach, Rights
from bascule.domain.scopes import subscription_scope
from bascule.interfaces.store import Reader, Transaction
from bascule.services.act import Act
from bascule.services.rehearsal import Preview, rehearse

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller(ABC):
    """Somebody whose identity was proved at the beginning of this request."""

    state: AppState
    request: Request
    subject: Subject
    rights: Rights  # at the beginning of the request; an agent's are none

    @property
    def now(self) -> datetime:
        return self.state.services.clock.now()

    @property
    def base_url(self) -> str:
        return base_url(self.request)

    @property
    def subscription_id(self) -> str:
        return self.state.installation.subscription_id

    @property
    def subscription(self) -> str:
        """The subscription as a path."""
        return f"/subscriptions/{self.subscription_id}"

    def within(self, *actions: str) -> Reach | None:
        """Where rows are shown that need one of these; None: everywhere, no row needs a check."""
        reach = self.rights.reach(*actions)
        return None if reach.covers(subscription_scope(self.subscription_id).key) else reach

    @abstractmethod
    def admit(self, reader: Reader, now: datetime) -> None:
        """Raise AuthenticationFailed unless the proof still holds, Forbidden when the caller has
        lost what the route asks of them.
        """

    async def check_admission(self) -> None:
        """``admit``, for requests that last."""
        await self.read_few(lambda reader: self.admit(reader, self.now))

    async def perform(self, work: Callable[[Transaction, Act], T]) -> T:
        """Run a use case as this caller, who is admitted again in its transaction."""

        def unit(tx: Transaction, act: Act) -> T:
            self.admit(tx, act.now)
            return work(tx, act)

        correlation_id = str(self.request.state.correlation_id)
        return await self.state.services.perform(unit, self.subject, correlation_id)

    async def rehearse(self, work: Callable[[Transaction, Act], object]) -> Preview:
        """Say what a use case would change if this caller did it; nothing is changed."""

        def unit(tx: Transaction, act: Act) -> None:
            self.admit(tx, act.now)
            work(tx, act)

        return await rehearse(self.state.services, unit, self.subject)

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self.state.services.read(work)

    async def read_few(self, work: Callable[[Reader], T]) -> T:
        """``read``, for a handful of rows by their keys."""
        return await self.state.services.read_few(work)
