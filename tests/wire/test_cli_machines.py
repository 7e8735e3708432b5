"""``bascule machine tag``, and lists narrowed by a tag or to agents that are behind."""

from __future__ import annotations

import csv
import io
import itertools
from typing import Any

import pytest

from bascule import __version__
from bascule.client import machines
from tests.wire.house import COMPUTE, House
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture

NEWER = "999.0.0"


def names(desk: Cli, *options: str) -> list[str]:
    return [each["name"] for each in desk.json("machine", "list", *options)]


def test_tags_are_set_shown_and_removed(cli: Cli) -> None:  # noqa: F811  # reason: the fixture
    """Each change leaves the other tags alone, and is on record with what was before."""
    for name in ("web-1", "web-2", "db-1"):
        cli.house.add_machine(name)
    assert cli.done("machine", "tag", "web-1").out == "web-1 has no tags\n"
    assert cli.done("machine", "tag", "web-1", "env=prod", "tier=a=b").out == (
        "env=prod\ntier=a=b\n"
    )
    assert cli.json("machine", "tag", "web-1", "ENV=Test")["tags"] == {
        "env": "Test",
        "tier": "a=b",
    }
    cli.done("machine", "tag", "db-1", "env=test", "team=")
    assert names(cli, "--tag", "env=test") == ["db-1", "web-1"]
    assert names(cli, "--tag", "env=test", "--tag", "tier") == ["web-1"]
    assert names(cli, "--tag", "env=tes") == names(cli, "--tag", "nv") == []
    assert "No machine that you may see has the tag x" in cli("machine", "list", "--tag", "x").err
    assert "env=Test tier=a=b" in cli.done("machine", "list").out
    assert "tags       env=Test" in cli.done("machine", "show", "web-1").out
    assert cli.done("machine", "tag", "web-1", "--remove", "TIER").out == "env=Test\n"
    assert cli.house.events("MachineTagged") == ["MachineTagged"] * 4
    cli.done("machine", "add", "web-1", "--address", "192.0.2.9")
    assert cli.json("machine", "tag", "web-1")["tags"] == {"env": "Test"}, "add keeps them"


@pytest.mark.parametrize("meanwhile", [{"team": "red"}, {"tier": "web", "team": "red"}])
def test_of_two_who_change_tags_at_once_neither_loses_one(
    cli: Cli,  # noqa: F811  # reason: the fixture
    meanwhile: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rule may deny by a tag: one that is lost would lift it."""
    cli.house.add_machine("web-1", tags={"tier": "web"})
    put, others = machines.put_machine, [meanwhile]

    def put_later(*args: Any, **named: Any) -> Any:
        while others:
            cli.house.add_machine("web-1", tags=others.pop())
        return put(*args, **named)

    monkeypatch.setattr(machines, "put_machine", put_later)
    after = cli.json("machine", "tag", "web-1", "env=prod", "--remove", "tier")["tags"]
    assert after == {"env": "prod", "team": "red"}
    assert cli.json("machine", "tag", "web-1")["tags"] == after


def test_whom_others_are_always_ahead_of_is_told(
    cli: Cli,  # noqa: F811  # reason: the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cli.house.add_machine("web-1")
    put, count = machines.put_machine, itertools.count()

    def put_later(*args: Any, **named: Any) -> Any:
        cli.house.add_machine("web-1", tags={"count": str(next(count))})
        return put(*args, **named)

    monkeypatch.setattr(machines, "put_machine", put_later)
    answer = cli("machine", "tag", "web-1", "env=prod")
    assert answer.code != 0
    assert "changed by somebody else" in answer.err
    assert next(count) == 5


def test_a_machine_is_written_on_condition(house: House) -> None:
    path = house.machine("web-1")
    missing = house.call("PUT", path, {}, COMPUTE, headers={"If-Match": "*"})
    assert missing.status_code == 412
    made = house.call("PUT", path, {}, COMPUTE, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    etag = house.call("GET", path, version=COMPUTE).headers["etag"]
    assert made.headers["etag"] == etag
    assert house.call("PUT", path, {}, COMPUTE, headers={"If-None-Match": "*"}).status_code == 412
    for change in (
        {"tags": {"a": "b"}},
        {"properties": {"bascule": {"addresses": ["192.0.2.9"]}}},
        {"properties": {"storageProfile": {"osDisk": {"osType": "Windows"}}}},
    ):
        headers = {"If-Match": f'"other", {etag}'}
        done = house.call("PUT", path, change, COMPUTE, headers=headers)
        assert done.status_code == 200, done.text
        late = house.call("PUT", path, {"tags": {}}, COMPUTE, headers={"If-Match": etag})
        assert late.status_code == 412, late.text
        etag = done.headers["etag"]
    assert house.call("GET", path, version=COMPUTE).json()["tags"] == {"a": "b"}


def test_bad_tags_are_refused_and_change_nothing(cli: Cli) -> None:  # noqa: F811  # reason: the fixture
    cli.house.add_machine("web-1")
    cli.done("machine", "tag", "web-1", "env=prod")
    for bad in (["env"], ["=prod"], ["--remove", "nothing"], ["env=x", "--remove", "ENV"]):
        assert cli("machine", "tag", "web-1", *bad).code == 2, bad
    for ours in (["bascule-managed=false"], ["Bascule-Managed=x"]):
        answer = cli("machine", "tag", "web-1", *ours)
        assert (answer.code, "--inventory-only" in answer.err) == (2, True), answer
    assert cli("machine", "tag", "nobody", "a=b").code == 3
    assert cli.json("machine", "tag", "web-1")["tags"] == {"env": "prod"}


def test_who_is_behind_is_listed_with_what_to_do(cli: Cli) -> None:  # noqa: F811  # reason: the fixture
    """The server makes no host run anything: it says which, and the command (EDGES I2)."""
    for name, version in (("old-1", "0.0.9"), ("new-1", NEWER), ("same-1", __version__)):
        uid = cli.house.add_machine(name)
        cli.house.report(cli.house.enrol(name), uid, agentVersion=version)
    cli.house.add_machine("bare-1")
    assert names(cli, "--behind") == ["old-1"]
    told = cli.done("machine", "list", "--behind")
    assert "0.0.9" in told.out
    assert "apt-get install --only-upgrade bascule-agent" in told.err
    agent = cli.json("machine", "show", "old-1")["agent"]
    assert (agent["isVersionBehind"], agent["serverVersion"]) == (True, __version__)
    assert f"older than the server ({__version__})" in cli.done("machine", "show", "old-1").out
    assert "older" not in cli.done("machine", "show", "new-1").out
    assert cli("machine", "list", "--behind", "--tag", "x").out == ""


def test_the_list_as_csv_runs_nothing_in_a_spreadsheet(cli: Cli, house: House) -> None:  # noqa: F811  # reason: the fixture
    house.add_machine("web-1")
    cli.done("machine", "tag", "web-1", "note==cmd()", "env=prod")
    (row,) = csv.DictReader(io.StringIO(cli.done("machine", "list", "--csv").out))
    assert (row["machine"], row["agentVersion"], row["isVersionBehind"]) == ("web-1", "", "false")
    assert row["tags"].startswith("env=prod;") or row["tags"].startswith("note=")
    assert cli("machine", "list", "--csv", "-o", "json").code == 2
