"""EDGES I6, I7 on PostgreSQL's own tools: pg_dump and pg_restore, and a cluster that is taken back in time.

A real server on a real cluster, and the link of a real agent with its witness.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.agent.enrolment import trust_of
from bascule.agent.http_link import HttpLink
from bascule.agent.witness import Witness
from bascule.clocks import SystemClock
from tests.e2e.lab_world import until
from tests.e2e.server_process import BASCULE, Server
from tests.support import postgresql
from tests.support.postgresql import Cluster
from tests.wire.running import Server as Reached
from tests.wire.test_polled_trust import Place, Poller

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]
MINE = "bascule"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    made.do(f"CREATE DATABASE {MINE}")
    yield made
    made.remove()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data", tmp_path / "data" / "ca.pem")
    yield made
    made.kill()


def admin(server: Server, *command: str, said: str = "", code: int = 0) -> str:
    done = subprocess.run(
        [*BASCULE, "admin", *command, "--data", str(server.data)],
        input=said,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


class Agent:
    """A poller that keeps a witness."""

    def __init__(self, place: Place, poller: Poller) -> None:
        self.witness = Witness(poller.state, place.server.admin["tenant_id"])
        self.link = HttpLink(poller.identity, trust_of(poller.state), SystemClock(), self.witness)

    def ask(self) -> Any:
        return self.link.fetch_state(lambda: None)


class World:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.reached = Reached(json.loads((server.data / "admin.json").read_text()))
        self.place = Place(self.reached, folder)
        self.agent = Agent(self.place, self.place.poller("web-1", server.endpoint))
        self.key = json.loads(admin(server, "recovery-key", "-o", "json").split("\nFinger")[0])[
            "recoveryKey"
        ]
        self.machine = f"{self.reached.group}/providers/Microsoft.Compute/virtualMachines/web-1"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.reached.call(method, path, body)

    def open_access(self) -> str:
        """A grant that is live; its request's id."""
        group = self.reached.group
        location = f"{group}/providers/Microsoft.Security/locations/local"
        policy = f"{location}/jitNetworkAccessPolicies/default"
        ports = [
            {
                "number": 22,
                "protocol": "TCP",
                "allowedSourceAddressPrefix": "*",
                "maxRequestAccessDuration": "PT3H",
            }
        ]
        machines = [{"id": self.machine, "ports": ports}]
        self.call("PUT", policy, {"kind": "Basic", "properties": {"virtualMachines": machines}})
        end = (SystemClock().now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        asked = [
            {
                "number": 22,
                "allowedSourceAddressPrefix": "192.0.2.9",
                "endTimeUtc": end,
            }
        ]
        self.call(
            "POST",
            f"{policy}/initiate",
            {"virtualMachines": [{"id": self.machine, "ports": asked}]},
        )
        return policy

    def leases(self) -> int:
        return len(self.agent.ask().leases)


def is_settled(world: World, token: str, before: int) -> None:
    """What every restore that is signed leaves."""
    agent = world.agent
    desired = agent.ask()
    assert not desired.leases, "a grant of the backup is open again"
    assert desired.installation > before
    assert not agent.witness.pending(), agent.witness.pending()
    assert agent.witness.status()["restored"], agent.witness.status()
    path = f"{world.reached.group}?api-version=2021-04-01"
    assert world.server.status(path, token) == 401, "a token of before works again"
    assert world.place.server.call("GET", world.machine)["name"] == "web-1"


def token_of(world: World) -> str:
    known = world.reached.admin
    form = {
        "grant_type": "client_credentials",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "scope": f"{known['endpoint']}/.default",
    }
    answer = world.server.call("POST", f"/{known['tenant_id']}/oauth2/v2.0/token", form=form)
    assert answer.status == 200, answer.content
    return str(json.loads(answer.content)["access_token"])


def go_on(world: World) -> int:
    """Have the record go on past what is brought back, until the agent has seen that."""
    agent = world.agent
    seen = agent.witness.head.position
    world.call("PUT", world.machine.replace("web-1", "db-1"), {})
    assert until(lambda: bool(agent.ask()) and agent.witness.head.position > seen, 60)
    return int(agent.ask().installation)


def be_quiet(world: World) -> None:
    """Wait until the agent has seen the end of the record, and knows the recovery key."""
    agent, ends = world.agent, [0]

    def is_so() -> bool:
        time.sleep(3)
        agent.ask()
        ends.append(agent.witness.head.position)
        return bool(agent.witness.recovery_key) and ends[-1] == ends[-2] > 0

    assert until(is_so, 120), ends


def tell(world: World, *options: str) -> str:
    """The server of the dump is seen as alive for 15 s more."""
    command = [*BASCULE, "admin", "restored", "--recovery-key-file", "-"]
    said = ""

    def is_told() -> bool:
        nonlocal said
        done = subprocess.run(
            [*command, "--data", str(world.server.data), *options],
            input=world.key, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0 or "A server uses the database" in said, said
        return done.returncode == 0

    assert until(is_told, 120), said
    return said


def test_a_dump_that_is_restored_is_known_as_one(
    server: Server, cluster: Cluster, tmp_path: Path
) -> None:
    server.serves("--database", cluster.address(MINE))
    world = World(server, tmp_path)
    world.open_access()
    assert world.leases() == 1
    be_quiet(world)
    where = ("-h", str(cluster.folder), "-U", "bascule")
    dump = str(cluster.folder / "dump")
    cluster.run("pg_dump", *where, "--format", "custom", "--file", dump, MINE)
    token = token_of(world)
    before = go_on(world)
    assert "stop" in admin(server, "restored", "--without-recovery-key", code=2).lower()

    assert server.process is not None
    server.process.terminate()
    server.process.wait(30)
    cluster.drop(MINE)
    cluster.do(f"CREATE DATABASE {MINE}")
    cluster.run("pg_restore", *where, "--single-transaction", "--dbname", MINE, dump)
    other = "0" * 30
    refused = subprocess.run(
        [*BASCULE, "admin", "restored", "--recovery-key-file", "-", "--data", str(server.data)],
        input=other, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert refused.returncode != 0, refused.stdout
    assert "on record, signed" in tell(world, "--reason", "the disk failed")
    server.serves("--database", cluster.address(MINE))
    is_settled(world, token, before)


def test_a_cluster_that_is_taken_back_in_time_is_known_as_one(
    server: Server, cluster: Cluster, tmp_path: Path
) -> None:
    """A copy that stopped following before the others, and is promoted: as a recovery to that moment."""
    server.serves("--database", cluster.address(MINE))
    world = World(server, tmp_path)
    world.open_access()
    assert world.leases() == 1
    be_quiet(world)
    copy = cluster.standby()
    try:
        copy.stop("fast")
        token = token_of(world)
        before = go_on(world)
        assert server.process is not None
        server.process.terminate()
        server.process.wait(30)
        cluster.stop("fast")
        copy.start()
        copy.promote()
        admin(server, "accept-database", "--database", copy.address(MINE))
        assert "on record, signed" in tell(world, "--database", copy.address(MINE))
        server.serves("--database", copy.address(MINE))
        is_settled(world, token, before)
    finally:
        server.kill()
        copy.remove()
        cluster.start()
