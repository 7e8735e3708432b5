"""A small real network in namespaces, and probes in it: what a packet did, not what a call said.

    host      10.77.0.1/16  fd77::1/32     where the ports are
    client    10.77.0.2     fd77:0:1::2    whom grants name
    stranger  10.77.1.3     fd77:0:2::3    whom none does
    inner     10.78.0.2/24                 behind the host: a container with published ports

Namespaces have names of their own for each Network and go with ``close``, whatever failed.
Needs root and iproute2. What is not here: any rule of Bascule.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

HOST, HOST6 = "10.77.0.1", "fd77::1"
CLIENT, CLIENT6 = "10.77.0.2", "fd77:0:1::2"
STRANGER, STRANGER6 = "10.77.1.3", "fd77:0:2::3"
INNER_GATEWAY, INNER = "10.78.0.1", "10.78.0.2"
BROADCAST = "10.77.255.255"
WAIT = 0.3  # seconds after which a connection that got no answer is called shut
PATIENCE = 5.0  # seconds for one that must come about, on a busy machine
HAMMER_EVERY, HAMMER_WAIT = 0.0003, 0.05  # seconds between SYNs, and for the answer to one
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class Space:
    """One network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        _run("ip", "netns", "add", name)

    def run(self, *command: str, text: str | None = None, check: bool = True) -> str:
        """Run a command inside; return what it printed."""
        return _run("ip", "netns", "exec", self.name, *command, text=text, check=check)

    def nft(self, text: str, *, check: bool = True) -> str:
        return self.run("nft", "-f", "-", text=text, check=check)

    def popen(self, *command: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)  # type: ignore[call-overload,no-any-return]  # reason: options are passed on

    def inside(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a thread that lives in this namespace: sockets made there stay."""
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                self.enter()
                results.append(work())
            except BaseException as error:  # noqa: BLE001  # reason: raised again by the caller
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def enter(self) -> None:
        """Move the calling thread here, for good."""
        enter_namespace(self.name)

    def connect(
        self, port: int, address: str = HOST, source_port: int = 0, wait: float = WAIT
    ) -> socket.socket | None:
        """A TCP connection from here, None when none came about."""

        def work() -> socket.socket | None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.settimeout(wait)
            try:
                if source_port:
                    made.bind(("", source_port))
                made.connect((address, port))
            except OSError:
                made.close()
                return None
            return made

        return self.inside(work)

    def reaches(self, port: int, address: str = HOST, wait: float = WAIT) -> bool:
        """Does a new TCP connection come about? It is reset at once, to leave no trace."""
        made = self.connect(port, address, wait=wait)
        if made is None:
            return False
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        made.close()
        return True

    def lets_in(self, port: int, address: str = HOST) -> bool:
        """As ``reaches``, where it should: a busy machine has its time."""
        return self.reaches(port, address, PATIENCE)

    def udp(self) -> socket.socket:
        return self.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def asks(self, port: int, address: str = HOST, wait: float = WAIT) -> bool:
        """Is a datagram to this port echoed?"""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside(lambda: socket.socket(family, socket.SOCK_DGRAM)) as made:
            made.settimeout(wait)
            try:
                made.sendto(b"ask", (address, port))
                return made.recv(64) == b"ask"
            except OSError:
                return False

    def close(self) -> None:
        _run("ip", "netns", "del", self.name, check=False)


Probe = tuple[Space, int, str]  # from where, to which port, of which address


def reached(probes: Iterable[Probe], wait: float = WAIT) -> list[bool]:
    """``reaches`` of each, at the same time: those that get no answer wait together."""
    asked = list(probes)
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda each: each[0].reaches(each[1], each[2], wait), asked))


def enter_namespace(name: str) -> None:
    """Move the calling thread into a namespace that ``ip netns`` made."""
    with Path("/run/netns", name).open() as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def is_alive(connection: socket.socket, wait: float = WAIT) -> bool:
    """Does the other side still echo on this connection? Where it should: wait PATIENCE."""
    connection.settimeout(wait)
    try:
        connection.sendall(b"x")
        return connection.recv(8) == b"x"
    except OSError:
        return False


class EchoServer:
    """Echoes TCP (both families) or UDP on one port; b"reset" makes it end that connection."""

    def __init__(
        self, space: Space, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
    ) -> None:
        self.received: list[bytes] = []
        self._kind = kind
        self._open: set[socket.socket] = set()
        self._listener = space.inside(lambda: self._bind(port))
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _bind(self, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET6, self._kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::", port))
        made.settimeout(0.2)
        if self._kind is socket.SOCK_STREAM:
            made.listen(256)
        else:
            group = socket.inet_pton(socket.AF_INET6, "ff02::114")
            for index, _ in socket.if_nameindex():
                with contextlib.suppress(OSError):
                    join = group + struct.pack("i", index)
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
        return made

    def _serve(self) -> None:
        work = self._accept if self._kind is socket.SOCK_STREAM else self._answer
        while not self._is_over.is_set():
            with contextlib.suppress(TimeoutError):
                work()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(None)
        self._open.add(connection)
        thread = threading.Thread(target=self._echo, args=(connection,))
        self._threads.append(thread)
        thread.start()

    def _echo(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(64):
                if data == b"reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    break
                connection.sendall(data)
        self._open.discard(connection)
        connection.close()

    def _answer(self) -> None:
        data, sender = self._listener.recvfrom(64)
        self.received.append(data)
        with contextlib.suppress(OSError):
            self._listener.sendto(data, sender)

    def close(self) -> None:
        self._is_over.set()
        self._threads[0].join()
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()


class Network:
    """The four namespaces above, wired; use it as a context manager."""

    def __init__(self) -> None:
        mark = f"bt{os.getpid()}n{next(_numbers)}x{secrets.token_hex(2)}"  # pids come again
        self._closing = contextlib.ExitStack()
        try:
            self.host = self._space(mark + "h")
            self.client = self._space(mark + "c")
            self.stranger = self._space(mark + "s")
            self.inner = self._space(mark + "i")
            self._wire()
        except BaseException:
            self.close()
            raise

    def _space(self, name: str) -> Space:
        space = Space(name)
        self._closing.callback(space.close)
        return space

    def _wire(self) -> None:
        host = self.host
        for space in (host, self.client, self.stranger, self.inner):
            _links(space, "link set lo up")
        # With an address of its own: it would take the lowest of its ports, also of one that comes later, and
        # what neighbours know of it would be wrong then.
        lines = ["link add br0 address 02:00:00:00:00:01 type bridge", "link set br0 up"]
        for number, space in enumerate((self.client, self.stranger)):
            lines.append(f"link add v{number} type veth peer name e0 netns {space.name}")
            lines.append(f"link set v{number} master br0 up")
        lines.append(f"link add v9 type veth peer name e0 netns {self.inner.name}")
        lines += ["link set v9 up", f"addr add {INNER_GATEWAY}/24 dev v9"]
        lines += [f"addr add {HOST}/16 brd + dev br0", f"addr add {HOST6}/32 dev br0 nodad"]
        _links(host, *lines)
        for space, v4, v6 in (
            (self.client, CLIENT, CLIENT6),
            (self.stranger, STRANGER, STRANGER6),
        ):
            _links(
                space,
                f"addr add {v4}/16 brd + dev e0",
                f"addr add {v6}/32 dev e0 nodad",
                "link set e0 up",
                "route add 224.0.0.0/4 dev e0",
                f"route add default via {HOST}",
            )
        _links(
            self.inner,
            f"addr add {INNER}/24 dev e0",
            "link set e0 up",
            f"route add default via {INNER_GATEWAY}",
        )
        host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self._settle()

    def _settle(self) -> None:
        """Wait until both families carry packets: a shut port then answers at once."""
        deadline = time.monotonic() + 5
        for space in (self.client, self.stranger):
            for address in (HOST, HOST6):
                while not _is_refused(space, address):
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{space.name} does not reach {address}")

    def publish(self, port: int, to: int) -> None:
        """What a container engine does: the host's ``port`` goes to ``to`` on inner."""
        self.host.nft(
            "table ip published {\nchain pre {\ntype nat hook prerouting priority dstnat;\n"
            f"fib daddr type local tcp dport {port} dnat to {INNER}:{to}\n}}\n}}\n"
        )

    def redirect(self, port: int, to: int) -> None:
        self.host.nft(
            "table inet elsewhere {\nchain pre {\ntype nat hook prerouting priority dstnat;\n"
            f"tcp dport {port} redirect to :{to}\n}}\n}}\n"
        )

    def rewrite(self, port: int, to: int, priority: int) -> None:
        """A stateless redirect in ``input``."""
        self.host.nft(
            "table inet elsewhere {\n"
            "chain come {\n"
            f"type filter hook input priority {priority};\n"
            f"tcp dport {port} tcp dport set {to}\nudp dport {port} udp dport set {to}\n}}\n"
            "chain go {\ntype filter hook output priority 300;\n"
            f"tcp sport {to} tcp sport set {port}\nudp sport {to} udp sport set {port}\n}}\n}}\n"
        )

    def echo(self, *ports: int, space: Space | None = None) -> None:
        for port in ports:
            self.keep(EchoServer(space or self.host, port))

    def echo_udp(self, port: int) -> EchoServer:
        return self.keep(EchoServer(self.host, port, socket.SOCK_DGRAM))

    def keep(self, thing: T) -> T:
        """Close ``thing`` when the network closes."""
        self._closing.callback(thing.close)  # type: ignore[attr-defined]  # reason: servers, sockets
        return thing

    def session(
        self, space: Space, port: int, address: str = HOST, source_port: int = 0
    ) -> socket.socket:
        """A connection that must come about and echo; closed with the network."""
        made = space.connect(port, address, source_port, PATIENCE)
        assert made is not None, f"{space.name} should reach {address} port {port}"
        assert is_alive(self.keep(made), PATIENCE)
        return made

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def repeating(space: Space, work: Callable[[], object]) -> Iterator[list[object]]:
    """Call ``work`` again and again in a thread of ``space``; yields the growing results."""
    results: list[object] = []
    with _threaded(space, lambda: results.append(work())):
        yield results


@contextlib.contextmanager
def hammering(space: Space, port: int, address: str = HOST) -> Iterator[list[bool]]:
    """Send thousands of SYNs a second in a thread of ``space``, so that one falls into the
    shortest gap; yields the growing results: did a connection come about?
    """
    results: list[bool] = []
    under_way: deque[tuple[float, socket.socket]] = deque()

    def judge(until: float) -> None:
        while under_way and under_way[0][0] < until:
            _, sent = under_way.popleft()
            with sent:
                results.append(_is_connected(sent))

    def send() -> None:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.connect_ex((address, port))
        under_way.append((time.monotonic(), made))
        judge(time.monotonic() - HAMMER_WAIT)
        time.sleep(HAMMER_EVERY)

    with _threaded(space, send):
        yield results
    time.sleep(HAMMER_WAIT)
    judge(time.monotonic())


@contextlib.contextmanager
def _threaded(space: Space, work: Callable[[], None]) -> Iterator[None]:
    """Call ``work`` again and again in a thread of ``space``, until the end of the block."""
    is_over = threading.Event()

    def body() -> None:
        space.enter()
        while not is_over.is_set():
            work()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _is_connected(sent: socket.socket) -> bool:
    try:
        sent.getpeername()
    except OSError:
        return False
    sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return True


def _is_refused(space: Space, address: str) -> bool:
    def work() -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.settimeout(0.2)
            try:
                made.connect((address, 9))
            except ConnectionRefusedError:
                return True
            except OSError:
                time.sleep(0.02)
            return False

    return space.inside(work)


def _links(space: Space, *lines: str) -> None:
    _run("ip", "-netns", space.name, "-batch", "-", text="\n".join(lines) + "\n")


def _run(*command: str, text: str | None = None, check: bool = True) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
