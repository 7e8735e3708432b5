"""Passwords: Argon2id (RFC 9106), a few at a time, off the event loop.

The parameters are RFC 9106's second recommended option, for where memory is dear: 64 MiB,
three passes, four lanes, about 200 ms of one core (docs/sign-in.md has what was measured).
A hash made with others is renewed at the next right password.

Memory is what Argon2 spends, so hashes under way are bounded across the process: two, and
a short queue behind them, of which a part is kept for people who are known: whose browser
brings the mark of an earlier sign-in as the same user (EDGES E5). Beyond it whoever asks is
told to come back; nothing waits without bound.
The threads stand back for everything else: opening a port does not wait for a guess.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from bascule.domain.passwords import LONGEST, normalised
from bascule.errors import TooManyRequests
from bascule.interfaces.proofs import PasswordVerdict

T = TypeVar("T")

AT_ONCE = 2  # of 64 MiB each
MOST_WAITING = 16  # about two seconds' work on two cores
KEPT_FOR_KNOWN = 8  # places behind those, for whoever is known
RETRY_AFTER = 3  # seconds
NICENESS = 10


class Argon2Passwords:
    """``interfaces.proofs.PasswordHasher``. Use from one event loop."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        at_once: int = AT_ONCE,
        most_waiting: int = MOST_WAITING,
        kept_for_known: int = KEPT_FOR_KNOWN,
    ) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._room = at_once + most_waiting
        self._kept = kept_for_known
        self._under_way = 0
        self._threads = ThreadPoolExecutor(at_once, "bascule-hash", initializer=_stand_back)
        self._nobodys = _hash_of_nothing(self._hasher)

    async def hash(self, password: str) -> str:
        """For somebody who is proved: as one who is known."""
        return await self._run(lambda: self._hasher.hash(_bytes_of(password)), is_known=True)

    async def verify(self, stored: str | None, password: str, *, is_known: bool) -> PasswordVerdict:
        return await self._run(lambda: self._verdict(stored, password), is_known=is_known)

    def has_room(self, *, is_known: bool) -> bool:
        return self._under_way < self._room + (self._kept if is_known else 0)

    def _verdict(self, stored: str | None, password: str) -> PasswordVerdict:
        is_possible = stored is not None and len(password) <= LONGEST
        given = password if len(password) <= LONGEST else ""
        wanted = self._nobodys if stored is None else stored
        try:
            self._hasher.verify(wanted, _bytes_of(given))
        except (VerificationError, InvalidHashError):
            return PasswordVerdict(is_right=False)
        is_outdated = self._hasher.check_needs_rehash(wanted)
        return PasswordVerdict(is_possible, is_possible and is_outdated)

    async def _run(self, work: Callable[[], T], *, is_known: bool) -> T:
        if not self.has_room(is_known=is_known):
            raise TooManyRequests(
                "Too many passwords are being checked at the moment.",
                advice="Try again in a few seconds.",
                retry_after=RETRY_AFTER,
            )
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _bytes_of(password: str) -> bytes:
    return normalised(password).encode("utf-8", "surrogatepass")


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash that costs what a real one costs and that no password has."""
    salt, tag = (
        base64.b64encode(os.urandom(size)).decode().rstrip("=")
        for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${tag}"


def _stand_back() -> None:
    """Linux counts niceness by thread; Argon2's lanes inherit it."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
