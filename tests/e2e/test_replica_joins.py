"""A second host joins a running installation, as its README says: real servers, real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_world import until
from tests.e2e.server_process import BASCULE, Server
from tests.support import postgresql

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    made = [Server(tmp_path / name, tmp_path / "a" / "ca.pem") for name in "abc"]
    yield made
    for each in made:
        each.kill()


@pytest.fixture
def database() -> Iterator[str]:
    name = postgresql.cluster().make()
    yield postgresql.cluster().address(name)
    postgresql.cluster().drop(name)


def admin(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BASCULE, "admin", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_second_host_joins_and_a_rotation_is_used_by_both(
    servers: list[Server], database: str, tmp_path: Path
) -> None:
    a, b, c = servers
    a.serves("--database", database)
    known = json.loads((a.data / "admin.json").read_text())
    token_file = tmp_path / "token"

    def invite(of: Server) -> None:
        done = admin("replica", "invite", "--data", str(of.data), "--endpoint", of.endpoint)
        assert done.returncode == 0, done.stderr
        token_file.write_text(done.stdout)

    def token_of(server: Server) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
            "scope": f"{server.endpoint}/.default",
        }
        path = f"/{known['tenant_id']}/oauth2/v2.0/token"
        answer = server.call("POST", path, form=form)
        assert answer.status == 200, answer.content
        return str(json.loads(answer.content)["access_token"])

    subscription = f"/subscriptions/{known['subscription_id']}"
    groups = f"{subscription}/resourceGroups?api-version=2021-04-01"

    invite(a)
    b.serves("--join-file", str(token_file))
    assert (b.data / "wrapping.key").read_bytes() == (a.data / "wrapping.key").read_bytes()
    for name in ("ca.key", "ca.pem", "token-signing.key", "record-signing.key"):
        assert (b.data / name).read_bytes() == (a.data / name).read_bytes(), name
    assert (b.data / "server.pem").read_bytes() != (a.data / "server.pem").read_bytes()
    assert not (b.data / "admin.json").exists()
    assert b.call("GET", groups, token_of(b)).status == 200

    said = c.refuses("--join-file", str(token_file))
    assert "unknown or was already used" in said
    assert {each.name for each in c.data.iterdir()} == {"lock"}

    stolen = token_of(a)
    assert a.status(groups, stolen) == 200
    done = admin("rotate-signing-key", "--data", str(b.data), "--now")  # while both serve
    assert done.returncode == 0, done.stderr
    rotated = time.monotonic()
    until(lambda: a.status(groups, stolen) == 401, 20)
    took = time.monotonic() - rotated
    assert took < 10, took
    for each in (a, b):
        assert each.call("GET", groups, token_of(each)).status == 200
    key = "token-signing.key"
    until(lambda: (b.data / key).read_bytes() == (a.data / key).read_bytes(), 10)

    b.kill()
    assert "is in PostgreSQL" in b.refuses()
    b.serves("--join-file", str(token_file))  # a unit that names the token goes on
    b.kill()
    b.serves("--database", database)

    invite(b)  # in the shell of the one that joined
    c.serves("--join-file", str(token_file))
    assert c.call("GET", groups, token_of(c)).status == 200
