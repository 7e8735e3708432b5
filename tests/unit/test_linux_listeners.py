"""Which program holds a socket: told by processes where they can be read, else by its unit."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.drivers.linux.listeners import Listener, Programs, evidence, socket_units


def listener(inode: int, cgroup: int = 0, user: int = 0) -> Listener:
    return Listener(22, ip_address("0.0.0.0"), inode, cgroup, user, frozenset({4}))


class Proc:
    """A /proc and a tree of cgroups."""

    def __init__(self, root: Path) -> None:
        self.proc, self.groups = root / "proc", root / "cgroup"
        self.proc.mkdir()
        self.groups.mkdir()

    def process(self, pid: int, name: str, *words: str, sockets: tuple[int, ...] = ()) -> None:
        folder = self.proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "cmdline").write_text("\0".join(words) + "\0")
        (folder / "stat").write_text(f"{pid} ({name}) S 1 1 1")
        for number, inode in enumerate(sockets):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    def group(self, path: str) -> int:
        folder = self.groups / path
        folder.mkdir(parents=True, exist_ok=True)
        return folder.stat().st_ino

    def read(self) -> Programs:
        return Programs(self.proc, self.groups)


@pytest.fixture
def host(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_a_process_with_both_sockets_is_one_program(host: Proc) -> None:
    host.process(7, "sshd", sockets=(100, 101))
    host.process(8, "nginx", sockets=(102,))
    programs = host.read()
    first, second, other = (programs.of(listener(each)) for each in (100, 101, 102))
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.is_same(second)
    assert not first.is_same(other)
    assert first.name == "sshd"


def test_who_holds_a_socket_may_be_unread(host: Proc) -> None:
    """A process that cannot be read matters where a listener's holder is not known."""
    host.process(7, "sshd", sockets=(100,))
    programs = host.read()
    assert programs.has_all([listener(100), listener(999)])
    programs.is_whole = False
    assert programs.has_all([listener(100)])
    assert not programs.has_all([listener(100), listener(999)])


def test_a_manager_is_no_program_of_its_own(host: Proc) -> None:
    """systemd holds the sockets of every socket unit."""
    host.process(1, "systemd", sockets=(100, 101))
    programs = host.read()
    assert programs.of(listener(100)) is None
    assert programs.held_by_manager(100)


def test_without_processes_the_unit_and_its_user_tell(host: Proc) -> None:
    """An agent with CAP_NET_ADMIN alone."""
    ssh, docker = host.group("system.slice/ssh.service"), host.group("system.slice/docker.service")
    programs = host.read()
    first = programs.of(listener(100, ssh))
    same, anothers = programs.of(listener(101, ssh)), programs.of(listener(102, ssh, user=1000))
    assert first is not None
    assert same is not None
    assert anothers is not None
    assert first.is_same(same)
    assert not first.is_same(anothers), "what a user started in a session of that service"
    assert programs.of(listener(103, docker)) is None, "a service of many programs"
    assert programs.of(listener(104, 12345)) is None


def test_a_users_services_are_told_apart(host: Proc) -> None:
    of_user = "user.slice/user@1000.service/app.slice"
    one, two = host.group(f"{of_user}/one.service"), host.group(f"{of_user}/two.service")
    programs = host.read()
    first, second = programs.of(listener(100, one, 1000)), programs.of(listener(101, two, 1000))
    assert first is not None
    assert second is not None
    assert not first.is_same(second)


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        (("socat", "TCP-LISTEN:8022,fork", "TCP:127.0.0.1:22"), True),
        (("socat", "TCP-LISTEN:8022,fork", "TCP6:[::1]:22"), True),
        (("ncat", "-l", "8022", "--sh-exec", "ncat localhost 22"), True),
        (("ssh", "-L", "0.0.0.0:8022:localhost:22", "elsewhere"), True),
        (("socat", "TCP-LISTEN:8022", "TCP:127.0.0.1:2222"), False),
        (("socat", "TCP-LISTEN:8022", "TCP:127.0.0.1:80"), False),
        (("socat", "TCP-LISTEN:8022", "TCP:10.127.0.0.1:22"), False),
        (("socat", "TCP-LISTEN:22", "TCP:10.0.0.9:22"), False),
    ],
)
def test_a_command_line_tells_where_connections_go(
    host: Proc, words: tuple[str, ...], *, is_found: bool
) -> None:
    host.process(7, words[0], *words)
    found = evidence(host.read(), {7}, ("localhost", "127.0.0.1", "::1"), 22)
    assert bool(found) is is_found


def test_a_file_on_the_command_line_tells_it_too(host: Proc, tmp_path: Path) -> None:
    """A comment in it does not."""
    file = tmp_path / "haproxy.cfg"
    file.write_text("# server old 127.0.0.1:22\nserver one 127.0.0.1:80\n")
    host.process(7, "haproxy", "haproxy", "-f", str(file))
    hosts = ("127.0.0.1",)
    assert evidence(host.read(), {7}, hosts, 22) == ""
    assert evidence(host.read(), {7}, hosts, 80) == f"{file}: server one 127.0.0.1:80"


def test_socket_units_name_their_ports(tmp_path: Path) -> None:
    """As systemd reads them: an empty line forgets those before it, and drop-ins add."""
    units = tmp_path / "usr/lib/systemd/system"
    extra = tmp_path / "etc/systemd/system/ssh.socket.d"
    units.mkdir(parents=True)
    extra.mkdir(parents=True)
    (units / "ssh.socket").write_text("[Socket]\nListenStream=22\n")
    (units / "one.socket").write_text("[Socket]\nListenStream=/run/one\nListenStream=80\n")
    assert socket_units(tmp_path) == {}
    (extra / "more.conf").write_text(
        "[Socket]\nListenStream=\nListenStream=[::]:22\nListenStream=2222\n"
    )
    assert socket_units(tmp_path) == {"ssh.socket": frozenset({22, 2222})}
