"""What is found out at most once in a while, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """One search at a time; what it found, or raised, stands for ``seconds`` from its beginning."""

    def __init__(self, find: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._find = find
        self._seconds = seconds
        self._finding: asyncio.Future[T] | None = None
        self._began_at = 0.0

    async def get(self) -> T:
        """The last that was found, or a new one. A caller that is cancelled ends no search."""
        now = time.monotonic()
        if self._finding is None or (
            self._finding.done() and now - self._began_at >= self._seconds
        ):
            self._began_at = now
            self._finding = asyncio.ensure_future(self._find())
        return await asyncio.shield(self._finding)
