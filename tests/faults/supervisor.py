"""The lab's supervisor with other programs: ``python -m tests.faults.supervisor FOLDER LAB SHAPE PORT FD``.

Where it differs: plain listeners stand where sshd stood, there are several people and a second gateway
(``second``), a program is started again sooner, an agent reads its enrolment token anew at each start
(as a host does whose root enrolled it again), and the code that server and agents run is chosen at each
start.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

from bascule.lab import host as lab_host
from bascule.lab import supervisor, units
from bascule.lab.folder import LabFolder
from bascule.lab.host import HostPlan
from bascule.lab.topology import LabHost, Shape
from bascule.lab.units import Unit
from tests.faults import second
from tests.faults.schedule import EXTRA_PORT, GATEWAY2, KEEP_PORT, KILL_PORT

CODE = "code"  # names the folder that goes first on PYTHONPATH
REBOOTED, REPLACED = "rebooted", "replaced"
DISK = "400m"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
PORTS = (KEEP_PORT, KILL_PORT, EXTRA_PORT)


def token_file(folder: LabFolder, machine: str) -> Path:
    return folder.root / f"token-{machine}"


def boot_file(folder: LabFolder, machine: str) -> Path:
    """The identity of its next boot."""
    return folder.root / f"boot-{machine}"


def lost_file(folder: LabFolder, machine: str) -> Path:
    """There before an agent is killed: what the next one finds gone, REBOOTED or REPLACED."""
    return folder.root / f"lost-{machine}"


def clock_file(folder: LabFolder, host: str) -> Path:
    """By how much the wall clock of the next agent or server there is wrong, as faketime(1) says it."""
    return folder.root / f"clock-{host}"


def _write_host_files(plan: HostPlan, write: Callable[[HostPlan], None]) -> None:
    """The database's folder is a disk of its own, which can be filled: in memory."""
    write(plan)
    if plan.host.role == "database":
        disk = ("-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs")
        subprocess.run(["mount", *disk, str(plan.folder.database)], check=True)


class FaultSupervisor(supervisor.Supervisor):
    def _make(self) -> None:
        write = partial(_write_host_files, write=lab_host.write_host_files)
        with patch.object(lab_host, "write_host_files", write):
            super()._make()
        second.join(self._topology)
        guard = self._folder.guard(GATEWAY2)
        guard.write_text(second.guard_text(self._topology))

    def _start(self, running: supervisor.Running) -> None:
        host = running.unit.host
        lost = lost_file(self._folder, host.name)
        if running.unit.name == units.agent_unit(host.name) and lost.exists():
            running.store.clear()  # the kernel's rules are nobody's now
            self._lose(host, lost.read_text())
            lost.unlink()
        super()._start(running)

    def _lose(self, host: LabHost, what: str) -> None:
        inside = ["ip", "netns", "exec", self._topology.namespace(host)]
        subprocess.run([*inside, "nft", "flush", "ruleset"], check=True)
        subprocess.run([*inside, "conntrack", "-F"], check=True)
        if what == REPLACED:
            state = self._folder.agent_state(host.name)
            shutil.rmtree(state)
            state.mkdir(mode=0o700)

    def _add(self, unit: Unit) -> None:
        folder = self._folder
        if unit.name in [host.name for host in self._topology.servers]:
            if self._topology.database is None:
                make = [sys.executable, "-m", "tests.faults.accounts"]
                subprocess.run([*make, str(folder.data), self._topology.server_url], check=True)
            unit = _chosen_code(unit, folder)
        elif unit.name == units.sshd_unit(unit.host.name):
            argv = (sys.executable, "-m", "tests.faults.listeners", *map(str, PORTS))
            unit = dataclasses.replace(unit, argv=argv)
        elif unit.name in (units.SEED, units.AWAIT):
            argv = (sys.executable, "-m", second.__name__, *unit.argv[3:])
            unit = dataclasses.replace(unit, argv=argv)
        elif unit.name == units.agent_unit(unit.host.name):
            unit = self._enrolled_anew(unit, unit.host)
        super()._add(unit)

    def _enrolled_anew(self, unit: Unit, machine: LabHost) -> Unit:
        """The agent with its token read from a file when it starts."""
        file = token_file(self._folder, machine.name)
        file.write_text(unit.token)
        argv = (*unit.argv, "--token-file", str(file))
        if machine.name == GATEWAY2:
            argv += ("--guard", str(self._folder.guard(GATEWAY2)))
        return _chosen_code(dataclasses.replace(unit, argv=argv, token=""), self._folder)


# It knows the next boot by its identity, which a host of the lab has for itself.
_BOOT = """\
[ ! -e {boot} ] || mount --bind {boot} /proc/sys/kernel/random/boot_id
"""
_CLOCK = """\
[ ! -e {clock} ] || export LD_PRELOAD={faketime} FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME="$(cat {clock})"
"""


def _chosen_code(unit: Unit, folder: LabFolder) -> Unit:
    code = shlex.quote(str(folder.root / CODE))
    command = f'export PYTHONPATH="$(cat {code})"; exec {shlex.join(unit.argv)}'
    host = unit.host.name
    clock = shlex.quote(str(clock_file(folder, host)))
    command = _CLOCK.format(clock=clock, faketime=FAKETIME) + command
    if unit.name == units.agent_unit(host):
        command = _BOOT.format(boot=shlex.quote(str(boot_file(folder, host)))) + command
    return dataclasses.replace(unit, argv=("/bin/sh", "-c", command))


def main(arguments: list[str]) -> int:
    root, lab, shape, port, listener = arguments
    os.umask(0o022)
    os.set_inheritable(int(listener), False)
    supervisor.RESTART_SECONDS = 0.3
    folder = LabFolder(Path(root))
    topology = second.fault_topology(lab, Shape.parse(shape))
    return FaultSupervisor(folder, topology, int(listener), int(port)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
