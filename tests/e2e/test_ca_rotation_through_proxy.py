"""EDGES I1, I5: the CA is replaced under a live grant behind Debian's nginx, which verifies the server by it.

Once with a proxy that passes the agent's WebSocket, once with one that does not: there the agent polls.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from bascule.client import access
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld
from tests.e2e.test_ca_rotation import moved, rotate, status
from tests.e2e.test_through_proxy import FRONT, Front, ask_for, fronted
from tests.netns.conftest import why_not
from tests.netns.network import INNER

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long]


def told(front: Front) -> str:
    """The CAs that the server tells whoever verifies it, asked by the proxy."""

    def inside() -> str:
        calls = http.client.HTTPSConnection(INNER, FRONT, context=front.trust, timeout=20)
        calls.request("GET", "/bascule/ca.pem")
        answer = calls.getresponse()
        content = answer.read().decode()
        calls.close()
        assert answer.status == 200, content
        return content

    return front.world.network.client.inside(inside)


def renew(front: Front, *, has_line: bool) -> None:
    """As the proxy's operator: give nginx the CAs of now, and start it again."""
    cas = told(front)
    own = front.folder / "bascule-ca.pem"
    own.write_text(cas)
    conf = front.folder / "bascule.conf"
    text = conf.read_text().replace(str(front.world.data / "ca.pem"), str(own))
    if not has_line and "return 502" not in text:
        text = text.replace(
            "    location / {", "    location ~ /line$ { return 502; }\n    location / {"
        )
        assert "return 502" in text
    conf.write_text(text)
    front.stop()
    front.start()


def is_open_for_callers(world: SmallWorld, front: Front) -> str:
    request = front.through(lambda c: ask_for(world, c))
    ((_, port),) = request.ports()
    assert port.state == "open", world.logs()
    assert world.lets_in(22, wait=2)
    assert not world.lets_stranger_in(22)
    return str(request.id)


@pytest.mark.parametrize("has_line", [True, False], ids=["line", "polling"])
def test_the_ca_is_replaced_behind_a_proxy(tmp_path: Path, has_line: bool) -> None:
    if why := why_not():
        pytest.skip(why)
    with fronted(tmp_path, "nginx") as (world, front):
        renew(front, has_line=has_line)
        assert until(lambda: world.agent_status()["connected"], 120), world.logs()
        old = (world.data / "ca.pem").read_text()
        request = is_open_for_callers(world, front)

        rotate(world)
        assert until(lambda: told(front).count("BEGIN CERTIFICATE") == 2, 30)
        renew(front, has_line=has_line)
        assert until(lambda: moved(world) == {"web-1"}, 150), status(world)
        assert world.lets_in(22, wait=2)

        rotate(world, "--switch")
        assert until(lambda: (world.data / "ca.pem").read_text() != old, 60)
        assert world.server is not None
        world.server.kill()
        world.start_server(options=("--proxy", INNER, "--name", "bascule.example"))
        assert until(front.answers, 60), front.log
        assert until(lambda: world.agent_status()["connected"], 120), world.logs()
        front.through(lambda c: access.revoke(c, request, kill=False))
        assert until(lambda: not world.lets_in(22), 60), world.logs()

        rotate(world, "--finish")
        assert until(lambda: told(front).count("BEGIN CERTIFICATE") == 1, 30)
        renew(front, has_line=has_line)
        assert until(lambda: moved(world) == {"web-1"}, 150), status(world)
        assert until(lambda: world.agent_status()["connected"], 120), world.logs()
        kept = json.loads((world.state / "identity.json").read_text())["ca"]
        assert kept == (world.data / "ca.pem").read_text()
        world.restart_agent()
        world.wait_enforced(120)
        is_open_for_callers(world, front)
