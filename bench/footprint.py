"""What Bascule weighs: memory and idle CPU of its processes, start of its command, cost of ssh.

Sources: proc_pid_status(5) (VmRSS), proc_pid_stat(5) (utime, stime), proc_pid_smaps(5)
(smaps_rollup, Pss). Resident memory counts shared pages whole; ``pss`` beside it counts them
by share.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.lab import BASCULE, MACHINE, Lab
from bench.series import median
from bench.standing import Broken, program
from bench.stopwatch import PROGRAM as STOPWATCH
from bench.stopwatch import timed

SERVER_MB = 150  # what we aim at
AGENT_MB = 45
START_MS = 150
_IDLE_SECONDS = 10.0
_STARTS = 15
_LOGINS = 9

Tell = Callable[[str], None]


def measure(stood: Lab, tell: Tell) -> dict[str, dict[str, Any]]:
    """Everything that footprint.json says, by name."""
    pids = {"server": stood.info["pids"]["server"], "agent": stood.info["pids"]["agents"][MACHINE]}
    tell(f"watching server and agent for {_IDLE_SECONDS:.0f} s")
    idle = idle_cpu(pids)
    found: dict[str, dict[str, Any]] = {}
    for name, aim in (("server", SERVER_MB), ("agent", AGENT_MB)):
        found[f"{name}_memory"] = memory(pids[name]) | {"aim": aim}
        found[f"{name}_idle_cpu"] = {"value": idle[name], "unit": "%"}
    tell("starting the command line")
    found["bare_command_start"] = command_start()
    tell("logging in by bascule ssh and by plain ssh")
    found |= logins(stood)
    return found


def memory(pid: int) -> dict[str, Any]:
    return {
        "value": _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") // 1024,
        "unit": "MB",
        "pss_mb": _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") // 1024,
    }


def _kilobytes(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return int(value.split()[0])
    raise Broken(f"{path} has no {name}")


def idle_cpu(pids: dict[str, int]) -> dict[str, float]:
    """Per cent of one core while nobody asks for anything."""
    before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    began = time.monotonic()
    time.sleep(_IDLE_SECONDS)
    took = time.monotonic() - began
    used = {name: _cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return {name: round(seconds / took * 100, 2) for name, seconds in used.items()}


def _cpu_seconds(pid: int) -> float:
    """User and system time from /proc/PID/stat; the command's name may hold anything but ``)``
    at its end, so fields are counted from there.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command_start() -> dict[str, Any]:
    """``bascule --help`` and, taking turns with it, an interpreter that does nothing."""
    script = Path(sys.executable).with_name("bascule")
    bare = [str(script)] if os.access(script, os.X_OK) else list(BASCULE)
    ours, nothing = take_turns(timed, [*bare, "--help"], [sys.executable, "-c", "pass"], _STARTS)
    return {"value": ours, "unit": "ms", "aim": START_MS, "bare_interpreter_ms": nothing}


def logins(stood: Lab) -> dict[str, dict[str, Any]]:
    """``bascule ssh web-1 -- true`` while a request is live, beside plain ssh to the same port."""
    user = stood.info.get("user", "root")
    plain = ["ssh", "-o", "BatchMode=yes", f"{user}@{stood.address(MACHINE)}", "true"]
    ours = ["bascule", "ssh", MACHINE, "--", "true"]
    with program("logging in", stood.client, STOPWATCH) as client:

        def time_there(argv: Sequence[str]) -> float:
            client.tell({"argv": argv})
            return float(client.outcome()["ms"])

        first = time_there(ours)  # opens the port for the rest
        through, direct = take_turns(time_there, ours, plain, _LOGINS)
    return {
        "bascule_ssh_with_request": {"value": round(first, 1), "unit": "ms"},
        "bascule_ssh": {
            "value": through,
            "unit": "ms",
            "ratio": round(through / direct, 2),
            "ratio_to": "of plain ssh",
        },
        "plain_ssh": {"value": direct, "unit": "ms"},
        "bascule_ssh_over_plain": {"value": round(through - direct, 1), "unit": "ms"},
    }


def take_turns(
    stopwatch: Callable[[Sequence[str]], float],
    one: Sequence[str],
    other: Sequence[str],
    turns: int,
) -> tuple[float, float]:
    """Medians in milliseconds of two commands that run in turn; each once before that."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for argv, taken in zip((one, other), times, strict=True):
            spent = stopwatch(argv)
            if turn:
                taken.append(spent)
    return median(times[0]), median(times[1])
