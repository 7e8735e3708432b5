"""What runs in a lab, and where: the server or its replicas, an agent and an sshd on each machine. Pure.

The words are systemd.service(5)'s: a unit is one program that the supervisor starts; a one-shot
unit does its work and ends.
What is not here: starting them (``supervisor``).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.lab.folder import LabFolder
from bascule.lab.host import notify_path
from bascule.lab.sshd import CONFIG as SSHD_CONFIG
from bascule.lab.topology import SERVER_PORT, LabHost, Topology

DATABASE_NAME = "bascule"  # of the role, too
LISTEN_NAME = "listen"  # FileDescriptorName= of the socket on the host's 127.0.0.1
SERVER = "server"  # or each replica, by the name of its host
BALANCER = "balancer"
DATABASE = "database"
DATABASE_READY = "database-ready"
INVITE = "invite-"  # and the name of a further server's host
SEED = "seed"
AWAIT = "await"


@dataclass(frozen=True, slots=True)
class Unit:
    """One program of the lab."""

    name: str
    host: LabHost
    argv: tuple[str, ...]
    takes_listen_socket: bool = False
    keeps_descriptors: bool = False  # has a notify socket and an fd store
    is_oneshot: bool = False
    token: str = ""  # an agent's, to enrol with

    @property
    def environment(self) -> dict[str, str]:
        """What it gets beside the host's environment."""
        given = {"NOTIFY_SOCKET": notify_path(self.name)} if self.keeps_descriptors else {}
        return given | ({TOKEN_VARIABLE: self.token} if self.token else {})


def gentle_signal(unit: str) -> signal.Signals:
    """What ends it cleanly. At SIGTERM PostgreSQL would wait for its clients to go (postgres(1))."""
    return signal.SIGINT if unit == DATABASE else signal.SIGTERM


def agent_unit(machine: str) -> str:
    return f"{machine}/agent"


def sshd_unit(machine: str) -> str:
    return f"{machine}/sshd"


def server(
    topology: Topology, folder: LabFolder, bascule: Sequence[str], host: LabHost | None = None
) -> Unit:
    """The server listens in its host; its socket on the machine's loopback is handed to it, or to the
    balancer. Behind that, each replica has the balancer's names and its own.
    """
    host = host or topology.server
    is_first = host == topology.servers[0]
    argv = [*bascule, "serve", "--data", str(folder.data_of(host.name, is_first=is_first))]
    if not is_first:  # once it has joined, the file changes nothing
        argv += ["--join-file", str(folder.join_token(host.name))]
    for address in ("0.0.0.0", "[::]"):  # noqa: S104  # reason: all addresses of a namespace of ours
        argv += ["--listen", f"{address}:{SERVER_PORT}"]
    for each in dict.fromkeys((topology.server, host)):
        for name in (each.name, *each.addresses):
            argv += ["--name", name]
    if topology.replicas:
        for address in topology.server.addresses:
            argv += ["--balancer", address]
    if topology.database is not None:
        argv += ["--database", database_url(topology.database, folder)]
        argv += ["--database-password-file", str(folder.database_password)]
    return Unit(host.name, host, tuple(argv), takes_listen_socket=not topology.replicas)


def invite(topology: Topology, folder: LabFolder, bascule: Sequence[str], host: LabHost) -> Unit:
    """Makes the token with which this host's server joins; on the first server's host."""
    first = topology.servers[0]
    asked = ["admin", "replica", "invite", "--data", str(folder.data)]
    asked += ["--endpoint", f"https://{first.name}:{SERVER_PORT}"]
    script = 'umask 077; token=$1; shift; exec "$@" >"$token"'
    argv = ("/bin/sh", "-c", script, "sh", str(folder.join_token(host.name)), *bascule, *asked)
    return Unit(f"{INVITE}{host.name}", first, argv, is_oneshot=True)


def database_url(host: LabHost, folder: LabFolder) -> str:
    return f"postgresql://{DATABASE_NAME}@{host.name}/{DATABASE_NAME}?sslrootcert={folder.database_tls / 'ca.pem'}"


def balancer(topology: Topology, folder: LabFolder, python: str) -> Unit:
    argv = [python, "-m", "bascule.lab.balancer", str(folder.data / "ca.pem")]
    argv += [each.name for each in topology.replicas]
    return Unit(BALANCER, topology.server, tuple(argv), takes_listen_socket=True)


def database(
    topology: Topology, host: LabHost, folder: LabFolder, python: str, programs: Path
) -> Unit:
    """The cluster admits the hosts of servers alone."""
    argv = [python, "-m", "bascule.lab.database", str(programs), str(folder.database_tls)]
    argv += [str(folder.database_password), ",".join((host.name, *host.addresses))]
    argv += [address for each in topology.servers for address in each.addresses]
    return Unit(DATABASE, host, tuple(argv))


def database_ready(host: LabHost, programs: Path) -> Unit:
    """Ends when the cluster takes connections by its network."""
    script = f'until "$0" -q -h {host.name}; do sleep 0.05; done'
    return Unit(
        DATABASE_READY,
        host,
        ("/bin/sh", "-c", script, str(programs / "pg_isready")),
        is_oneshot=True,
    )


def agent(
    topology: Topology, folder: LabFolder, bascule: Sequence[str], machine: LabHost, token: str
) -> Unit:
    """An agent keeps the token that it was enrolled with: it takes a token only once."""
    argv = [*bascule, "agent", "run", "--server", topology.server_url]
    argv += ["--state", str(folder.agent_state(machine.name))]
    argv += ["--control", "/run/bascule/agent.sock"]  # where its commands look by default
    if machine == topology.gateway:
        argv += ["--guard", str(folder.guard(machine.name))]
    return Unit(agent_unit(machine.name), machine, tuple(argv), keeps_descriptors=True, token=token)


def sshd(machine: LabHost, program: str) -> Unit:
    return Unit(sshd_unit(machine.name), machine, (program, "-D", "-e", "-f", SSHD_CONFIG))


def seed(topology: Topology, python: str, folder: LabFolder, step: str) -> Unit:
    """The first machines and rules are made from the client, as anybody would make them."""
    argv = (python, "-m", "bascule.lab.seed", step, str(folder.root), topology.lab)
    return Unit(step, topology.client, (*argv, str(topology.shape)), is_oneshot=True)


def notify_units(topology: Topology, host: LabHost) -> tuple[str, ...]:
    """The units of a host that may speak to the supervisor."""
    return (agent_unit(host.name),) if host in topology.agents else ()
