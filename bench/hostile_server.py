"""How much of a host's memory a hostile server takes by its agent (SECURITY.md has the figures).

``python -m bench.hostile_server [SOURCE]`` needs root. SOURCE is the ``src`` of another checkout, to
measure its agent instead. Each attack has a fresh agent process in a network of its own; what is
told is its peak (VmHWM, proc_pid_status(5)) after SECONDS, and whether it enforces still.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bascule.agent.line_link import ALONE_SECONDS
from tests.e2e.hostile_server import HostileServer, attacks, line_attacks, says
from tests.e2e.small_world import SmallWorld

SECONDS = 15.0
IDLE = "nothing: an honest server"
ATTACKS = {
    **{f"call: {name}": each for name, each in attacks().items()},
    **{f"line: {name}": ("line", each) for name, each in line_attacks().items()},
}


def peak_megabytes(pid: int) -> float:
    """The most that the process ever held in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def measure(name: str) -> str:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            SmallWorld(folder) as world,
            HostileServer(world.network.inner, folder / "hostile") as hostile,
        ):
            if name != IDLE:
                route, evil = ATTACKS[name]
                hostile.evils[route] = evil
                if route != "line":  # only a call is answered like this, and only then is one made
                    hostile.evils["line"] = says({}, 400)
            hostile.enrol(world.state)
            agent = world.start_agent()
            time.sleep(SECONDS + (ALONE_SECONDS if "line" in hostile.evils else 0.0))
            if not agent.is_alive:
                return f"the agent is dead: {agent.log.read_text()[-200:]!r}"
            peak = peak_megabytes(agent.innermost())
            return f"{peak:7.0f} MB, {_told(world)}"


def _told(world: SmallWorld) -> str:
    """What the agent says of itself."""
    where = ("--state", str(world.state), "--control", str(world.control), "-o", "json")
    done = world.on_host("agent", "status", *where, check=False)
    if done.returncode:
        return "does not answer its owner"
    status = json.loads(done.stdout)
    told = "enforces" if status["enforcing"] else "does NOT enforce"
    return f"{told}, connected: {status['connected']}"


def main() -> None:
    if len(sys.argv) > 1:
        os.environ["PYTHONPATH"] = sys.argv[1]
    for name in (IDLE, *ATTACKS):
        print(f"{name:44}{measure(name)}", flush=True)


if __name__ == "__main__":
    main()
