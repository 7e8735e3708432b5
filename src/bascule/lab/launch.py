"""Starting programs in a lab host: for the supervisor by fork, for the commands by exec.

Sources: setns(2), sd_listen_fds(3) (descriptors from 3 on; LISTEN_PID is the pid of the process
that reads it, so it is set after the fork), fcntl(2) F_DUPFD_CLOEXEC.
What is not here: when to start and what for (``supervisor``, ``units``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bascule.errors import NotFound
from bascule.lab import namespaces as linux
from bascule.lab.environment import host_environment
from bascule.lab.fdstore import listen_environment
from bascule.lab.host import BuiltHost
from bascule.lab.person import Person
from bascule.lab.state import LabState

_ABOVE_ALL = 512  # descriptors are first moved up there, so that placing one covers no other
_OURS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGUSR1,
)  # the supervisor's
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # which exec would pass on
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # the shell's exit codes


@dataclass(frozen=True, slots=True)
class Start:
    """One program to start in a host."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path  # working directory, as the host sees it
    log: Path  # standard output and error are added to it
    handed: Sequence[tuple[str, int]] = ()  # (name, descriptor), from 3 on in this order


def start_in(host: BuiltHost, start: Start) -> int:
    """Fork, enter the host and become the program; answer its pid."""
    log = os.open(start.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid:
        os.close(log)
        os.close(writer)
        os.read(reader, 1)  # until exec: the child still holds a copy of every stored descriptor,
        os.close(reader)  # and one that a service has us forget must be closed when we say so
        return pid
    try:
        _become(host, start, log)
    except BaseException as error:  # noqa: BLE001  # reason: a fork must never return
        os.write(log, f"cannot start {start.argv[0]}: {error}\n".encode())
    finally:
        os._exit(_NOT_FOUND)


def _become(host: BuiltHost, start: Start, log: int) -> NoReturn:
    """Do the child's part. It dies with the supervisor: nothing of a lab runs unwatched."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (*_OURS, *_IGNORED_BY_PYTHON):
        signal.signal(number, signal.SIG_DFL)
    linux.enter(host.net, linux.CLONE_NEWNET)
    linux.enter(host.uts, linux.CLONE_NEWUTS)
    linux.enter(host.mnt, linux.CLONE_NEWNS)
    linux.die_with_parent(signal.SIGKILL)
    os.chdir(start.folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    _place([nothing, log, log, *(handle for _, handle in start.handed)])
    environment = dict(start.environment) | listen_environment([name for name, _ in start.handed])
    if start.handed:
        environment["LISTEN_PID"] = str(os.getpid())
    os.execvpe(start.argv[0], list(start.argv), environment)  # noqa: S606  # reason: no shell wanted


def _place(handles: Sequence[int]) -> None:
    """Make these the descriptors 0, 1, 2, 3 and so on; all others end with exec."""
    raised = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL) for handle in handles]
    for number, handle in enumerate(raised):
        os.dup2(handle, number, inheritable=True)


def enter_host(state: LabState, name: str) -> None:
    """Move this process into a running lab's host, through the supervisor's descriptors.

    Rootless, the user namespace comes first: it gives the right to enter the others.
    """
    entry = state.hosts.get(name)
    if entry is None:
        raise NotFound(
            f"the lab {state.lab} has no host {name!r}",
            advice=f"its hosts are {', '.join(state.hosts)}",
        )
    place = f"/proc/{state.supervisor.pid}"
    with contextlib.ExitStack() as stack:

        def held(path: str) -> int:
            handle = os.open(f"{place}/{path}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            return handle

        try:
            user = held("ns/user") if state.is_rootless else None
            net, uts, mnt = (held(f"fd/{n}") for n in (entry.net, entry.uts, entry.mnt))
        except OSError as error:
            raise NotFound(f"the lab {state.lab} went down just now: {error}") from error
        if not state.is_held():
            raise NotFound(f"the lab {state.lab} went down just now")
        if user is not None:
            linux.enter(user, linux.CLONE_NEWUSER)
            linux.keep_capabilities()
        linux.enter(net, linux.CLONE_NEWNET)
        linux.enter(uts, linux.CLONE_NEWUTS)
        linux.enter(mnt, linux.CLONE_NEWNS)


def become_command(
    state: LabState, person: Person, host: str, argv: Sequence[str], extra: Mapping[str, str]
) -> int:
    """Enter a host and become a command; return only when it cannot be started."""
    environment = host_environment(person, os.environ) | dict(extra)
    enter_host(state, host)
    os.chdir(person.home)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606  # reason: no shell wanted
    except FileNotFoundError:
        os.write(2, f"{argv[0]}: there is no such command in the lab\n".encode())
        return _NOT_FOUND
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        return _NOT_EXECUTABLE
