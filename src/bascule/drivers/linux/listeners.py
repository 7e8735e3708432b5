"""Who listens on which TCP port of this host, and who is connected to a port of it or of a machine.

Source: sock_diag(7), linux/inet_diag.h, proc(5), cgroups(7), systemd.socket(5). A program is
known by the processes that hold its sockets. Root may read them all; an agent with CAP_NET_ADMIN
alone goes by the service (cgroup) in which a socket was made, which every process may read. A
manager that holds sockets for others (systemd, inetd) is no program of its own: its sockets belong
together if one unit names them.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bascule.domain.net import Address
from bascule.drivers.linux import netlink

_SOCK_DIAG, _BY_FAMILY = 4, 20  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
_REQUEST = struct.Struct("=BBBBI48x")
_LISTEN, _ESTABLISHED = 1 << 10, 1 << 1
_CGROUP, _ONLY_6 = 21, 11  # INET_DIAG_CGROUP_ID, INET_DIAG_SKV6ONLY
_MESSAGE = 72  # inet_diag_msg
_HOLDERS = frozenset({"systemd", "init", "inetd", "xinetd", "docker-proxy"})
# Services of many programs: to be of one says nothing.
_SHARED = re.compile(r"(docker|containerd|podman|crio|kubelet|k3s|libvirtd|x?inetd)")
_UNIT = re.compile(r"/([^/]+\.(?:service|socket))(?=/|$)")
_SOCKET_LINK = re.compile(r"socket:\[(\d+)\]")
_STREAM = re.compile(r"^\s*ListenStream\s*=\s*(\S*)\s*$", re.MULTILINE)
_UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
_LONGEST_FILE = 1 << 20  # bytes of a program's file that is looked through
_MOST_WORDS = 200  # characters of what is shown of it


@dataclass(frozen=True, slots=True)
class Listener:
    port: int
    address: Address
    inode: int
    cgroup: int
    user: int
    families: frozenset[int]  # IP versions of the packets that reach it


@dataclass(frozen=True, slots=True)
class Program:
    """What holds a socket: one process at least, or one unit."""

    name: str
    pids: frozenset[int]
    unit: str = ""  # where no process could be read
    user: int = 0  # of that unit: its programs of another user are others

    def is_same(self, other: Program) -> bool:
        is_of_unit = bool(self.unit) and (self.unit, self.user) == (other.unit, other.user)
        return bool(self.pids & other.pids) or is_of_unit


@dataclass(frozen=True, slots=True)
class Inner:
    """A connection of this host to itself or to a machine, from the side of who connected."""

    address: Address
    to: int  # the port there
    inode: int
    cgroup: int
    user: int


def listeners() -> list[Listener]:
    """Those that packets from outside may reach. Raises OSError."""
    found = []
    for family, parts, message in _sockets(_LISTEN):
        address = _address(family, message[8:24])
        if address.is_loopback:
            continue
        versions = {address.version}
        is_only_6 = parts.get(_ONLY_6, b"\0") != b"\0"
        if family == socket.AF_INET6 and address == IPv6Address(0) and not is_only_6:
            versions = {4, 6}
        port, inode = struct.unpack_from(">H", message, 4)[0], _inode(message)
        group, user = _group(parts), _user(message)
        found.append(Listener(port, address, inode, group, user, frozenset(versions)))
    return found


def connections(is_wanted: Callable[[Address, int], bool]) -> list[Inner]:
    """Connections of this host to the addresses and ports that are wanted. Raises OSError."""
    found = []
    for family, parts, message in _sockets(_ESTABLISHED):
        to = _address(family, message[24:40])
        port = struct.unpack_from(">H", message, 6)[0]
        if is_wanted(to, port):
            found.append(Inner(to, port, _inode(message), _group(parts), _user(message)))
    return found


def _sockets(states: int) -> Iterator[tuple[int, Mapping[int, bytes], bytes]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, states)
        for reply in netlink.dump(_SOCK_DIAG, _BY_FAMILY, body):
            yield family, dict(netlink.attributes(reply[_MESSAGE:])), reply


def _inode(message: bytes) -> int:
    return int(struct.unpack_from("=I", message, 68)[0])


def _user(message: bytes) -> int:
    return int(struct.unpack_from("=I", message, 64)[0])


def _group(parts: Mapping[int, bytes]) -> int:
    return int.from_bytes(parts.get(_CGROUP, b"")[:8], sys.byteorder)


def _address(family: int, raw: bytes) -> Address:
    if family == socket.AF_INET:
        return IPv4Address(raw[:4])
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


class Programs:
    """Who holds which socket, as far as this process may read it."""

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._groups = groups
        self._units: dict[int, str] | None = None
        self._pids: dict[int, set[int]] = {}
        self.is_whole = True  # every process could be read
        for pid in self._processes():
            self._read(pid)

    def _processes(self) -> list[int]:
        names = (each.name for each in self._proc.iterdir())
        return [int(name) for name in names if name.isascii() and name.isdigit()]

    def _read(self, pid: int) -> None:
        folder = self._proc / str(pid) / "fd"
        try:
            links = list(folder.iterdir())
        except PermissionError:
            self.is_whole = False
            return
        except OSError:
            return  # it has ended
        for each in links:
            try:
                link = _SOCKET_LINK.fullmatch(str(each.readlink()))
            except PermissionError:  # root without CAP_SYS_PTRACE may list them and no more
                self.is_whole = False
                return
            except OSError:
                continue
            if link is not None:
                self._pids.setdefault(int(link[1]), set()).add(pid)

    def of(self, socket_: Listener | Inner) -> Program | None:
        """None: nobody that can be told apart from others."""
        names = {pid: self.name(pid) for pid in self._pids.get(socket_.inode, ())}
        pids = frozenset(pid for pid, name in names.items() if name not in _HOLDERS)
        unit = self._unit(socket_.cgroup)
        if not pids and not unit:
            return None
        if pids:
            return Program(names[min(pids)], pids)
        return Program(unit, pids, unit, socket_.user)

    def has_all(self, found: Iterable[Listener]) -> bool:
        """Is it known who holds each of these? What no process holds is the kernel's own."""
        return self.is_whole or all(each.inode in self._pids for each in found)

    def held_by_manager(self, inode: int) -> bool:
        return any(self.name(pid) == "systemd" for pid in self._pids.get(inode, ()))

    def name(self, pid: int) -> str:
        return self._text(pid, "comm").strip()

    def words(self, pid: int) -> list[str]:
        """Its command line."""
        return [word for word in self._text(pid, "cmdline").split("\0") if word]

    def parent(self, pid: int) -> int:
        tail = self._text(pid, "stat").rpartition(")")[2].split()
        return int(tail[1]) if len(tail) > 1 else 0

    def files(self, pid: int) -> Iterator[tuple[str, str]]:
        """Path and text of each file that its command line names."""
        for word in self.words(pid)[1:]:
            path = re.sub(r"^-{1,2}[A-Za-z-]*=?(?=/)", "", word)
            if not path.startswith("/"):
                continue
            try:
                file = Path(path)
                if file.is_file() and file.stat().st_size <= _LONGEST_FILE:
                    yield path, file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue

    def _text(self, pid: int, file: str) -> str:
        try:
            return (self._proc / str(pid) / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _unit(self, cgroup: int) -> str:
        """The unit in which a socket was made; empty: none, or one of many programs."""
        if self._units is None:
            self._units = dict(self._read_units())
        unit = self._units.get(cgroup, "")
        return "" if _SHARED.match(unit) else unit

    def _read_units(self) -> Iterator[tuple[int, str]]:
        for folder, _, _ in os.walk(self._groups):
            units = _UNIT.findall(folder)
            if units:
                try:
                    yield Path(folder).stat().st_ino, units[-1]  # those before it are its user's
                except OSError:
                    continue


def evidence(programs: Programs, pids: Iterable[int], hosts: Collection[str], port: int) -> str:
    """The words, of a command line or of a file that it names, by which one of these processes passes
    connections on to ``port`` of this host; empty: there are none.
    """
    names = "|".join(re.escape(each) for each in sorted(hosts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.])\[?(?:{names})\]?[:\s]{port}(?!\d)")
    for pid in sorted(pids):
        line = " ".join(programs.words(pid))
        if pattern.search(line):
            return line[:_MOST_WORDS]
        for path, content in programs.files(pid):
            for each in content.splitlines():
                if not each.lstrip().startswith("#") and pattern.search(each):
                    return f"{path}: {each.strip()}"[:_MOST_WORDS]
    return ""


def socket_units(root: Path = Path("/")) -> Mapping[str, frozenset[int]]:
    """The TCP ports that each of systemd's socket units names, as far as its files can be read."""
    found: dict[str, frozenset[int]] = {}
    for folder in _UNIT_FOLDERS:
        for path in sorted((root / folder).glob("*.socket")):
            if path.name not in found:
                found[path.name] = _stream_ports(root, path)
    return {name: ports for name, ports in found.items() if len(ports) > 1}


def _stream_ports(root: Path, path: Path) -> frozenset[int]:
    files = [path]
    for folder in reversed(_UNIT_FOLDERS):
        files += sorted((root / folder / f"{path.name}.d").glob("*.conf"))
    ports: set[int] = set()
    for file in files:
        try:
            content = file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        for given in _STREAM.findall(content):
            number = given.rpartition(":")[2]
            if not given:
                ports.clear()
            elif number.isascii() and number.isdigit():
                ports.add(int(number))
    return frozenset(ports)
