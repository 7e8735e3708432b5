"""Writes warnings to the terminals of the sessions that a grant admitted (EDGES J13; docs/adr/0043).

A service of its own, started by a datagram of the agent's. It may look at other users' processes
(CAP_SYS_PTRACE) and write to terminals as the group ``tty`` may; the agent may do neither. It believes
nothing but numbers and address prefixes, and what it writes is fixed text.

A session is a process that has both a TCP connection of this network to the port, from one of the sources, and
the master side of a terminal. sshd has both, whoever logged in. Sources: proc(5) (/proc/net/tcp, /proc/PID/fd,
/proc/PID/fdinfo: tty-index), pts(4), sd_listen_fds(3).

* A terminal whose owner refuses messages (mesg(1)) gets none: that is what it is for, and to write there
  would need rights over every file.
* Nothing waits: a terminal that is stopped or full gets no warning.
* A container may have numbers of terminals of its own: only what is the same terminal here is written to.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bascule.agent.notice import MOST_BYTES, Notice, parse_notice
from bascule.agent.service_manager import passed_descriptors
from bascule.domain.net import Address
from bascule.errors import InvalidInput

TERMINALS = Path("/dev/pts")
MOST_READ = 256  # datagrams of one start; the others start the service again
_ESTABLISHED = "01"  # include/net/tcp_states.h
_MASTERS = {"/dev/ptmx", "/dev/pts/ptmx"}
_INDEX = re.compile(r"^tty-index:\s*([0-9]{1,7})$", re.MULTILINE)
_MAJORS = range(136, 144)  # Documentation/admin-guide/devices.txt: UNIX98 PTY slaves


@dataclass(frozen=True, slots=True)
class Connection:
    port: int  # ours
    peer: Address
    inode: int


def connections(table: str) -> Iterator[Connection]:
    """Those of /proc/net/tcp or tcp6 that are established; a line that is none is left out."""
    for line in table.splitlines()[1:]:
        with contextlib.suppress(ValueError, IndexError):
            words = line.split()
            if words[3] != _ESTABLISHED:
                continue
            port = int(words[1].partition(":")[2], 16)
            peer = _address(words[2].partition(":")[0])
            yield Connection(port, peer, int(words[9]))


def _address(text: str) -> Address:
    """As the kernel prints it: words of 32 bits in the host's own order."""
    data = b"".join(
        int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)
    )
    if len(data) == 4:
        return IPv4Address(data)
    address = IPv6Address(data)
    return address.ipv4_mapped or address


def warn(notices: Sequence[Notice]) -> None:
    """Write each notice to the terminals of its sessions."""
    found = [each for name in ("tcp", "tcp6") for each in connections(_text(f"/proc/net/{name}"))]
    texts: dict[str, list[bytes]] = {}
    for notice in notices:
        for each in found:
            if each.port == notice.port and notice.is_for(each.peer):
                texts.setdefault(f"socket:[{each.inode}]", []).append(notice.text)
    written: set[tuple[int, bytes]] = set()
    for session in _sessions(texts.keys()) if texts else ():
        for text in texts[session.socket]:
            if (session.terminal, text) not in written and _write(session, text):
                written.add((session.terminal, text))


@dataclass(frozen=True, slots=True)
class _Session:
    process: Path  # below /proc
    socket: str  # as /proc/PID/fd shows it
    master: str  # its name below /proc/PID/fd
    terminal: int  # number below /dev/pts

    def is_there(self) -> bool:
        return (
            self.terminal == _index(self.process, self.master)
            and self.socket in _descriptors(self.process).values()
        )


def _sessions(sockets: Iterable[str]) -> Iterator[_Session]:
    wanted = set(sockets)
    for process in Path("/proc").glob("[1-9]*"):
        descriptors = _descriptors(process)
        masters = [name for name, target in descriptors.items() if target in _MASTERS]
        if not masters:
            continue
        for connected in wanted.intersection(descriptors.values()):
            for master in masters:
                terminal = _index(process, master)
                if terminal is not None:
                    yield _Session(process, connected, master, terminal)


def _descriptors(process: Path) -> dict[str, str]:
    """What is open there; empty for a process that has ended or may not be looked at."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(process / "fd"):  # noqa: PTH208  # reason: names alone are needed
            with contextlib.suppress(OSError):
                found[name] = os.readlink(process / "fd" / name)  # noqa: PTH115  # reason: no path
    return found


def _index(process: Path, master: str) -> int | None:
    found = _INDEX.search(_text(process / "fdinfo" / master))
    return int(found[1]) if found else None


def _text(path: str | Path) -> str:
    """Empty where it cannot be read."""
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""


def _write(session: _Session, text: bytes) -> bool:
    """Write it, if that is the terminal of the session and takes messages now; was it written?"""
    path = TERMINALS / str(session.terminal)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return False
    try:
        here = os.fstat(descriptor)
        # Its number cannot become another terminal's while it is open here.
        if not (_takes_messages(here) and _is_same(session, here) and session.is_there()):
            return False
        return os.write(descriptor, text) > 0
    except OSError:  # stopped, full, or gone
        return False
    finally:
        os.close(descriptor)


def _takes_messages(here: os.stat_result) -> bool:
    is_terminal = stat.S_ISCHR(here.st_mode) and os.major(here.st_rdev) in _MAJORS
    return is_terminal and bool(here.st_mode & stat.S_IWGRP)


def _is_same(session: _Session, here: os.stat_result) -> bool:
    """Is the process's terminal of that number ours (one file system of terminals for each container)?"""
    seen = (session.process / "root" / str(TERMINALS / str(session.terminal))[1:]).stat()
    return (seen.st_dev, seen.st_ino, seen.st_rdev) == (here.st_dev, here.st_ino, here.st_rdev)


def read_notices(listener: socket.socket) -> list[Notice]:
    """All that wait; what is no notice is said on stderr and left out."""
    listener.setblocking(False)
    found = []
    for _ in range(MOST_READ):
        try:
            data = listener.recv(MOST_BYTES + 1)
        except BlockingIOError:
            break
        try:
            found.append(parse_notice(data))
        except InvalidInput as error:
            sys.stderr.write(f"refused: {error.message}\n")
    return found


def serve() -> None:
    """Read what waits at the socket that the service manager hands over, and write it."""
    for _, descriptor in passed_descriptors():
        with socket.socket(fileno=descriptor) as listener:
            notices = read_notices(listener)
        warn(notices)
