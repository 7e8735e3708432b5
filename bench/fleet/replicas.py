"""Servers over one PostgreSQL, measured as one: its cluster is made in the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fleet.server import Program, Server, cpu_seconds_of, free_port, with_children
from bench.fleet.tls import Address
from bench.standing import Broken
from tests.support import postgresql


class Replicas:
    """Agents and askers are divided among them, as by a balancer. The first is the one that is killed."""

    def __init__(self, servers: list[Server], cluster: postgresql.Cluster) -> None:
        self._servers, self._cluster = servers, cluster
        self._database = int((cluster.data / "postmaster.pid").read_text().split()[0])

    @property
    def one(self) -> Server:
        return self._servers[0]

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(address for each in self._servers for address in each.addresses)

    @property
    def admin(self) -> dict[str, str]:
        return self.one.admin

    def join(self, folder: Path) -> None:
        """Let all but the first join the installation that the first has made."""
        for number, each in enumerate(self._servers[1:], start=2):
            token = folder / f"token-{number}"
            token.touch(mode=0o600)
            token.write_text(self.one.invite())
            each.start("--join-file", str(token))
            each.wait()

    def stop(self) -> None:
        for each in self._servers:
            each.stop()

    def cpu_seconds(self) -> float:
        """Of all servers; without the database."""
        return sum(each.cpu_seconds() for each in self._servers)

    def memory_mb(self) -> float:
        return sum(each.memory_mb() for each in self._servers)

    def database_cpu_seconds(self) -> float:
        """Of connections that are open: what a closed one has used is gone with its process."""
        return sum(map(cpu_seconds_of, with_children(self._database)))


@contextmanager
def standing(program: Program, folder: Path, agents: int, count: int) -> Iterator[Replicas]:
    """So many servers and so many machines; all is stopped and removed at the end of the block."""
    if postgresql.programs() is None:
        raise Broken("PostgreSQL's server is missing: make install-dev as root.")
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        each.chmod(0o755)  # PostgreSQL runs as somebody else
    cluster = postgresql.Cluster(parent=folder.parent)  # its socket has a path of at most 107 bytes
    try:
        address = cluster.address(cluster.make())
        servers = [
            Server(program, folder / str(number), free_port(), address)
            for number in range(1, count + 1)
        ]
        replicas = Replicas(servers, cluster)
        try:
            replicas.one.fill(agents)
            replicas.one.ready()
            replicas.join(folder)
            yield replicas
        finally:
            replicas.stop()
    finally:
        cluster.remove()
