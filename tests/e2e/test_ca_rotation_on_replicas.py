"""EDGES I5, H: the CA is replaced while three servers share a PostgreSQL, one of them killed in between.

Two agents: one has its line at a server that did not make the step, the other polls a third one.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bascule.agent.enrolment import load_identity, trust_of
from bascule.agent.line_link import LineLink
from bascule.agent.trusted import NUMBER, Trusted
from bascule.agent.witness import Witness
from bascule.clocks import SystemClock
from bascule.errors import BasculeError
from tests.e2e.lab_world import until
from tests.e2e.server_process import BASCULE, Server
from tests.support import postgresql
from tests.unit.test_agent_line import Ear
from tests.wire.running import Server as Reached
from tests.wire.test_polled_trust import Place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]


@pytest.fixture
def database() -> Iterator[str]:
    name = postgresql.cluster().make()
    yield postgresql.cluster().address(name)
    postgresql.cluster().drop(name)


@pytest.fixture
def servers(tmp_path: Path, database: str) -> Iterator[list[Server]]:
    made = [Server(tmp_path / name, tmp_path / "a" / "ca.pem") for name in "abc"]
    made[0].data = tmp_path / "data"
    for each in made:
        each.ca = tmp_path / "data" / "ca.pem"
    try:
        made[0].serves("--database", database)
        for each in made[1:]:
            token = tmp_path / "token"
            token.write_text(_admin(made[0], "replica", "invite", "--endpoint", made[0].endpoint))
            each.serves("--join-file", str(token))
        yield made
    finally:
        for each in made:
            each.kill()


def _admin(server: Server, *command: str) -> str:
    done = subprocess.run(
        [*BASCULE, "admin", *command, "--data", str(server.data)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def on_a_line(state: Path) -> Iterator[None]:
    """An agent that connects again whenever its line ends."""
    identity = load_identity(state)
    assert identity is not None
    trusted, over = Trusted(state, identity), threading.Event()
    link = LineLink(identity, trust_of(state), SystemClock(), Witness(), trusted)

    def listen() -> None:
        while not over.wait(0.2):
            try:
                link.listen(Ear(), over.is_set)
            except BasculeError:
                continue

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        link.close()
        thread.join(20)


def test_each_server_takes_a_step_and_tells_its_own_agents(
    servers: list[Server], database: str, tmp_path: Path
) -> None:
    a, b, c = servers
    place = Place(Reached(json.loads((a.data / "admin.json").read_text())), tmp_path)
    polls = place.poller("web-1", b.endpoint)
    lined = place.poller("db-1", c.endpoint)
    old = a.ca.read_text()

    def kept(name: str) -> int:
        return int(json.loads((tmp_path / name / "identity.json").read_text()).get(NUMBER, 0))

    with on_a_line(lined.state):
        place.rotate()
        number = place.number
        place.is_taken_up(polls, number)
        assert until(lambda: kept("db-1") == number, 60)
        assert until(lambda: place.moved() == {"web-1", "db-1"}, 60)

        b.kill()  # away during the step
        place.rotate("--switch")
        for each in (a, c):
            assert until(lambda each=each: (each.data / "ca.pem").read_text() != old, 60)  # type: ignore[misc]  # reason: bound now
        b.serves("--database", database)
        polls.start_again()
        polls.go_round()

        place.rotate("--finish")
        place.is_taken_up(polls, place.number)
        assert until(lambda: place.moved() == {"web-1", "db-1"}, 60)
        wanted = a.ca.read_text()
        for name, server in (("web-1", b), ("db-1", c)):
            told = json.loads((tmp_path / name / "identity.json").read_text())["ca"]
            assert told == (server.data / "ca.pem").read_text() == wanted != old
        for agent in (polls, lined):
            agent.start_again()
            agent.go_round()
    place.close()
