"""Two versions on one database (EDGES H6): real servers, real PostgreSQL, a real kernel.

The older one goes on beside tables that allow it. It was paused while tables came that do not: when it
goes on it opens nothing, ends nothing early, and says why.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.client import access
from bascule.client.connection import trust_file
from bascule.client.https import Https, HttpsFailure
from tests.e2e.lab_world import until
from tests.e2e.small_world import BASCULE, PORT, Program, SmallWorld, rule
from tests.netns.conftest import why_not
from tests.netns.network import CLIENT, INNER
from tests.support import postgresql
from tests.support.later import COMPATIBLE, INCOMPATIBLE, Later, copy_program

pytestmark = [
    pytest.mark.root,
    pytest.mark.leak,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make()
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def world(tmp_path: Path, name: str) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        for port in (22, 23, 24):
            made.network.echo(port)
        yield made


class Newer:
    """A server of a later program, with a copy of the data directory, at the next port."""

    def __init__(self, world: SmallWorld, database: str, number: int, *later: Later) -> None:
        self.world = world
        self.port = PORT + number
        data = world.folder / f"data-{number}"
        shutil.copytree(world.data, data, ignore=shutil.ignore_patterns("lock"))
        code = copy_program(world.folder / f"program-{number}", *later)
        self.environment = {**os.environ, "PYTHONPATH": str(code)}
        where = ("--data", str(data), "--listen", f"{INNER}:{self.port}", "--name", INNER)
        self.program = Program(
            (
                *world._inside(world.network.inner.name),
                *BASCULE,
                "serve",
                *where,
                "--database",
                database,
            ),
            world.folder / f"newer-{number}.log",
            env=self.environment,
            cwd="/",
        )
        assert until(self.is_ready, 60), self.program.log.read_text()[-3000:]

    def is_ready(self) -> bool:
        return status_of(self.world, self.port)[0] == 200

    def request(self, port: int, wait: int) -> str:
        def inside() -> str:
            connection = self.world.connect(self.port)
            asked = access.PortRequest(port, timedelta(minutes=10), None, CLIENT)
            try:
                made = access.initiate(
                    connection, self.world.policy_id, self.world.machine_id, [asked]
                )
                return access.get_request(connection, made, wait).state
            finally:
                connection.close()

        return self.world.network.client.inside(inside)


def status_of(world: SmallWorld, port: int, path: str = "/readyz") -> tuple[int, str]:
    def inside() -> tuple[int, str]:
        https = Https(f"https://{INNER}:{port}", trust_file(world.data / "ca.pem"))
        try:
            answer = https.request("GET", path)
        except (OSError, HttpsFailure) as error:
            return 0, str(error)
        finally:
            https.close()
        return answer.status, answer.content.decode()

    return world.network.client.inside(inside)


def test_an_older_server_goes_on_beside_what_allows_it_and_not_beside_what_does_not(
    world: SmallWorld, name: str
) -> None:
    database = postgresql.cluster().address(name)
    world.start_server(options=("--database", database))
    world.add_machine()
    world.set_rules(rule(22), rule(23), rule(24))
    world.start_agent()
    world.wait_enforced()
    assert world.server is not None

    # -- beside each other: asked at the newer, opened by the agent of the older
    newer = Newer(world, database, 1, COMPATIBLE)
    assert newer.request(22, 20) == "open"
    assert world.lets_in(22)
    assert world.request(23, 600)
    assert world.lets_in(23)
    newer.program.kill()

    # -- paused through tables that do not allow it
    world.server.pause()
    postgresql.cluster().do("UPDATE replicas SET seen_at = seen_at - 60000000", name)
    newest = Newer(world, database, 2, COMPATIBLE, INCOMPATIBLE)
    newest.request(24, 0)
    world.server.go_on()
    assert until(lambda: "too old" in status_of(world, PORT)[1], 20), status_of(world, PORT)
    assert status_of(world, PORT)[0] == 503
    assert not until(lambda: world.lets_in(24), 10), world.logs()
    assert world.lets_in(22), "what was open lasts to its end"
    assert world.lets_in(23)

    # -- upgraded, it serves the agent again
    world.server.kill()
    world.start_server(environment=newest.environment, options=("--database", database))
    assert until(lambda: newest.request(24, 10) == "open", 40), world.logs()
    assert world.lets_in(24)
    newest.program.kill()
