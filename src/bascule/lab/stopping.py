"""Stopping one program of a running lab, and starting it again.

A file says that the supervisor is not to start it again; SIGUSR1 has it look.
What is not here: programs that die otherwise, which the supervisor starts again by itself.
"""

from __future__ import annotations

import os
import signal
import time

from bascule.errors import EnforcementFailed, NotFound
from bascule.lab import units
from bascule.lab.folder import LabFolder
from bascule.lab.processes import end
from bascule.lab.state import LabState, read_state
from bascule.lab.topology import Topology

_SECONDS = 10.0
_PAUSE = 0.02


def programs(topology: Topology) -> list[str]:
    """The names of all that can be stopped."""
    names = [host.name for host in topology.servers]
    names += [units.BALANCER] if topology.replicas else []
    names += [units.DATABASE] if topology.database is not None else []
    names += [units.agent_unit(host.name) for host in topology.agents]
    return names + [units.sshd_unit(host.name) for host in topology.known]


def stop(folder: LabFolder, state: LabState, program: str, *, is_killed: bool) -> None:
    """Return when it is gone; nothing is done to one that is stopped already."""
    _check(state, program)
    folder.stopped(program).touch(mode=0o600)
    state = read_state(folder.state) or state  # it may have been started since
    process = state.processes.get(program)
    if process is None:
        return
    number = signal.SIGKILL if is_killed else units.gentle_signal(program)
    if not end(process.pid, number, process.is_alive, _SECONDS):
        raise EnforcementFailed(f"{program} did not end", advice="try again with --kill")


def start(folder: LabFolder, state: LabState, program: str) -> int:
    """Return its process id when it runs, which may be before it answers."""
    _check(state, program)
    folder.stopped(program).unlink(missing_ok=True)
    os.kill(state.supervisor.pid, signal.SIGUSR1)
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        found = read_state(folder.state)
        if found is not None and (pid := found.pid(program)) is not None:
            return pid
        time.sleep(_PAUSE)
    raise EnforcementFailed(f"{program} was not started: see {folder.log(program)}")


def _check(state: LabState, program: str) -> None:
    names = programs(state.topology)
    if program not in names:
        raise NotFound(
            f"the lab {state.lab} has no program {program!r}",
            advice=f"its programs are {', '.join(names)}",
        )
