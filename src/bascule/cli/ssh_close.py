"""``bascule ssh --close``: a child that says that ssh goes on, and closes its access when ssh has ended.

Before this process becomes ssh it leaves the child behind, which says every half minute that ssh goes on. If
the child is killed too, or the laptop sleeps or loses its network, the server misses that, and closes the
access by itself (``domain.runs``). The child never makes access longer.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from uuid import uuid4

from bascule.cli.connect import connect
from bascule.client import runs
from bascule.domain.runs import BOUND, HEARTBEAT
from bascule.errors import BasculeError, ConfigurationError, Conflict, NotFound

VARIABLE = "BASCULE_SSH_CLOSE"
_RETRY_SECONDS = 5.0
_LOOK_SECONDS = 0.5  # where the system does not tell of a process's end


def is_wanted(ours: dict[str, str], environment: dict[str, str] | None = None) -> bool:
    """By the command line, else by the environment. Raises ConfigurationError for other values."""
    if "close" in ours or "no-close" in ours:
        return "no-close" not in ours
    value = (os.environ if environment is None else environment).get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise ConfigurationError(
            f"{VARIABLE} is {value[:40]!r}.", advice="Set it to 1 (on) or to 0 (off)."
        )
    return value == "1"


def new_run() -> str:
    return str(uuid4())


def close_after(request_id: str, run_id: str) -> None:
    """Leave the child behind; returns in the process that becomes ssh.

    Raises ConfigurationError where the system has no room for it: then nothing would close the access in
    time, but for the server, which does so soon.
    """
    ssh = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.fork():
            return
    except OSError as error:
        raise ConfigurationError(
            f"No process could be started that closes the access when ssh ends: {error.strerror}.",
            advice="Run bascule ssh without --close.",
        ) from None
    try:
        os.setsid()  # the terminal's signals are for ssh
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # who reads ssh's output is not kept waiting
            os.dup2(nothing, number)
        os.chdir("/")
        say_until_ended(
            wait_for_end(ssh),
            lambda: _call(runs.put_run, request_id, run_id),
            lambda: _call(runs.end_run, request_id, run_id),
        )
    finally:
        os._exit(0)


def _call(work: Callable[..., None], request_id: str, run_id: str) -> None:
    with connect() as connection:
        work(connection, request_id, run_id)


def say_until_ended(
    has_ended: Callable[[float], bool],
    beat: Callable[[], None],
    end: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """``has_ended`` waits for so many seconds at most. Ends with ssh, or when its access is over, or nothing
    closes it any more.
    """
    while True:
        try:
            beat()
        except (NotFound, Conflict):
            return
        except BasculeError:  # the server, or the way to it, is away
            pass
        if has_ended(HEARTBEAT.total_seconds()):
            break
    until = clock() + BOUND.total_seconds()  # by then the server closes it by itself
    while clock() < until:
        try:
            end()
        except (NotFound, Conflict):
            return
        except BasculeError:
            sleep(_RETRY_SECONDS)
        else:
            return


def wait_for_end(ssh: int) -> Callable[[float], bool]:
    """Of this process's parent: waits for it for so many seconds at most, and tells whether it has ended."""
    if not hasattr(os, "pidfd_open"):  # not on Linux
        return lambda seconds: _look_for_end(ssh, seconds)
    try:
        process = os.pidfd_open(ssh)
    except OSError:  # it has ended, or the kernel has none of these
        return lambda seconds: _look_for_end(ssh, seconds)
    ended = select.poll()
    ended.register(process, select.POLLIN)
    # Another process may have got its number before that.
    return lambda seconds: os.getppid() != ssh or bool(ended.poll(seconds * 1000))


def _look_for_end(ssh: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while os.getppid() == ssh:
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
