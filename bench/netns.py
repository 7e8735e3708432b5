"""Two network namespaces and a cable between them, for one peer: client and server.

Sources: ip-netns(8), veth(4). They are named ``bench-PEER-client`` and ``bench-PEER-server``;
what a killed run left under these names is removed first, with the programs in it.
What is not here: the lab's network, which ``bascule lab`` makes itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.standing import Placed

CLIENT_ADDRESS = "10.204.0.10"
SERVER_ADDRESS = "10.204.0.20"
_LENGTH = 24
CABLE = "e0"  # the interface's name at both ends
_NETNS = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Pair:
    peer: str

    @property
    def client(self) -> str:
        return f"bench-{self.peer}-client"

    @property
    def server(self) -> str:
        return f"bench-{self.peer}-server"

    @property
    def at_client(self) -> Placed:
        return inside(self.client)

    @property
    def at_server(self) -> Placed:
        return inside(self.server)


def inside(namespace: str) -> Placed:
    return ("ip", "netns", "exec", namespace, "setpriv", "--pdeathsig", "TERM")


def run(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed; answer what it printed."""
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


@contextlib.contextmanager
def pair(peer: str) -> Iterator[Pair]:
    """Make the two namespaces; take them away afterwards."""
    made = Pair(peer)
    with fresh(made.client, made.server):
        ends = ("netns", made.client, "type", "veth", "peer", "name", CABLE, "netns", made.server)
        run("ip", "link", "add", CABLE, *ends)
        for name, address in ((made.client, CLIENT_ADDRESS), (made.server, SERVER_ADDRESS)):
            run("ip", "-n", name, "address", "add", f"{address}/{_LENGTH}", "dev", CABLE)
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", CABLE, "up")
        yield made


@contextlib.contextmanager
def fresh(*names: str) -> Iterator[None]:
    """Make namespaces; take them away afterwards."""
    for name in names:
        _remove(name)
    try:
        for name in names:
            run("ip", "netns", "add", name)
        yield
    finally:
        for name in names:
            _remove(name)


def _remove(name: str) -> None:
    """Take one namespace away, and end the programs in it: they are ours, as its name is."""
    if not (_NETNS / name).exists():
        return
    for pid in run("ip", "netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "delete", name)
