"""Faults, done on time and remembered so that all of them can be healed.

What root may do to our table while somebody owns it is nothing (EDGES A5, A25): a change that
nft accepts is a finding, unless its agent died and the next has not yet taken the table over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import assert_never

from bascule.lab.processes import ProcessId
from bascule.lab.units import SERVER
from tests.faults.cluster import Cluster
from tests.faults.history import Disturbed, History, boottime, told_by
from tests.faults.people import Person, parted
from tests.faults.schedule import (
    LINKS,
    REPLICAS,
    Continue,
    Cut,
    Fault,
    FillDisk,
    Flush,
    ForeignTable,
    FreeDisk,
    GiveConnectionsBack,
    Heal,
    Kill,
    Promote,
    Reboot,
    Stop,
    Tamper,
    TurnClock,
    UseUpConnections,
)
from tests.faults.supervisor import REBOOTED
from tests.faults.world import World

BACK_WITHIN = 60.0  # seconds for what was rebooted to have its rules
FOREIGN = """\
table inet foreign {
    chain mine {
        type filter hook input priority 0; policy accept;
        tcp dport 8001-8003 counter accept
        ct state related accept
    }
    chain through {
        type filter hook forward priority 0; policy accept;
        tcp dport 8001-8003 counter accept
        ct state related accept
    }
}
"""
ATTACKS = (
    "flush set inet bascule closed",
    "flush chain inet bascule granted",
    "add rule inet bascule granted accept",
    "delete table inet bascule",
    "add element inet bascule g4_0 { tcp . 8001 timeout 1m }",
    "flush set inet bascule behind_closed4",
    "flush chain inet bascule behind_granted",
    "add rule inet bascule behind_granted accept",
    "add element inet bascule behind_g4_0 { 10.203.1.31 . tcp . 8001 timeout 1m }",
    "flush set inet bascule mapped_closed4",
    "flush chain inet bascule mapped_ports",
    "add element inet bascule mapped_to4 { 10.203.0.11 . 10.203.0.23 . tcp . 2291 : 10.203.1.31 . 8001 }",
)


class Faults:
    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._stopped: dict[str, tuple[ProcessId, Disturbed]] = {}
        self._cut: dict[tuple[str, str], Disturbed] = {}
        self._foreign: set[str] = set()
        self._turned: set[str] = set()
        self._mender = Person("who waits for what is rebooted")
        self._cluster = Cluster(world, history)

    def do(self, fault: Fault) -> None:
        match fault:
            case Kill(unit):
                self._begin(unit, f"kill {unit}").healed = boottime()
                self._world.send(unit, signal.SIGKILL)
            case Stop(unit):
                self._stop(unit)
            case Continue(unit):
                self._continue(unit)
            case Cut(host, other):
                self._sever(host, other)
            case Heal(host, other):
                self._mend(host, other)
            case Flush() | Tamper() | ForeignTable():
                self._do_to_rules(fault)
            case Reboot(machine):
                self._mender.do(lambda: self._reboot(machine))
            case Promote() | UseUpConnections() | GiveConnectionsBack() | FillDisk() | FreeDisk():
                self._cluster.do(fault)
            case TurnClock(unit, hours):
                self._turn_clock(unit, hours)
            case _:
                assert_never(fault)

    def _do_to_rules(self, fault: Flush | Tamper | ForeignTable) -> None:
        match fault:
            case Flush(machine):
                self._world.nft(machine, "flush", "ruleset")
            case Tamper(machine):
                self._tamper(machine)
            case ForeignTable(machine, is_there):
                self._set_foreign(machine, is_there)
            case _:
                assert_never(fault)

    def heal(self) -> None:
        for unit in list(self._stopped):
            self._continue(unit)
        for host, other in list(self._cut):
            self._mend(host, other)
        for machine in list(self._foreign):
            self._set_foreign(machine, False)
        for unit in list(self._turned):
            self._turn_clock(unit, None)
        if not self._mender.finish(BACK_WITHIN) or self._mender.failure is not None:
            self._history.complain(f"a reboot did not come to its end: {self._mender.failure!r}")
        self._cluster.heal()

    def _begin(self, unit: str, what: str) -> Disturbed:
        made = Disturbed(told_by(unit), what, boottime())
        self._history.disturbed.append(made)
        return made

    def _stop(self, unit: str) -> None:
        if unit in self._stopped:
            return
        disturbed = self._begin(unit, f"stop {unit}")
        found = self._world.send(unit, signal.SIGSTOP)
        if found is None:  # between two processes: nothing to stop
            disturbed.healed = boottime()
        else:
            self._stopped[unit] = (found, disturbed)

    def _continue(self, unit: str) -> None:
        process, disturbed = self._stopped.pop(unit, (None, None))
        if process is not None and disturbed is not None:
            if process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
            disturbed.healed = boottime()

    def _sever(self, host: str, other: str) -> None:
        if (host, other) in self._cut:
            return
        made = self._begin(host, f"cut {host} {other}".strip())
        made.cuts_watchers = host not in (SERVER, *REPLICAS, *LINKS)
        self._cut[host, other] = made
        if other:
            self._world.part(host, other, is_parted=True)
        else:
            self._world.set_cable(host, is_up=False)

    def _mend(self, host: str, other: str) -> None:
        disturbed = self._cut.pop((host, other), None)
        if disturbed is None:
            return
        if other:
            self._world.part(host, other, is_parted=False)
        else:
            self._world.set_cable(host, is_up=True)
        disturbed.healed = boottime()

    def _reboot(self, machine: str) -> None:
        with parted(self._world, self._history, machine):
            lost = self._world.lose(machine, REBOOTED)
            while not any(lost < shut for shut in self._world.closed_at(machine)):
                time.sleep(0.05)

    def _turn_clock(self, unit: str, hours: int | None) -> None:
        self._begin(unit, f"kill {unit}").healed = boottime()
        self._world.turn_clock(unit, hours)
        (self._turned.discard if hours is None else self._turned.add)(unit)

    def _tamper(self, machine: str) -> None:
        for attack in ATTACKS:
            began = boottime()
            code, said = self._world.nft(machine, "-f", "-", text=attack)
            if code == 0 and not self._is_handing_over(machine, began):
                self._history.complain(f"root on {machine} could {attack!r}: {said}")

    def _is_handing_over(self, machine: str, moment: float) -> bool:
        """Had its agent been killed (here, or enrolled anew) and not yet shut the ports again?"""
        kills = [each.begun for each in self._history.disturbed if each.what == f"kill {machine}"]
        return any(
            not any(killed < shut < moment for shut in self._world.closed_at(machine))
            for killed in kills
        )

    def _set_foreign(self, machine: str, is_there: bool) -> None:
        text = FOREIGN if is_there else "table inet foreign {}\ndelete table inet foreign\n"
        code, said = self._world.nft(machine, "-f", "-", text=text)
        assert code == 0, said
        (self._foreign.add if is_there else self._foreign.discard)(machine)
