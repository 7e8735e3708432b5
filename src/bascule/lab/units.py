"""What runs in a lab, and where: the server, an agent and an sshd on each machine. Pure.

The words are systemd.service(5)'s: a unit is one program that the supervisor starts; a one-shot
unit does its work and ends.
What is not here: starting them (``supervisor``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.lab.folder import LabFolder
from bascule.lab.host import notify_path
from bascule.lab.sshd import CONFIG as SSHD_CONFIG
from bascule.lab.topology import SERVER_PORT, LabHost, Topology

LISTEN_NAME = "listen"  # FileDescriptorName= of the socket on the host's 127.0.0.1
SERVER = "server"
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


def agent_unit(machine: str) -> str:
    return f"{machine}/agent"


def sshd_unit(machine: str) -> str:
    return f"{machine}/sshd"


def server(topology: Topology, folder: LabFolder, bascule: Sequence[str]) -> Unit:
    """The server listens in its host; its socket on the machine's loopback is handed to it."""
    host = topology.server
    argv = [*bascule, "serve", "--data", str(folder.data)]
    for address in ("0.0.0.0", "[::]"):  # noqa: S104  # reason: all addresses of a namespace of ours
        argv += ["--listen", f"{address}:{SERVER_PORT}"]
    for name in (host.name, *host.addresses):
        argv += ["--name", name]
    return Unit(SERVER, host, tuple(argv), takes_listen_socket=True)


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
    return Unit(step, topology.client, argv, is_oneshot=True)


def notify_units(topology: Topology, host: LabHost) -> tuple[str, ...]:
    """The units of a host that may speak to the supervisor."""
    return (agent_unit(host.name),) if host in topology.agents else ()
