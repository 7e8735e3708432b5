"""``bascule exposure`` against the whole HTTP face."""

from __future__ import annotations

import pytest

from bascule.domain.times import format_utc
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.protocol.codec import encode
from bascule.services.sweep import sweep
from tests.wire.house import port_rule
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture
from tests.wire.test_exposure import opened, prepared


@pytest.fixture
def desk(cli: Cli) -> Cli:  # noqa: F811  # reason: the fixture of that name
    opened(prepared(cli.house))
    return cli


def test_who_is_let_in_and_what_keeps_nothing_shut(desk: Cli) -> None:
    told = desk.done("exposure").out
    for word in ("web-1", "22/tcp", "198.51.100.7", "deploy", "NOTHING CLOSED", "db-1", "no agent"):
        assert word in told
    assert "Port-hours" in told
    as_json = desk.json("exposure")
    assert [each["machineId"].rpartition("/")[2] for each in as_json["open"]] == ["web-1"]
    assert [each["machineId"].rpartition("/")[2] for each in as_json["nothingClosed"]] == ["db-1"]
    assert as_json["portHours"]["now"]["machines"] == 2


def test_what_a_machine_needs_that_keeps_nothing_shut(desk: Cli) -> None:
    """A policy; an agent where a policy is there; a look where the agent does not enforce it."""
    house = desk.house
    rules = f"{house.machine('db-1')}/providers/Bascule.Access/machineRules/default"
    assert "bascule policy set db-1" in desk.done("exposure").out
    house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}})
    told = desk.done("exposure").out
    assert "bascule machine enrol db-1" in told
    assert "policy set" not in told
    house.enrol("db-1")
    assert "bascule machine show db-1" in desk.done("exposure").out


def test_a_minute_after_its_end_what_is_unheard_is_listed_apart(desk: Cli) -> None:
    """EDGES E9: it is not among what is open."""
    house = desk.house
    house.clock.pass_time(3600 + 59)
    assert "not confirmed" in desk.done("exposure").out.splitlines()[1]
    house.clock.pass_time(1)
    told = desk.done("exposure").out
    assert told.startswith("No closed port is open for anybody.")
    assert "ENDED, NOT CONFIRMED" in told
    assert desk.json("exposure", "web-1")["ports"][0]["openings"] == []
    house.do(sweep)
    status = desk.done("status").out
    assert "There are no open requests that you may see" in status
    assert "ENDED, NOT CONFIRMED" in status


def test_a_moment_of_the_past(desk: Cli) -> None:
    then = desk.done("exposure", "--at", "60s")
    assert "No closed port is open for anybody." in then.out
    assert "web-1" not in then.out.replace("db-1", "")
    at = format_utc(desk.house.clock.now())
    assert desk.json("exposure", "--at", at)["open"]
    old = desk.done("exposure", "--at", "1999-01-01T00:00:00Z")
    assert "There is no data from before" in old.err


def test_one_machine_port_by_port(desk: Cli) -> None:
    told = desk.done("exposure", "web-1").out
    assert "open for somebody" in told
    assert "port-hours" in told
    bare = desk.done("exposure", "db-1").out
    assert "No port of db-1 is closed" in bare
    assert desk.json("exposure", "web-1")["ports"][0]["closed"] is True


def test_where_nothing_can_be_enforced_it_is_said_before_what_was_held(desk: Cli) -> None:
    house = desk.house
    uid = house.call("GET", house.machine("web-1")).json()["properties"]["vmId"]
    agent = house.client_of(house.agent_token(uid))
    house.report(agent, uid, generation=0, weaknesses=[encode(NOT_ENFORCED(problem="EPERM"))])
    told = desk.done("exposure", "web-1")
    assert "Its agent has not been able to enforce anything since" in told.err
    assert "not confirmed" in told.out


def test_a_time_that_is_none_says_how_to_write_one(desk: Cli) -> None:
    refused = desk("exposure", "--at", "soon")
    assert refused.code != 0
    assert "neither a duration" in refused.err
    later = desk("exposure", "--at", "2999-01-01T00:00:00Z")
    assert later.code != 0
    assert "is in the future" in later.err
