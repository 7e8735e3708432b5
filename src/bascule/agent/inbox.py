"""Commands and wake-ups from other threads, for the loop's thread to take.

A command is either done by the loop or given up by its caller, never both: whoever gets its claim
first has it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from bascule.client.host_agent import AGENT_BUSY
from bascule.errors import ServerUnreachable

T = TypeVar("T")

LATE_SECONDS = 4.0  # more for a command that has begun


@dataclass(slots=True)
class Command:
    """Something to do in the loop's thread; ``answer`` gets what it returned or raised."""

    work: Callable[[], Any]
    answer: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(1))
    claim: threading.Lock = field(default_factory=threading.Lock)


class Inbox:
    """Any thread puts in; only the loop's thread takes out."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Command | None] = queue.Queue()  # None is a bare wake-up

    def wake(self) -> None:
        self._queue.put(None)

    def ask(self, work: Callable[[], T], seconds: float) -> T:
        """Run ``work`` in the loop's thread and return what it returns.

        If it has not begun within ``seconds``, it is not done at all; if it has, it gets a little
        longer. Raises ServerUnreachable, and whatever ``work`` raised.
        """
        command = Command(work)
        self._queue.put(command)
        try:
            result = command.answer.get(timeout=seconds)
        except queue.Empty:
            if command.claim.acquire(blocking=False):
                raise ServerUnreachable(
                    "The agent is busy. Nothing was done.",
                    code=AGENT_BUSY,
                    advice="Try again in a moment. If that does not help, run systemctl restart "
                    "bascule-agent and try again. Closed ports stay closed.",
                ) from None
            result = late_answer(command)
        if isinstance(result, Exception):
            raise result
        return cast("T", result)

    def take(self, seconds: float) -> Command | None:
        """Wait for the next one; None is a bare wake-up. Raises queue.Empty after ``seconds``."""
        return self._queue.get(timeout=seconds)

    def obey(self, command: Command | None) -> None:
        """Do this command and all that wait, and drop the wake-ups among them."""
        while True:
            if command is not None and command.claim.acquire(blocking=False):
                try:
                    command.answer.put(command.work())
                except Exception as error:  # noqa: BLE001  # reason: goes to the asker
                    command.answer.put(error)
            try:
                command = self._queue.get_nowait()
            except queue.Empty:
                return


def late_answer(command: Command) -> object:
    """The answer to a command that the loop has begun."""
    try:
        return command.answer.get(timeout=LATE_SECONDS)
    except queue.Empty:
        raise ServerUnreachable(
            "The agent did not answer in time.",
            advice="Check with bascule agent status whether it was done.",
        ) from None
