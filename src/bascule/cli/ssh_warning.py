"""A line on the terminal some minutes before the access ends that a ``bascule ssh`` session uses.

Before this process becomes ssh it leaves a child behind, which waits, asks the server for the end as
it then is, says it, and is gone when ssh is. It only writes: it neither extends nor ends anything.
Without a terminal there is nobody to warn, and no child.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from bascule.cli.connect import connect
from bascule.cli.find import short_id
from bascule.cli.spans import show_instant, show_span
from bascule.client.access import AccessRequest, GrantedPort, list_requests
from bascule.client.located import Located
from bascule.clocks import SystemClock
from bascule.domain.plain import clean
from bascule.errors import BasculeError

BEFORE = timedelta(minutes=5)
LOOK_SECONDS = 5.0  # how soon the child notices that ssh is gone
_MINUTE = timedelta(minutes=1)


def warn_before_end(machine: Located, port: GrantedPort, now: datetime) -> None:
    """Leave the child behind; returns in the process that becomes ssh. A system that has no room for
    it gives no warning.
    """
    if not sys.stderr.isatty() or port.ends_at - now <= _MINUTE:
        return
    ssh = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.fork():
            return
    except OSError:
        return
    try:
        os.setsid()  # what is typed at the terminal for ssh is not for the child
        terminal = os.ttyname(2)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # who reads ssh's output, or its terminal, is not kept waiting
            os.dup2(nothing, number)
        clock = SystemClock()
        wait(
            port.ends_at - now,
            lambda: present_end(machine, port),
            lambda text: _write(terminal, f"\r\n{clean(text)}\r\n"),
            lambda: os.getppid() == ssh,
            clock.boottime,
            f"{machine.name} port {port.number}",
        )
    finally:
        os._exit(0)


def wait(
    left: timedelta,
    ask: Callable[[], tuple[timedelta, datetime, str] | None],
    say: Callable[[str], None],
    is_wanted: Callable[[], bool],
    seconds: Callable[[], float],
    what: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Until the warning was said, ssh is gone, or the access is.

    ``ask`` gives what is left now, the end, and what to do about it; None: it is over. Raises
    BasculeError where the server is away. ``seconds`` is a clock that goes on in a suspended laptop.
    """
    due = seconds() + max(timedelta(), left - BEFORE).total_seconds()
    while True:
        while seconds() < due:
            sleep(min(LOOK_SECONDS, max(0.1, due - seconds())))
            if not is_wanted():
                return
        try:
            told = ask()
        except BasculeError:
            say(f"bascule: access to {what} ends within {show_span(BEFORE)}.")
            return
        if told is None or not is_wanted():
            return
        left, ends_at, what_to_do = told
        if left > BEFORE + _MINUTE:  # it was extended meanwhile
            due = seconds() + (left - BEFORE).total_seconds()
            continue
        rounded = timedelta(seconds=max(1, round(left.total_seconds() / 60)) * 60)
        say(
            f"bascule: access to {what} ends in {show_span(rounded)}, at "
            f"{show_instant(ends_at, ends_at)}. {what_to_do}"
        )
        return


def present_end(machine: Located, port: GrantedPort) -> tuple[timedelta, datetime, str] | None:
    """What is left of the grant now, its end, and what to do about it; None: it is over."""
    with connect() as connection:
        mine = list_requests(connection, is_live=True, is_mine=True, machine=machine.id)
        now = connection.now()
    for request in mine:
        for _, each in request.ports():
            if each.grant_id == port.grant_id and each.is_live:
                return each.ends_at - now, each.ends_at, advice(request)
    return None


def advice(request: AccessRequest) -> str:
    """How to go on: the server extends no emergency access (EDGES J10)."""
    if request.is_emergency:
        return "Emergency access is not extended: ask again when it has ended."
    return f"To keep it: bascule extend {short_id(request)}"


def _write(terminal: str, text: str) -> None:
    with suppress(OSError):  # it is gone
        descriptor = os.open(terminal, os.O_WRONLY | os.O_NOCTTY)
        os.write(descriptor, text.encode())
