"""What a gateway has seen of connections without an answer is said of the grant (EDGES G7)."""

from __future__ import annotations

import pytest

from tests.wire.house import House
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture
from tests.wire.test_gateway_faces import (
    CLOSED,
    OF_80,
    UNANSWERED,
    faces,
    prepare,
    tell,
    uid_of,
)
from tests.wire.test_parallel import request, words


@pytest.fixture
def desk(cli: Cli) -> Cli:  # noqa: F811  # reason: the fixture of that name
    prepare(cli.house)
    return cli


def test_that_no_answer_comes_back_is_said_of_the_grant(desk: Cli) -> None:
    """By the request, to whoever made it; the port is closed as before, and another port is not meant."""
    house: House = desk.house
    gateway = house.client_of(house.agent_token(uid_of(house, "gw-1")))
    grant = request(house)
    tell(house, gateway, "gw-1", "app-1", grant, **CLOSED)
    tell(house, gateway, "gw-1", "gw-1", weaknesses=[OF_80])
    told = desk.json("status", "--machine", "app-1")["open"][0]["machines"][0]["ports"][0]
    assert "unanswered" not in told
    tell(house, gateway, "gw-1", "gw-1", weaknesses=[UNANSWERED])
    told = desk.json("status", "--machine", "app-1")["open"][0]["machines"][0]["ports"][0]
    (silent,) = told["unanswered"]
    assert silent["gateway"] == "gw-1"
    assert "the default route of 10.1.0.10 leads elsewhere" in silent["why"]
    assert told["state"] == "open"
    shown = desk.done("status").out
    assert "NO ANSWER" in shown
    assert "leads elsewhere" in shown
    assert "  no answer through gw-1: Connections to 22/tcp" in words(house)
    assert "open past us" not in faces(desk)["exposure of it"]
    assert "At gw-1: Connections to 22/tcp" in desk.done("machine", "show", "app-1").out
    tell(house, gateway, "gw-1", "gw-1")
    assert "NO ANSWER" not in desk.done("status").out, "an answer takes it back"
    assert [len(house.events(each)) for each in ("ShadowFound", "ShadowGone")] == [2, 2]
