"""Bringing a lab up and down, from the commands' side.

``up`` looks at what is there (a running lab, or what a killed one left), clears it away, binds
the host's port and starts the supervisor detached; ``down`` ends the supervisor and clears away.
Both may be repeated. What is not here: what the supervisor does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bascule.errors import BasculeError, Conflict, EnforcementFailed, NotFound
from bascule.lab import preflight
from bascule.lab.environment import find_tool
from bascule.lab.folder import LabFolder, lab_folder, remove, sole_access
from bascule.lab.network import remove_network
from bascule.lab.packages import ensure_postgresql
from bascule.lab.processes import (
    NETNS_FOLDER,
    ProcessId,
    end,
    end_all,
    mark_of,
    registered_networks,
)
from bascule.lab.state import LabState, read_state
from bascule.lab.topology import DEFAULT_LAB, Shape, Topology, default_topology, widest_topology

_PAUSE = 0.05
_END_SECONDS = 20.0  # a supervisor gives its programs five, then kills
_BIRTH_SECONDS = 60.0

Tell = Callable[[str], None]


def running_state(name: str) -> LabState:
    """The state of a lab that runs; raise NotFound when it does not."""
    state = read_state(lab_folder(name).state)
    if state is None or not state.is_held() or state.phase not in {"starting", "running"}:
        option = "" if name == DEFAULT_LAB else f" --name {name}"
        raise NotFound(
            f"the lab {name} is not running", advice=f"start it: bascule lab up --detach{option}"
        )
    return state


@dataclass(slots=True)
class Launched:
    """A supervisor that was started, and what ties it to this process when in the foreground."""

    folder: LabFolder
    process: subprocess.Popen[bytes]
    tether: int | None  # closing it ends the lab


def is_left(folder: LabFolder, topology: Topology) -> bool:
    """Tell whether anything of a lab is there."""
    return folder.root.exists() or bool(_registered(topology))


def _registered(topology: Topology) -> list[str]:
    """Its namespaces under /run/netns; rootless they stand in the supervisor's own /run."""
    if os.geteuid() != 0:
        return []
    return [name for name in topology.namespaces if (NETNS_FOLDER / name).exists()]


def clear(name: str) -> None:
    """End and remove all that belongs to a lab, running or left over. The lock is held."""
    folder, topology = lab_folder(name), widest_topology(name)
    state = read_state(folder.state)
    if state is not None and state.is_held():
        _end_supervisor(state.supervisor)
    names = _registered(topology)
    mark = mark_of(folder.root)
    left = end_all(mark, registered_networks(tuple(names)))
    if left:
        raise Conflict(
            f"processes {', '.join(map(str, left))} of the lab {name} did not end",
            advice="end them, then try again",
        )
    remove_network(names)
    remove(folder)


def _end_supervisor(process: ProcessId) -> None:
    """Ask it to take the lab down; kill it if it does not."""
    if not end(process.pid, signal.SIGTERM, process.is_alive, _END_SECONDS):
        end(process.pid, signal.SIGKILL, process.is_alive, _END_SECONDS)


def launch(
    name: str, port: int, shape: Shape, tools: Mapping[str, str], *, is_tied: bool, tell: Tell
) -> Launched | None:
    """Start a lab's supervisor; None when the lab runs already.

    ``tools``: programs that its hosts' firewall needs, each with its Debian package.
    """
    is_rootless = os.geteuid() != 0
    preflight.check_tools(tools, is_rootless=is_rootless)
    if is_rootless:
        preflight.check_user_namespaces()
    if shape.has_database:
        ensure_postgresql(tell)
    with sole_access():
        folder, topology = lab_folder(name), default_topology(name, shape)
        state = read_state(folder.state)
        if state is not None and state.is_held() and state.phase in {"starting", "running"}:
            if shape not in (Shape(), Shape.parse(state.shape)):
                option = "" if name == DEFAULT_LAB else f" --name {name}"
                raise Conflict(
                    f"the lab {name} is running already, with other servers",
                    advice=f"remove it first: bascule lab down{option}",
                )
            return None
        if is_left(folder, widest_topology(name)):
            tell(f"removing what an earlier lab {name} left")
            clear(name)
        with preflight.listen_on_loopback(port) as listener:
            folder.create([host.name for host in topology.hosts])
            launched = _spawn(folder, topology, listener, port, is_tied=is_tied)
        _wait_for_birth(launched)
        return launched


def _spawn(
    folder: LabFolder, topology: Topology, listener: socket.socket, port: int, *, is_tied: bool
) -> Launched:
    """Start the supervisor in a session of its own, so that no terminal's end reaches it."""
    handed = [listener.fileno()]
    reader = tether = None
    if is_tied:
        reader, tether = os.pipe()  # when the writing end is closed, the reader hangs up
        handed.append(reader)
    argv = [sys.executable, "-m", "bascule.lab.supervisor", str(folder.root), topology.lab]
    argv += [str(topology.shape), str(port), *map(str, handed)]
    if os.geteuid() != 0:
        argv = [find_tool("unshare") or "unshare", *preflight.UNSHARE, "--", *argv]
    with folder.supervisor_log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # reason: a list, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=handed,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("BASCULE_")},
        )
    if reader is not None:
        os.close(reader)
    return Launched(folder, process, tether)


def _wait_for_birth(launched: Launched) -> None:
    """Return when the supervisor has written its first state, or is dead."""
    deadline = time.monotonic() + _BIRTH_SECONDS
    while launched.process.poll() is None and not launched.folder.state.exists():
        if time.monotonic() > deadline:
            launched.process.kill()
            raise EnforcementFailed("the lab's supervisor does not start")
        time.sleep(_PAUSE)


def follow(launched: Launched, tell: Tell) -> LabState:
    """Tell the steps as they are done; return when the lab stands, raise when it never will."""
    told = 0
    while True:
        is_over = launched.process.poll() is not None  # looked at first: its last words count
        state = read_state(launched.folder.state)
        for step in state.steps[told:] if state else []:
            tell(step)
            told += 1
        if state is not None and state.phase == "running":
            return state
        if is_over:
            raise _failure(launched.folder, state)
        time.sleep(_PAUSE)


def _failure(folder: LabFolder, state: LabState | None) -> BasculeError:
    reason = state.error if state is not None else folder.tail("supervisor")
    if not reason and (state is None or state.phase == "stopping"):
        return Conflict("the lab was stopped before it was up")
    advice = "the next `bascule lab up` or `bascule lab down` removes its remains"
    return EnforcementFailed(
        f"the lab did not come up: {reason or 'its supervisor was killed'}",
        advice=(state.advice if state is not None else "") or advice,
    )


def wait_until_running(name: str, tell: Tell) -> LabState:
    """Follow a lab that somebody else is bringing up."""
    told = 0
    while True:
        state = running_state(name)
        for step in state.steps[told:]:
            tell(step)
            told += 1
        if state.phase == "running":
            return state
        time.sleep(_PAUSE)


def hold(launched: Launched) -> int:
    """Stay in the foreground until the lab ends; answer the supervisor's exit code."""
    return launched.process.wait()


def let_go(launched: Launched) -> None:
    """End a lab that belongs to this process and wait for it."""
    if launched.tether is not None:
        os.close(launched.tether)
        launched.tether = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        launched.process.wait(_END_SECONDS)


def take_down(name: str) -> bool:
    """Remove a lab; answer whether there was one."""
    with sole_access():
        if not is_left(lab_folder(name), widest_topology(name)):
            return False
        clear(name)
        return True
