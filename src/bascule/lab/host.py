"""One lab host's own view of the machine: its mount and UTS namespace.

Built by a forked child that enters the host's network namespace, makes the other two, arranges
the mounts, hands the descriptors of the namespaces and of its notify sockets to the supervisor
and ends. The descriptors keep the namespaces alive; no process is needed for it.

Own to the host: home, /etc/ssh, /etc/hosts, /etc/hostname, /run, /var/log (sshd writes there),
and what sshd must not read from the machine: see ``account_files``. The database's host has shared
memory of its own too. Everything else is the machine's. Sources: mount_namespaces(7),
uts_namespaces(7), ipc_namespaces(7), unix(7) (a socket with a path is found by its inode, whatever
the network namespace; an abstract one is not).
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import EnforcementFailed
from bascule.lab import namespaces as linux
from bascule.lab.folder import LabFolder
from bascule.lab.person import Person
from bascule.lab.processes import NETNS_FOLDER, mark_of
from bascule.lab.topology import LabHost, Topology

NOTIFY_FOLDER = Path("/run/notify")
DATABASE_FOLDER = Path("/run/database")  # where its host shows the lab's folder for the cluster
DATABASE_IPC = Path("/run/database-ipc")  # its IPC namespace
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # reason: shm_open(3) has no other
# Of the network namespace of whoever opens them (namespaces(7)).
FORWARDING = (
    Path("/proc/sys/net/ipv4/ip_forward"),
    Path("/proc/sys/net/ipv6/conf/all/forwarding"),
)
ADDRESS_CHOICE = """\
# IPv4 first (gai.conf(5)): the client then asks the server and reaches the machines over the same
# family, and "my address" is one for both. IPv6 works as well: ssh -6, or by address.
precedence ::ffff:0:0/96 100
precedence ::1/128 50
precedence ::/0 40
"""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What is needed to build one host."""

    topology: Topology
    host: LabHost
    folder: LabFolder
    person: Person
    kept: tuple[Path, ...]  # shown at their own places although a cover lies above them
    units: tuple[str, ...]  # each gets a notify socket


@dataclass(frozen=True, slots=True)
class BuiltHost:
    """A host that stands: descriptors of its namespaces, and its notify sockets by unit."""

    net: int
    uts: int
    mnt: int
    notify: dict[str, socket.socket]


def notify_path(unit: str) -> str:
    return str(NOTIFY_FOLDER / unit.replace("/", "-"))


def account_files(person: Person) -> dict[str, str]:
    """Files below /etc that sshd reads in a lab host, by name.

    ``shadow``: sshd refuses an account that the machine has locked (``passwd -l root``, a CI
    user without a password); in the lab only the key counts. ``group`` (rootless only): without
    a group ``tty``, sshd gives a terminal to the user's own group, the only one that it may.
    """
    if person.is_root:
        return {"shadow": f"{person.name}:*:19000:0:99999:7:::\nsshd:!*:19000::::::\n"}
    lines = Path("/etc/group").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("tty:")]
    return {"group": "\n".join(kept) + "\n"}


def write_host_files(plan: HostPlan) -> None:
    """Write the files that become the host's /etc/hosts and so on."""
    place = plan.folder.host(plan.host.name)
    if plan.host.role == "database":
        plan.folder.database.mkdir(mode=0o700)
    files = {
        "hosts": plan.topology.hosts_file(plan.host),
        "hostname": plan.host.name + "\n",
        "gai.conf": ADDRESS_CHOICE,
        **account_files(plan.person),
    }
    if plan.host == plan.topology.gateway:
        files[plan.folder.guard(plan.host.name).name] = plan.topology.guard_file
    for name, text in files.items():
        path = place / name
        path.write_text(text)
        path.chmod(0o600 if name == "shadow" else 0o644)


def covered(kept: Sequence[Path], cover: Path) -> list[Path]:
    """Those of the kept folders that a cover would hide, outermost first; pure.

    Raise ValueError when one of them is the cover itself or above it: then nothing of the cover
    can be hidden.
    """
    for path in kept:
        if path == cover or path in cover.parents:
            raise ValueError(f"{path} must stay visible, and {cover} lies in it")
    return sorted({path for path in kept if cover in path.parents}, key=lambda path: path.parts)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[str]:
    """Hold a path open, whatever is mounted over it; the name given leads to it."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def cover(target: Path, kept: Sequence[Path], source: str, fstype: str = "") -> None:
    """Mount over a folder and show the kept ones below it again at their places."""
    with contextlib.ExitStack() as stack:
        hidden = [
            (path, stack.enter_context(_held(path)))
            for path in covered(kept, target)
            if path.is_dir()
        ]
        if fstype:
            linux.mount(source, target, fstype, linux.MS_NOSUID | linux.MS_NODEV, "mode=0755")
        else:
            linux.bind(source, target)
        for path, handle in hidden:
            path.mkdir(parents=True, exist_ok=True)
            linux.bind(handle, path)


def prepare_run(mark: str, kept: Sequence[Path]) -> None:
    """Give this mount namespace a /run of its own, which marks its processes as the lab's."""
    cover(Path("/run"), kept, mark, "tmpfs")
    for name in ("sshd", "netns", "lock", "notify", "user", "bascule"):
        Path("/run", name).mkdir(mode=0o755, exist_ok=True)


def _give_shared_memory(kept: Sequence[Path]) -> None:
    """The host's own: what a killed PostgreSQL leaves there ends with the host, and not before. A new
    one finds by it what is left of the one before.
    """
    linux.unshare(linux.CLONE_NEWIPC)
    DATABASE_IPC.touch()
    linux.bind("/proc/self/ns/ipc", DATABASE_IPC)
    if _SHARED_MEMORY.is_dir():
        cover(_SHARED_MEMORY, kept, "tmpfs", "tmpfs")
        _SHARED_MEMORY.chmod(0o1777)


def _arrange(plan: HostPlan) -> None:
    """Arrange all mounts of the host; the namespace is already private."""
    place = plan.folder.host(plan.host.name)
    with contextlib.ExitStack() as stack:
        register = stack.enter_context(_held(NETNS_FOLDER))
        networks = {
            name: stack.enter_context(_held(NETNS_FOLDER / name))
            for name in plan.topology.namespaces
        }
        prepare_run(mark_of(plan.folder.root), plan.kept)
        for name, handle in networks.items():
            (NETNS_FOLDER / name).touch()
            linux.bind(handle, NETNS_FOLDER / name)
        # The copy of the machine's own register below goes: it would keep everybody's network
        # namespaces alive for as long as the lab stands.
        linux.unmount(register)
    if plan.host.role == "database":
        DATABASE_FOLDER.mkdir()
        linux.bind(plan.folder.database, DATABASE_FOLDER)
        _give_shared_memory(plan.kept)
    own_runtime = Path("/run/user", str(plan.person.uid))
    own_runtime.mkdir(mode=0o700, exist_ok=True)
    cover(Path("/var/log"), plan.kept, "tmpfs", "tmpfs")
    with contextlib.suppress(OSError):  # /sys/class/net of the machine is not harmful, only odd
        linux.mount("sysfs", "/sys", "sysfs")
    linux.bind(plan.folder.ssh(plan.host.name), "/etc/ssh")
    for name in ("hosts", "hostname", "gai.conf", *account_files(plan.person)):
        if Path("/etc", name).exists():  # a mount needs something to lie on
            linux.bind(place / name, Path("/etc", name))
    cover(plan.person.home, plan.kept, str(plan.folder.home(plan.host.name)))


def _build(plan: HostPlan, channel: socket.socket) -> None:
    """Do the child's part: make the namespaces and send their descriptors."""
    network = os.open(NETNS_FOLDER / plan.topology.namespace(plan.host), os.O_RDONLY)
    linux.enter(network, linux.CLONE_NEWNET)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS)
    linux.make_mounts_private()
    socket.sethostname(plan.host.name)
    if plan.host == plan.topology.gateway:
        for switch in FORWARDING:
            switch.write_text("1\n")
    _arrange(plan)
    handles = [network, os.open("/proc/self/ns/uts", os.O_RDONLY)]
    handles.append(os.open("/proc/self/ns/mnt", os.O_RDONLY))
    for unit in plan.units:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path(unit))
        handles.append(notify.detach())
    socket.send_fds(channel, [b"ok"], handles)


def build_host(plan: HostPlan) -> BuiltHost:
    """Build a host from a child process, because mounts of this process must stay as they are."""
    write_host_files(plan)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            near.close()
            _build(plan, far)
        except BaseException as error:  # noqa: BLE001  # reason: a fork must never return
            with contextlib.suppress(OSError):
                far.send(f"{type(error).__name__}: {error}"[:4000].encode())
        finally:
            os._exit(0)
    far.close()
    with near:
        text, handles = receive(near)
    os.waitpid(pid, 0)
    if text != b"ok":
        reason = text.decode(errors="replace") or "its child process ended without a message"
        raise EnforcementFailed(f"the lab host {plan.host.name} cannot be created: {reason}")
    sockets = [socket.socket(fileno=handle) for handle in handles[3:]]
    return BuiltHost(
        handles[0], handles[1], handles[2], dict(zip(plan.units, sockets, strict=True))
    )


def receive(channel: socket.socket, size: int = 8192) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors, which no program started later inherits."""
    handles: array.array[int] = array.array("i")
    room = socket.CMSG_SPACE(253 * handles.itemsize)  # SCM_MAX_FD
    text, extras, _, _ = channel.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in extras:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handles.frombytes(data[: len(data) - len(data) % handles.itemsize])
    return text, list(handles)
