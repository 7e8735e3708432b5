"""How the copy of a host is wired, and which datagram counts, without a kernel (EDGES G7).

With the kernel: tests/netns/test_scratch.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar, cast

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.drivers.linux import scratch
from bascule.drivers.linux.scratch import Journey, Scratch

T = TypeVar("T")
HOST, NEAR = ip_address("10.0.0.1"), ip_address("10.0.0.254")
DNS = PortKey(TransportProtocol.UDP, 53)


class Space:
    """One that records what is made in it."""

    pid = 1

    def __init__(self) -> None:
        self.lines: list[str] = []

    def close(self) -> None: ...

    def run(self, *command: str) -> None: ...

    def links(self, *lines: str) -> None:
        self.lines += lines

    def inside(self, work: Callable[[], T]) -> T:
        return work()


class Wire:
    """A listener, and what is on its way to it."""

    def __init__(self) -> None:
        self.passes = True
        self.queued: list[bytes] = []

    def close(self) -> None: ...

    def settimeout(self, _seconds: float) -> None: ...

    def recv(self, _size: int) -> bytes:
        if not self.queued:
            raise TimeoutError
        return self.queued.pop(0)

    def send(self, _source: str, _to: object, _port: int, mark: bytes) -> None:
        self.queued += [mark] * 3 * self.passes


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(scratch, "Space", Space)
    monkeypatch.setattr(scratch, "_bound", lambda _version, _port: made)
    monkeypatch.setattr(scratch, "_sends", made.send)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "sit0"), (3, "tunl0")])
    return made


def test_a_datagram_of_an_earlier_try_is_none_of_this_one(wire: Wire) -> None:
    with Scratch(Journey(NEAR, "eth0", HOST, DNS), ["lo", "eth0"], [("eth0", HOST)]) as made:
        made.check()
        wire.passes = False
        assert not made.arrives()
        wire.passes = True
        made.check()
        assert made.arrives()


@pytest.mark.parametrize(
    ("by", "links"),
    [
        ("eth0", {"eth0"}),
        ("tunl0", {"eth0", "tunl0"}),
    ],
)
@pytest.mark.usefixtures("wire")
def test_a_link_that_is_there_is_made_only_where_it_is_needed(by: str, links: set[str]) -> None:
    """A second one of the same name is refused, so the one that is there gets another name first."""
    names = ["lo", "sit0", "tunl0", "eth0"]
    with Scratch(Journey(NEAR, by, HOST, DNS), names, [(by, HOST)]) as made:
        lines = cast("Space", made.here).lines
    assert {line.split()[2] for line in lines if line.startswith("link add")} == links
    renamed = [
        line.split()[2] for line in lines if line.startswith("link set") and " name " in line
    ]
    assert renamed == (["tunl0"] if by == "tunl0" else [])
    if renamed:
        assert lines.index("link set tunl0 name t0.own") < min(
            at for at, line in enumerate(lines) if line.startswith("link add tunl0")
        )
