"""Waiting for people and starts: what ``request`` and ``ssh`` do while a request waits.

It goes on through a server that restarts, and ends with an error of its own for a no and for a
request that lapsed. Whatever ends it early, the request goes on waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bascule.cli.approval_words import scheduled_lines, stage_words, undone, waiting_lines
from bascule.cli.find import SHORT_ID
from bascule.cli.printing import note
from bascule.cli.waiting import Working
from bascule.client.access import AccessRequest, get_request
from bascule.errors import BasculeError, ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from bascule.client.connection import Connection

_POLL_SECONDS = 25
_LEAST_SECONDS = 1.0  # between two calls, where a server answers at once
_AWAY_SECONDS = 300.0  # how long a server may be away


def until_decided(connection: Connection, request_id: str) -> AccessRequest:
    """The request when it does not wait any more and may open.

    Raises ApprovalDenied; ApprovalLapsed, also when it was withdrawn; ServerUnreachable and Unavailable
    when the server is away for five minutes.
    """
    with _goes_on(request_id):
        request = get_request(connection, request_id)
        if request.is_waiting:
            for line in waiting_lines(request, connection.now()):
                note(line)
        is_told = False
        while request.is_pending:
            if request.is_scheduled and not is_told:
                is_told = True
                for line in scheduled_lines(request):
                    note(line)
            before = _course(request)
            with Working("waiting for its start" if is_told else "waiting for approval"):
                request = _look_again(connection, request_id)
            for line in _course(request):
                if line not in before and request.is_waiting:
                    note(f"  {line}")
    failure = undone(request)
    if failure is not None:
        raise failure
    if request.approval is not None:
        note(f"Approved (request {request_id[:SHORT_ID]}).")
    return request


def _course(request: AccessRequest) -> list[str]:
    return [stage_words(each) for each in request.approval.stages] if request.approval else []


def _look_again(connection: Connection, request_id: str) -> AccessRequest:
    """After the next change, or some seconds; tries again while the server is away."""
    began = time.monotonic()
    is_told = False
    while True:
        started = time.monotonic()
        try:
            return get_request(connection, request_id, _POLL_SECONDS)
        except (ServerUnreachable, Unavailable) as error:
            if time.monotonic() - began > _AWAY_SECONDS:
                raise
            if not is_told:
                note(f"{error.message} Trying again.")
                is_told = True
        finally:
            time.sleep(max(0.0, _LEAST_SECONDS - (time.monotonic() - started)))


@contextmanager
def _goes_on(request_id: str) -> Iterator[None]:
    """Around the waiting: whatever ends it early, the request stands."""
    try:
        yield
    except (KeyboardInterrupt, BasculeError):
        note(
            "The request goes on waiting, and opens when it is approved and its start has come. To wait "
            f"here again, run the same command; to take it back: bascule withdraw {request_id[:SHORT_ID]}"
        )
        raise
