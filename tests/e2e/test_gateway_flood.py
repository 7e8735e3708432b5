"""A stranger floods a machine behind a gateway with SYNs: who was granted gets in, and nobody else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.client.knocks import blocked_attempts
from tests.e2e.test_gateway import SSH, GatewayWorld
from tests.netns.conftest import why_not
from tests.netns.gateway import SQL
from tests.netns.network import CLIENT, STRANGER

pytestmark = [pytest.mark.root, pytest.mark.leak]

SENDERS = 2
A_FLOOD = 5_000  # SYNs a second: fewer prove nothing
MOST_CPU = 0.25  # of one processor, for the agent
MOST_GROWTH = 16 << 20  # bytes of the agent's memory

# The stranger's own address now and then; else one of 16,384 that are nobody's, so that what the
# gateway remembers of knocks is full.
_SEND = """
import ctypes, ipaddress, os, random, socket, sys
from tests.netns.packets import FLAGS, packet, tcp_segment
own, to, seed = sys.argv[1:]
chance = random.Random(int(seed))
def one(source):
    return packet(source, to, tcp_segment(source, to, chance.randrange(1024, 65536), 22, FLAGS["SYN"]))
first = int(ipaddress.ip_address("198.18.0.0"))
made = [one(own if n % 4 == 0 else str(ipaddress.ip_address(first + chance.randrange(16384)))) for n in range(8192)]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.connect((to, 0))
class Vector(ctypes.Structure):  # sendmmsg(2), of x86-64 and arm64
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.POINTER(Vector)),
                ("number", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("sent", ctypes.c_uint)]
kept = [ctypes.create_string_buffer(each, len(each)) for each in made]
vectors = [Vector(ctypes.cast(each, ctypes.c_void_p), len(each)) for each in kept]
messages = (Message * len(made))(*(Message(None, 0, ctypes.pointer(each), 1) for each in vectors))
send = ctypes.CDLL(None, use_errno=True).sendmmsg
parent, at = os.getppid(), 0
while os.getppid() == parent:
    sent = send(raw.fileno(), ctypes.byref(messages[at]), min(1024, len(made) - at), 0)
    at = (at + max(1, sent)) % len(made)  # -1: the queue is full, or no neighbour answers
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GatewayWorld]:
    if why := why_not():
        pytest.skip(why)
    with GatewayWorld(tmp_path) as made:
        yield made


@contextlib.contextmanager
def flood(world: GatewayWorld) -> Iterator[None]:
    argv = ["ip", "netns", "exec", world.network.stranger.name, sys.executable, "-c", _SEND]
    cwd = Path(__file__).resolve().parents[2]
    with contextlib.ExitStack() as stack:
        for seed in range(SENDERS):
            sender = stack.enter_context(
                subprocess.Popen([*argv, STRANGER, SQL, str(seed)], cwd=cwd)
            )
            stack.callback(sender.kill)
        yield


def _cpu(pid: int) -> float:
    """Seconds of processor time so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _forwarded(world: GatewayWorld) -> int:
    """Packets that came to the gateway from outside."""
    text = world.network.host.run("cat", "/proc/net/snmp")
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Ip:"))
    return int(dict(zip(names, values, strict=True))["InReceives"])


def test_a_flood_of_syns_keeps_nobody_out_and_lets_nobody_in(world: GatewayWorld) -> None:
    world.begin()
    assert world.agent is not None
    pid = world.agent.pid
    memory = _memory(pid)
    with flood(world):
        time.sleep(2)
        began, packets, cpu = time.monotonic(), _forwarded(world), _cpu(pid)
        granted = world.open(SSH, 60)
        assert world.port_of(granted).state == "open", world.logs()
        opened = time.monotonic() - began
        assert world.network.client.reaches(SSH, SQL)
        assert not world.network.stranger.reaches(SSH, SQL)
        time.sleep(max(0.0, 12 - (time.monotonic() - began)))
        assert world.network.client.reaches(SSH, SQL)
        assert not world.network.stranger.reaches(SSH, SQL)
        seconds = time.monotonic() - began
        rate = (_forwarded(world) - packets) / seconds
        share = (_cpu(pid) - cpu) / seconds
    grown = _memory(pid) - memory
    said = f"{rate:,.0f} packets/s, open after {opened:.2f} s, agent {share:.1%} CPU, +{grown >> 10} KiB"
    sys.stdout.write(said + "\n")
    assert rate > A_FLOOD, said
    assert share < MOST_CPU, said
    assert grown < MOST_GROWTH, said
    found = world.ask(lambda c: blocked_attempts(c, world.behind_id, 3, 100))
    assert CLIENT not in {each.address for each in found.sources}, "who was let in is no knock"
    assert world.agent.is_alive
