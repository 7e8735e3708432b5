"""A copy of a host's links, addresses and rules in network namespaces of its own, and a packet there.

``here`` has the host's interfaces by name and all its addresses; ``outside`` is a neighbour from whom the
packet comes; ``inside`` is where the host forwards it to. The namespaces live as long as processes of
ours hold them, so none is left whatever happens, and the host itself is not touched: nothing is sent
on its links. Takes root, and the programs unshare, nsenter, ip and nft.
What is not here: which packet is to be sent (``trials``), which rules are copied (``copied_rules``).
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from bascule.domain.net import Address, PortKey, TransportProtocol

T = TypeVar("T")

_NEW_NET = 0x40000000  # CLONE_NEWNET
_WAIT = 1.0  # seconds for a packet of which the copy has shown that it carries others
_FIRST_WAIT = 5.0  # seconds for the first one: links come up, neighbours are found
_PATIENCE = 20  # seconds for a command
_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_ROUTERS = {4: "169.254.77.1", 6: "fe80::77:1"}  # of ``here``, towards ``inside``
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # often without the latter


class CannotTry(Exception):
    """The copy could not be made, or carries nothing; with the reason."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One packet: from whom, by which interface of the host, to where, and where it should come out."""

    source: Address
    interface: str
    to: Address
    port: PortKey  # at that address
    inner: tuple[str, Address, PortKey] | None = (
        None  # by which link to whom; None: the host itself
    )

    @property
    def own(self) -> PortKey:
        """The port at which it arrives."""
        return self.port if self.inner is None else self.inner[2]


def run(*command: str, text: str | None = None, within: Sequence[str] = ()) -> str:
    """What a program prints, ``within`` of another; raises CannotTry."""
    try:
        done = subprocess.run(  # noqa: S603  # reason: a list, no shell; names that the code gives
            [*within, *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, "PATH": _PATH, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise CannotTry(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CannotTry(f"{command[0]} did not end") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotTry(f"{command[0]}: {said[0][:160] if said else done.returncode}")
    return done.stdout


class Space:
    """A network namespace that lives as long as its process."""

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo; exec cat"],  # noqa: S607  # reason: util-linux
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError as error:
            raise CannotTry("unshare is not installed") from error
        if self._process.stdout is None or self._process.stdout.readline() != b"\n":
            self.close()
            raise CannotTry("a network namespace cannot be made here")
        self.pid = self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, *command: str, text: str | None = None) -> str:
        return run(*command, text=text, within=("nsenter", "-t", str(self.pid), "-n"))

    def links(self, *lines: str) -> None:
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def inside(self, work: Callable[[], T]) -> T:
        """Call it in a thread that is in this namespace: sockets made there stay there."""
        results: list[T] = []
        errors: list[Exception] = []

        def body() -> None:
            try:
                with Path(f"/proc/{self.pid}/ns/net").open() as file:
                    if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NET):
                        raise CannotTry("its network namespace cannot be entered")
                results.append(work())
            except Exception as error:  # noqa: BLE001  # reason: raised again by the caller
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]


class Scratch:
    """The copy, for one journey; use it as a context manager. Raises CannotTry."""

    def __init__(
        self, journey: Journey, interfaces: Sequence[str], addresses: Sequence[tuple[str, Address]]
    ) -> None:
        self._journey = journey
        if journey.inner is not None and journey.inner[0] == journey.interface:
            raise CannotTry("what it leads to is on the link by which the packet comes")
        self._closing = ExitStack()
        try:
            self.here, self._outside, self._inside = (self._space() for _ in range(3))
            self._wire(interfaces, addresses)
            self._listener = self._listen()
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _space(self) -> Space:
        made = Space()
        self._closing.callback(made.close)
        return made

    def _wire(self, interfaces: Sequence[str], addresses: Sequence[tuple[str, Address]]) -> None:
        journey, inner = self._journey, self._journey.inner
        peers = {journey.interface: self._outside}
        if inner is not None:
            peers[inner[0]] = self._inside
        own = [
            (name, address)
            for name, address in addresses
            if not (address.is_loopback or address.is_link_local)
        ]
        # A tunnel's module, once loaded, makes tunl0, sit0 or gre0 in every new namespace.
        present = {name for _, name in self.here.inside(socket.if_nameindex)} - {"lo"}
        needed = {*peers, *(name for name, _ in own)}
        lines = ["link set lo up"]
        lines += [
            f"link set {name} name t{number}.own"
            for number, name in enumerate(sorted(present & needed))
        ]
        interfaces = [each for each in interfaces if each not in present - needed]
        for number, name in enumerate(each for each in interfaces if each != "lo"):
            peer, end = (peers[name], "out") if name in peers else (self._outside, f"o{number}")
            lines.append(f"link add {name} type veth peer name {end} netns {peer.pid}")
            lines.append(f"link set {name} up")
        lines += [
            f"addr add {_host(address)} dev {name}{_no_detection(address)}" for name, address in own
        ]
        lines.append(f"route replace {_host(journey.source)} dev {journey.interface}")
        router = _ROUTERS[journey.to.version]
        if inner is not None:
            name, target, _ = inner
            lines.append(f"addr add {_ROUTED[target.version].format(router)} dev {name}")
            lines.append(f"route replace {_host(target)} dev {name}")
        self.here.links(*lines)
        near = next(
            (a for n, a in addresses if n == journey.interface and a.version == journey.to.version),
            journey.to,
        )
        leading = [f"route add {_host(near)} dev out"]
        leading += (
            [f"route add {_host(journey.to)} via {near} dev out"] if near != journey.to else []
        )
        if inner is not None and inner[1] != journey.to:
            leading.append(f"route add {_host(inner[1])} via {near} dev out")
        _settle(self._outside, journey.source, *leading)
        if inner is not None:
            lead = [f"route add {router} dev out"] if journey.to.version == 4 else []
            _settle(self._inside, inner[1], *lead, f"route add default via {router} dev out")
        for version, file in _FORWARDING.items():
            try:
                setting = Path("/proc/sys", file).read_text("ascii").strip()
            except OSError:
                continue
            is_on = setting != "0" and version == journey.to.version
            self.here.run("sh", "-c", f"echo {int(is_on)} > /proc/sys/{file}")

    # -- packets ------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        inner = self._journey.inner
        space = self.here if inner is None else self._inside
        made = space.inside(lambda: _bound(self._journey.to.version, self._journey.own))
        self._closing.callback(made.close)
        return made

    def check(self) -> None:
        """Does the copy carry a packet while it has no rules? Raises CannotTry."""
        inner = self._journey.inner
        to = self._journey.to if inner is None else inner[1]
        if not self._reaches(to, self._journey.own, _FIRST_WAIT):
            raise CannotTry("the copy of this host’s links carries no packet there")

    def arrives(self) -> bool:
        """Does a packet of this journey come out at its end?"""
        return self._reaches(self._journey.to, self._journey.port, _WAIT)

    def _reaches(self, to: Address, port: PortKey, wait: float) -> bool:
        source = str(self._journey.source)
        if port.protocol is TransportProtocol.TCP:
            return self._outside.inside(lambda: _connects(source, to, port.number, wait))
        mark = os.urandom(8)  # a datagram that an earlier call sent is none of this one's
        self._outside.inside(lambda: _sends(source, to, port.number, mark))
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            self._listener.settimeout(left)
            try:
                if self._listener.recv(16) == mark:
                    return True
            except TimeoutError:
                break
        return False


_ROUTED = {4: "{}/32", 6: "{}/64 nodad"}


def _host(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def _no_detection(address: Address) -> str:
    return " nodad" if address.version == 6 else ""


def _settle(space: Space, address: Address, *routes: str) -> None:
    space.links(
        "link set lo up",
        f"addr add {_host(address)} dev out{_no_detection(address)}",
        "link set out up",
        *routes,
    )


def _family(version: int) -> socket.AddressFamily:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _bound(version: int, port: PortKey) -> socket.socket:
    is_tcp = port.protocol is TransportProtocol.TCP
    made = socket.socket(_family(version), socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
    made.bind(("", port.number))
    if is_tcp:
        made.listen()
    return made


def _connects(source: str, to: Address, port: int, wait: float) -> bool:
    with socket.socket(_family(to.version), socket.SOCK_STREAM) as made:
        made.settimeout(wait)
        try:
            made.bind((source, 0))
            made.connect((str(to), port))
        except OSError:
            return False
    return True


def _sends(source: str, to: Address, port: int, mark: bytes) -> None:
    with socket.socket(_family(to.version), socket.SOCK_DGRAM) as made:
        made.bind((source, 0))
        for _ in range(3):  # the first ones may wait for a neighbour
            made.sendto(mark, (str(to), port))
