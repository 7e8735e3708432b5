"""Waiting for the firewall's word: long-polls, and a sign of life for whoever looks on."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from bascule.cli.clean import clean
from bascule.cli.find import SHORT_ID
from bascule.cli.printing import note
from bascule.cli.spans import show_span
from bascule.client.access import AccessRequest, get_request
from bascule.client.reading import UnexpectedAnswer
from bascule.domain.lifecycle import GrantState
from bascule.domain.points import LONGEST_PATIENCE
from bascule.errors import BasculeError, ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from bascule.client.connection import Connection

# The server withdraws before that what is not in force.
OPEN_SECONDS = LONGEST_PATIENCE.total_seconds() + 15
CLOSE_SECONDS = 8.0  # however many are waited for
_POLL_SECONDS = 25
OPEN_NOW = "To see what is open: bascule status"
# What leaves open whether a change was made.
LOST = (KeyboardInterrupt, ServerUnreachable, Unavailable, UnexpectedAnswer)


def tell_patience(patience: timedelta) -> None:
    """Before asking, on a terminal (EDGES G4)."""
    if sys.stderr.isatty():
        note(f"A request fails that is not open in {show_span(patience)}.")


@contextmanager
def unknown_if_lost(what: str, *, look: str = OPEN_NOW) -> Iterator[None]:
    """Around a call that changes something: where its answer is lost, say that it may have been done
    (``what``), and where to look.
    """
    try:
        yield
    except LOST:
        note(f"It is unknown whether this was {what}. {look}")
        raise


@contextmanager
def may_still_open(request_id: str) -> Iterator[None]:
    """Around what follows an answered request: whatever ends it early, the request stands."""
    try:
        yield
    except (KeyboardInterrupt, BasculeError):
        short = request_id[:SHORT_ID]
        note(f"It is requested and may still open; to withdraw it: bascule revoke {short}")
        raise


def wait_until_open(connection: Connection, request_id: str) -> AccessRequest:
    """Until no port is opening any more; what it says then, it may still say ``opening``."""
    return _wait(connection, request_id, GrantState.OPENING, time.monotonic() + OPEN_SECONDS)


def wait_until_closed(
    connection: Connection, request_ids: Iterable[str]
) -> Iterator[AccessRequest]:
    """Each as soon as no port of it is closing any more, or some seconds are over for all."""
    ends = time.monotonic() + CLOSE_SECONDS
    for request_id in request_ids:
        yield _wait(connection, request_id, GrantState.CLOSING, ends)


def _wait(
    connection: Connection, request_id: str, unsettled: GrantState, ends: float
) -> AccessRequest:
    """Looks once at least, also when its time is over."""
    while True:
        left = ends - time.monotonic()
        request = get_request(
            connection,
            request_id,
            max(0, min(_POLL_SECONDS, int(left))),
            until_closed=unsettled is GrantState.CLOSING,
        )
        if left < 1 or not any(port.state == unsettled for _, port in request.ports()):
            return request


class Working:
    """A turning sign on a terminal, from half a second on; nothing anywhere else."""

    def __init__(self, words: str) -> None:
        self._words = clean(words)
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._turn, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _turn(self) -> None:
        if self._is_over.wait(0.5):
            return
        for sign in itertools.cycle("|/-\\"):
            click.echo(f"\r{sign} {self._words} ", err=True, nl=False)
            if self._is_over.wait(0.15):
                break
        click.echo("\r\x1b[K", err=True, nl=False)
