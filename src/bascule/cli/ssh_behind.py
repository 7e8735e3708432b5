"""ssh to a machine behind a gateway, as a process of its own: when it fails, the gateway may know why.

Its answers may not come back through the gateway (EDGES G7), and ssh reports only a timeout.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from bascule.cli.connect import connect
from bascule.cli.printing import note
from bascule.cli.show import unanswered_lines
from bascule.client.access import GrantedPort, list_requests
from bascule.client.located import Located
from bascule.errors import BasculeError, ConfigurationError

FAILED = 255  # ssh's own exit code; others are those of the remote command
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)  # ssh gets them too
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run_and_tell(command: Sequence[str], machine: Located, port: GrantedPort) -> int:
    """Run it to its end; its exit code. If ssh itself failed, say what the gateway has seen."""
    code = run(command)
    if code == FAILED:
        try:
            for line in _seen(machine, port):
                note(f"{machine.name} port {port.number}: {line}")
        except BasculeError:
            pass  # ssh has said that it failed
    return code


def _seen(machine: Located, port: GrantedPort) -> list[str]:
    with connect() as connection:
        mine = list_requests(connection, is_live=True, is_mine=True, machine=machine.id)
    now = (each for request in mine for _, each in request.ports())
    return [
        line for each in now if each.grant_id == port.grant_id for line in unanswered_lines(each)
    ]


def run(command: Sequence[str]) -> int:
    """Its exit code; 128 and more: it died by that signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    child: int | None = None
    early: list[int] = []  # signals that came before there was somebody to pass them on to

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        if child is None:
            early.append(number)
        else:
            with suppress(ProcessLookupError):  # it has ended
                os.kill(child, number)

    # Before the start: a signal may reach any thread, so that this one cannot hold it back until then.
    handlers = dict.fromkeys(_FROM_TERMINAL, lambda *_: None) | dict.fromkeys(_PASSED_ON, pass_on)
    before = {  # what is ignored, as under nohup, stays so for both
        each: signal.signal(each, handler)
        for each, handler in handlers.items()
        if signal.getsignal(each) != signal.SIG_IGN
    }
    try:
        child = _start(command)
        for number in early:
            os.kill(child, number)
        return _wait(child)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _start(command: Sequence[str]) -> int:
    try:
        return os.posix_spawnp(command[0], list(command), os.environ)
    except OSError as error:
        raise ConfigurationError(
            f"{command[0]} cannot be started: {error.strerror}.",
            advice="Install the OpenSSH client (Debian: apt install openssh-client).",
        ) from None


def _wait(child: int) -> int:
    """Until it ends; while it is stopped (``~^Z``) this process is too, so that the shell goes on."""
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        os.kill(os.getpid(), signal.SIGSTOP)
        os.kill(child, signal.SIGCONT)
