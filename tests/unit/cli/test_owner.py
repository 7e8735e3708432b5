"""machine, policy, status, activity: what an owner and an auditor see."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.domain.times import format_utc
from bascule.errors import ServerUnreachable
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import CLOCK, FakeServer, Json, Refusal, machine_path, rule


def closed(number: int, *, in_policy: bool = True, protocol: str = "TCP") -> dict[str, object]:
    return {"number": number, "protocol": protocol, "onExpiry": "keep", "inPolicy": in_policy}


def point_of(server: FakeServer, path: str) -> Json:
    point: Json = server.machines[path]["properties"]["bascule"]["enforcementPoint"]
    return point


def enforces_nothing(server: FakeServer, name: str) -> None:
    """An agent that is there and has said so since the last day of 2029."""
    point = point_of(server, server.add_machine(name, closed=[closed(22)]))
    problem = {"problem": "EPERM"}
    point["weaknesses"] = [
        {"code": "FirewallUnmanaged", "severity": "severe", "arguments": problem}
    ]
    point["notEnforcedSince"] = "2029-12-31T00:00:00.0000000Z"


def ago(span: timedelta) -> str:
    return format_utc(CLOCK.now() - span)


def is_too_old(server: FakeServer, name: str, state: str = "online") -> None:
    point = point_of(server, server.add_machine(name, closed=[closed(22)], agent=state))
    point["weaknesses"] = [
        {
            "code": "AgentProtocolTooOld",
            "severity": "severe",
            "arguments": {"version": "9.0"},
            "text": "Upgrade it to version 9.0 or later.",
        }
    ]


GUARD: Json = {
    "ports": [{"number": 22, "protocol": "TCP"}],
    "sources": ["10.0.0.0/8"],
    "maxRequestAccessDuration": "PT20S",
    "mayRelease": False,
    "isUsable": True,
}


class TestMachine:
    def test_list(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine(
            "web-1", "203.0.113.5", "2001:db8::5", closed=[closed(22), closed(80, in_policy=False)]
        )
        server.add_machine("db-1", agent="", os="Windows")
        server.add_machine("old-1", agent="neverSeen")
        assert cli("machine", "list").out.splitlines() == [
            "MACHINE  ADDRESSES                OS       STATE           AGENT            CLOSED",
            "web-1    203.0.113.5 2001:db8::5  Linux    not configured  online           "  # noqa: ISC004  # reason: one long line
            "22/tcp, 80/tcp (in no policy)",
            "db-1                              Windows  unsupported     none",
            "old-1                             Linux    not configured  never contacted",
        ]

    def test_what_an_agent_that_is_away_keeps_shut_is_as_it_last_was(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("web-1", closed=[closed(22), closed(80)], agent="offline")
        server.add_machine("web-2", closed=[closed(22)])
        _, away, there = cli("machine", "list").out.splitlines()
        assert away.endswith("22/tcp, 80/tcp; last known")
        assert there.endswith("22/tcp")
        assert "22/tcp, 80/tcp; last known" in cli("machine", "show", "web-1").out

    def test_what_is_to_be_shut_is_not_called_shut(self, cli: Cli, server: FakeServer) -> None:
        waits = {**closed(22), "readBack": False}
        server.add_machine("bare-1", closed=[waits], agent="")
        server.add_machine("new-1", closed=[waits], agent="neverSeen")
        server.add_machine("late-1", closed=[waits])
        server.add_machine("lost-1", closed=[closed(80), waits], agent="offline")
        server.add_machine("open-1", agent="")
        enforces_nothing(server, "web-1")
        said = dict(line.split(maxsplit=1) for line in cli("machine", "list").out.splitlines()[1:])
        assert said["bare-1"].endswith(" 22/tcp; not enforced: no agent")
        for name in ("new-1", "late-1"):
            assert said[name].endswith(" 22/tcp to be closed, not applied yet"), name
        assert said["lost-1"].endswith("80/tcp; last known; 22/tcp to be closed, not applied yet")
        assert said["open-1"].endswith("none"), "nothing is to be shut there"
        assert said["web-1"].endswith("22/tcp; not enforced")
        assert "online, enforcing nothing since 2029-12-31" in said["web-1"]
        shown = cli("machine", "show", "web-1").out
        assert "closed     22/tcp; not enforced" in shown
        since = cli("machine", "show", "web-1", "-o", "json").json["agent"]["notEnforcedSince"]
        assert since.startswith("2029-12-31T00:00:00")

    def test_the_group_is_told_when_there_are_several(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        server.add_machine("web-1", group="others")
        assert cli("machine", "list").out.splitlines()[0].endswith("GROUP")

    def test_empty(self, cli: Cli) -> None:
        result = cli("machine", "list")
        assert (result.code, result.out) == (0, "")
        assert "bascule machine add" in result.err
        assert cli("machine", "list", "-o", "json").json == []

    def test_list_json(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", "203.0.113.5", agent="")
        (machine,) = cli("machine", "list", "-o", "json").json
        assert sorted(machine) == [
            "addresses",
            "agent",
            "claimedPorts",
            "closedAt",
            "closedPorts",
            "id",
            "localOpenings",
            "location",
            "name",
            "osType",
            "reasons",
            "state",
            "stillClosed",
            "tags",
            "uid",
        ]
        assert machine["agent"] is None
        assert machine["state"] == "unsupported"
        assert machine["reasons"][0]["code"] == "NoEnforcementPoint"

    def test_add_change_remove(self, cli: Cli, server: FakeServer) -> None:
        result = cli(
            "machine", "add", "web-1", "--address", "203.0.113.5", "--address", "::ffff:203.0.113.6"
        )
        assert result.out == "web-1 added, at 203.0.113.5 and 203.0.113.6\n"
        assert machine_path("web-1") in server.machines
        assert cli("machine", "add", "web-1", "--os", "windows").out == (
            "web-1 exists; its operating system changed from Linux to Windows\n"
        )
        assert cli("machine", "add", "web-1").out == (
            "web-1 exists; nothing changed; it is at 203.0.113.5 and 203.0.113.6\n"
        ), "what is not given stays"
        assert cli("machine", "add", "x", "--address", "web.example").code == 2
        assert cli("machine", "add", "x", "--address", "fe80::1%eth0").code == 2
        assert cli("machine", "remove", "web-1", "--yes").out == "web-1 removed\n"
        assert not server.machines

    def test_remove_does_not_call_shut_what_roots_uninstall_opened(
        self, cli: Cli, server: FakeServer
    ) -> None:
        """B2: nor what was never read back shut; what was released and not heard of stays."""
        path = server.add_machine("web-1", closed=[closed(22)])
        server.machines[path]["properties"]["bascule"]["enforcementPoint"] |= {
            "weaknesses": [{"code": "AgentUninstalled", "severity": "severe"}],
            "notEnforcedSince": "2029-12-31T00:00:00Z",
        }
        said = cli("machine", "remove", "web-1", "--yes").err
        assert "Still closed" not in said
        assert "Bascule keeps no port of that host closed" in said
        server.add_machine("web-2", closed=[{**closed(22), "readBack": False}])
        assert "Still closed" not in cli("machine", "remove", "web-2", "--yes").err
        path = server.add_machine("web-3", agent="offline")
        still = [{"number": 80, "protocol": "TCP"}]
        server.machines[path]["properties"]["bascule"]["stillClosed"] = still
        assert "Still closed on the host: 80/tcp" in cli("machine", "remove", "web-3", "--yes").err

    def test_what_an_away_agent_keeps_shut_is_not_nothing(
        self, cli: Cli, server: FakeServer
    ) -> None:
        """B5: it was released, and the agent has not heard of it."""
        path = server.add_machine("web-1", agent="offline")
        server.machines[path]["properties"]["bascule"]["stillClosed"] = [
            {"number": 22, "protocol": "TCP"}
        ]
        shown = cli("machine", "show", "web-1").out
        assert "closed     22/tcp released; closed until its agent hears of that" in shown
        assert cli("machine", "show", "web-1", "-o", "json").json["stillClosed"] == [
            {"number": 22, "protocol": "TCP"}
        ]

    def test_remove_says_what_stays_shut(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", closed=[closed(22)])
        assert "Still closed on the host: 22/tcp" in cli("machine", "remove", "web-1", "--yes").err
        server.add_machine("web-2", closed=[closed(22)], agent="")
        assert "Still closed" not in cli("machine", "remove", "web-2", "-y").err, (
            "no agent ever shut it"
        )

    def test_enrol(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", agent="")
        result = cli("machine", "enrol", "web-1", "--replace", "--valid", "5m")
        assert result.out.splitlines() == [
            "  bascule agent install --server https://bascule.test:8443 --replace",
            "  bascule agent run --server https://bascule.test:8443",
            "  bascule-enrol.abc",
        ]
        assert cli.sent("POST", "/enrolments") == [{"replace": True, "validMinutes": 5}]
        assert cli("machine", "enrol", "web-1", "-o", "json").json["token"] == "bascule-enrol.abc"
        assert cli("machine", "enrol", "web-1", "--valid", "16m").code == 2
        assert cli("machine", "enrol", "web-1", "--valid", "90s").code == 2

    def test_enrol_prints_the_line_of_a_server_that_hands_out_packages(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("web-1", agent="")
        assert cli("machine", "enrol", "web-1", "-o", "json").json["bareHostCommand"] is None
        server.bare = "apt-helper && sha256sum && sh"
        result = cli("machine", "enrol", "web-1")
        assert result.out.splitlines()[0] == f"  {server.bare}"
        assert "a Debian without Bascule" in result.err
        made = cli("machine", "enrol", "web-1", "-o", "json").json
        assert made["bareHostCommand"] == server.bare

    def test_release(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine(
            "web-1",
            closed=[
                closed(22),
                closed(80, in_policy=False),
                closed(53, in_policy=False, protocol="UDP"),
            ],
        )
        assert cli("machine", "release", "web-1", "-p", "22", "--yes").code == 1, (
            "a policy names it"
        )
        assert cli("machine", "release", "web-1", "-p", "53/udp", "--yes").out.startswith(
            "web-1 port 53/udp is released"
        )
        assert cli("machine", "release", "web-1", "--yes", "-o", "json").json == {
            "released": [{"number": 80, "protocol": "TCP"}]
        }
        assert "no closed port outside its policies" in cli("machine", "release", "web-1").err

    def test_what_an_agent_alone_closes_is_said_and_taken(
        self, cli: Cli, server: FakeServer
    ) -> None:
        path = server.add_machine("web-1", closed=[closed(22)])
        claims = [{"number": n, "protocol": "TCP", "onExpiry": "keep"} for n in (80, 443)]
        server.machines[path]["properties"]["bascule"]["claimedPorts"] = claims
        shown = cli("machine", "show", "web-1").out.splitlines()
        at = shown.index("claimed    80/tcp, 443/tcp, closed only according to its agent")
        assert "bascule machine release web-1" in shown[at + 1]
        assert "bascule machine take web-1" in shown[at + 2]
        assert "CLOSED ONLY ACCORDING TO ITS AGENT" in cli("status").out
        assert cli("machine", "take", "web-1", "-p", "80").out == (
            "Now closed on web-1, in no policy: 80/tcp.\n"
        )
        assert cli("machine", "take", "web-1").code == 2, "an agent may claim a thousand"
        assert cli("machine", "take", "web-1", "-p", "443", "-o", "json").json == {
            "taken": [{"number": 443, "protocol": "TCP"}]
        }
        assert "claimed" not in cli("machine", "show", "web-1").out

    def test_an_agent_that_is_not_believed_is_said_and_believed_again(
        self, cli: Cli, server: FakeServer
    ) -> None:
        path = server.add_machine("web-1")
        since = {"notBelievedSince": "2030-01-01T00:00:00.0000000Z"}
        server.machines[path]["properties"]["bascule"]["enforcementPoint"] |= since
        assert "not trusted since" in cli("machine", "show", "web-1").out
        assert "are trusted again" in cli("machine", "believe", "web-1").out
        assert "were trusted already" in cli("machine", "believe", "web-1").out

    def test_a_host_that_refuses_releases_is_said(self, cli: Cli, server: FakeServer) -> None:
        """Its guard file has the last word; the same advice again would be given for ever."""
        server.add_machine("web-1", closed=[closed(22), closed(80, in_policy=False)])
        server.set_rules("web-1", rule(22))
        server.agents["web-1"] = "refuses"
        for command, port in (("machine release", "80/tcp"), ("policy remove", "22/tcp")):
            result = cli(*command.split(), "web-1", "--yes")
            assert f"still keeps {port} closed" in result.err
            assert "release = true in /etc/bascule/guard.toml" in result.err
            assert "as soon as it hears" in result.out

    def test_a_host_that_has_said_that_it_refuses_is_not_waited_for(
        self, cli: Cli, server: FakeServer
    ) -> None:
        path = server.add_machine("web-1", closed=[closed(22)])
        server.machines[path]["properties"]["bascule"]["enforcementPoint"]["guard"] = GUARD
        server.set_rules("web-1", rule(22))
        server.agents["web-1"] = "refuses"
        result = cli("policy", "remove", "web-1", "--yes")
        assert "keeps 22/tcp closed: its host refuses releases" in result.err
        assert "released" not in result.out

    def test_an_agent_that_does_not_hear_of_a_release_is_said(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bascule.cli.released.HEARD_SECONDS", 0.0)
        server.add_machine("web-1", closed=[closed(80, in_policy=False)], agent="offline")
        server.agents["web-1"] = "silent"
        said = cli("machine", "release", "web-1", "--yes").err
        assert "away since" in said
        assert "stay closed" in said
        server.add_machine("bare-1", closed=[closed(80, in_policy=False)], agent="")
        result = cli("machine", "release", "bare-1", "--yes")
        assert result.out == "bare-1 port 80/tcp is released; no agent keeps it closed\n"

    def test_inventory_only_and_managed_again(self, cli: Cli, server: FakeServer) -> None:
        """A tag says so, and the others stay."""
        path = server.add_machine("old-1")
        server.machines[path]["tags"] = {"env": "prod"}
        cli("machine", "add", "old-1", "--inventory-only")
        assert server.machines[path]["tags"] == {"env": "prod", "bascule-managed": "false"}
        cli("machine", "add", "old-1", "--address", "203.0.113.5")  # nothing is said of it
        assert server.machines[path]["tags"] == {"env": "prod", "bascule-managed": "false"}
        cli("machine", "add", "old-1", "--managed")
        assert server.machines[path]["tags"] == {"env": "prod"}
        added = cli("machine", "add", "old-2", "--inventory-only")
        assert server.machines[machine_path("old-2")]["tags"] == {"bascule-managed": "false"}
        assert "enrol" not in added.err, "nobody needs an agent there"

    def test_add_says_what_it_changed_of_a_machine_that_exists(
        self, cli: Cli, server: FakeServer
    ) -> None:
        """A name that is taken by mistake would send everybody's ssh to another host."""
        path = server.add_machine("web-1", "203.0.113.5")
        moved = cli("machine", "add", "web-1", "--address", "203.0.113.6")
        assert moved.out == ("web-1 exists; its address changed from 203.0.113.5 to 203.0.113.6\n")
        assert "enrol" not in moved.err
        words = ("--address", "2001:db8::1", "--os", "windows", "--inventory-only")
        told = cli("machine", "add", "web-1", *words, "-o", "json").json
        assert (told["added"], told["addresses"]) == (False, ["2001:db8::1"])
        assert told["changed"] == {
            "addresses": {"from": ["203.0.113.6"], "to": ["2001:db8::1"]},
            "osType": {"from": "Linux", "to": "Windows"},
            "isManaged": {"from": True, "to": False},
        }
        assert cli("machine", "add", "web-1", *words, "-o", "json").json["changed"] == {}
        assert cli("machine", "add", "web-1", "--managed").out == (
            "web-1 exists; its ports are managed now\n"
        )
        server.machines[path]["properties"]["bascule"]["addresses"] = []
        assert (
            "its address changed from none to 203.0.113.7 and 203.0.113.8\n"
            in cli(
                "machine", "add", "web-1", "--address", "203.0.113.7", "--address", "203.0.113.8"
            ).out
        )
        new = cli("machine", "add", "web-2", "-o", "json").json
        assert (new["added"], new["changed"]) == (True, None)

    def test_add_needs_no_right_to_read(self, cli: Cli, server: FakeServer) -> None:
        """But whoever changes its tags must know the others, which would be lost."""
        path = server.add_machine("web-1")
        server.machines[path]["tags"] = {"env": "prod"}

        def refuse(method: str, called: str) -> None:
            if (method, called) == ("GET", path):
                raise Refusal(403, "AuthorizationFailed", "You may not read it.")

        server.on_call = refuse
        result = cli("machine", "add", "web-1", "--address", "203.0.113.5")
        assert result.out == "web-1 changed, at 203.0.113.5\n"
        again = cli("machine", "add", "web-1", "--address", "203.0.113.5", "-o", "json").json
        assert (again["added"], again["changed"]) == (False, None), "it is not known"
        assert cli("machine", "add", "web-1", "--inventory-only").code != 0
        assert server.machines[path]["tags"] == {"env": "prod"}

    def test_show_says_why_it_is_unsupported(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", agent="")
        lines = cli("machine", "show", "web-1").out.splitlines()
        at = lines.index("state      unsupported")
        assert lines[at + 1 : at + 3] == ["           No agent.", "           Enrol one."]

    def test_show(self, cli: Cli, server: FakeServer) -> None:
        path = server.add_machine("web-1", "203.0.113.5", closed=[closed(22)])
        server.machines[path]["properties"]["bascule"]["enforcementPoint"] |= {
            "weaknesses": [{"code": "NftTooOld", "text": "nft is too old"}],
            "blockedAttempts": 7,
            "observedGeneration": 2,
        }
        server.set_rules("web-1", rule(22))
        lines = cli("machine", "show", "web-1").out.splitlines()
        assert "agent      online" in lines
        assert "state      not configured" in lines
        assert "           has applied generation 2 of 3" in lines
        assert "weak       NftTooOld (severe): nft is too old" in lines, "EDGES F2"
        assert "blocked    7 attempts" in lines
        assert "closed     22/tcp" in lines
        assert lines[-1].startswith("22/tcp")
        assert not any(line.startswith("guard") for line in lines), "of an older agent"

    def test_show_says_what_its_point_cannot_do(self, cli: Cli, server: FakeServer) -> None:
        """The worst first; what cannot be counted is not shown as a number."""
        path = server.add_machine("web-1", closed=[closed(22)])
        server.machines[path]["properties"]["bascule"]["enforcementPoint"] |= {
            "capabilities": {"seesBlocked": False, "endsLeases": False, "endsSessions": True},
            "blockedAttempts": None,
        }
        lines = cli("machine", "show", "web-1").out.splitlines()
        said = [line for line in lines if line.startswith("cannot")]
        assert said[0].startswith("cannot     end an opening by itself, so nothing is opened there")
        assert said[1].startswith("cannot     see blocked attempts")
        assert len(said) == 2
        assert "blocked    not known" in lines
        server.machines[path]["properties"]["bascule"]["enforcementPoint"] |= {"capabilities": None}
        assert "cannot     " not in cli("machine", "show", "web-1").out

    @pytest.mark.parametrize(
        ("attempts", "words"), [(1, "1 attempt"), (7, "7 attempts"), (None, "not known")]
    )
    def test_show_says_when_attempts_were_counted(
        self, cli: Cli, server: FakeServer, attempts: int | None, words: str
    ) -> None:
        """A quiet agent's number may be old; where nothing is counted there is nothing to date."""
        path = server.add_machine("web-1")
        counted_at = ago(timedelta(minutes=5, milliseconds=500))
        point_of(server, path).update(blockedAttempts=attempts, countedAt=counted_at)
        (line,) = [
            line
            for line in cli("machine", "show", "web-1").out.splitlines()
            if line.startswith("blocked")
        ]
        dated = r", counted 5m( \ds)? ago" if attempts else ""
        assert re.fullmatch(f"blocked    {words}{dated}", line), line
        told = cli("machine", "show", "web-1", "-o", "json").json["agent"]
        assert told["countedAt"] == counted_at

    def test_an_agent_that_is_too_old_is_called_so(self, cli: Cli, server: FakeServer) -> None:
        """It does not only look away: what to do is another thing."""
        is_too_old(server, "web-1", "offline")
        server.add_machine("web-2")
        rows = cli("machine", "list").out.splitlines()
        (old,) = [line for line in rows if line.startswith("web-1")]
        assert "away since" in old
        assert ", too old for this server" in old
        assert "too old" not in "".join(line for line in rows if not line.startswith("web-1"))
        lines = cli("machine", "show", "web-1").out.splitlines()
        (agent,) = [line for line in lines if line.startswith("agent")]
        assert agent.endswith(", too old for this server")
        (weak,) = [line for line in lines if line.startswith("weak")]
        assert "Upgrade it to version 9.0 or later." in weak

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(90, "1m 30s ahead of the server's clock"), (-3600, "1h behind the server's clock")],
    )
    def test_show_says_how_far_its_clock_is_off(
        self, cli: Cli, server: FakeServer, seconds: int, words: str
    ) -> None:
        path = server.add_machine("web-1")
        assert "clock" not in cli("machine", "show", "web-1").out
        point_of(server, path)["clockSkewSeconds"] = seconds
        (line,) = [
            line
            for line in cli("machine", "show", "web-1").out.splitlines()
            if line.startswith("clock")
        ]
        assert line == f"clock      {words}; access ends on time all the same"

    def test_the_worst_weakness_comes_first(self, cli: Cli, server: FakeServer) -> None:
        path = server.add_machine("web-1")
        point_of(server, path)["weaknesses"] = [
            {"code": "A", "severity": "limited", "text": "a little"},
            {"code": "B", "severity": "severe", "text": "much"},
        ]
        lines = cli("machine", "show", "web-1").out.splitlines()
        said = [line for line in lines if line.startswith("weak")]
        assert ["much" in line for line in said] == [True, False]

    @pytest.mark.parametrize(
        ("guard", "words"),
        [
            ({}, "none: the host admits everything that a policy allows"),
            (
                GUARD,
                "opens 22/tcp and no others; from 10.0.0.0/8; for 20s at most; no releases",
            ),
            ({"ports": [], "sources": []}, "opens no port; from nowhere"),
            (
                {"ports": [], "isUsable": False},
                "its file on the host is invalid: nothing opens, nothing is released",
            ),
        ],
    )
    def test_show_says_what_the_host_itself_admits(
        self, cli: Cli, server: FakeServer, guard: Json, words: str
    ) -> None:
        path = server.add_machine("web-1")
        point = server.machines[path]["properties"]["bascule"]["enforcementPoint"]
        point["guard"] = {"mayRelease": True, "isUsable": True, **guard}
        assert f"guard      {words}" in cli("machine", "show", "web-1").out.splitlines()

    def test_show_tells_programs_what_the_host_admits(self, cli: Cli, server: FakeServer) -> None:
        path = server.add_machine("web-1")
        server.machines[path]["properties"]["bascule"]["enforcementPoint"]["guard"] = GUARD
        assert cli("machine", "show", "web-1", "-o", "json").json["agent"]["guard"] == {
            "ports": [{"number": 22, "protocol": "TCP"}],
            "sources": ["10.0.0.0/8"],
            "maxDurationSeconds": 20,
            "maxDrainSeconds": None,
            "mayRelease": False,
            "isUsable": True,
            "behind": None,
        }


def knocker(address: str, attempts: int, *ports: tuple[int, str]) -> Json:
    return {
        "address": address,
        "attempts": attempts,
        "lastAt": "2030-01-01T12:00:00.0000000Z",
        "ports": [{"number": number, "protocol": protocol} for number, protocol in ports],
    }


class TestKnocks:
    @pytest.fixture(autouse=True)
    def knocked_at(self, server: FakeServer) -> str:
        server.knock_hours = [1, 0, 8]
        server.knockers = [
            knocker("198.51.100.66", 6, (22, "TCP"), (3389, "TCP")),
            knocker("2001:db8::66", 1, (53, "UDP")),
        ]
        return server.add_machine("web-1")

    def test_sources(self, cli: Cli, server: FakeServer, knocked_at: str) -> None:
        result = cli("machine", "knocks", "web-1")
        lines = result.out.splitlines()
        assert lines[0] == "web-1: 9 attempts blocked in the last 1d"
        assert lines[2].split() == ["SOURCE", "ATTEMPTS", "PORTS", "LAST"]
        assert lines[3].startswith("198.51.100.66  6         22/tcp, 3389/tcp  20")
        assert lines[4].startswith("2001:db8::66   1         53/udp")
        assert result.err == "and 2 attempts from other sources\n"
        path, query = server.asked_knocks
        assert path == f"{knocked_at}/providers/Bascule.Access/blockedAttempts/default"
        assert (query["hours"], query["top"]) == ("24", "10")

    def test_hours(self, cli: Cli, server: FakeServer) -> None:
        lines = cli("machine", "knocks", "web-1", "--by-hour", "--since", "150m").out.splitlines()
        assert server.asked_knocks[1]["hours"] == "3", "whole hours, rounded up"
        assert lines[0] == "web-1: 9 attempts blocked in the last 2h 30m"
        assert [line.split()[-2:] for line in lines[3:]] == [
            ["1", "#####"],
            [lines[4].split()[-2], "0"],
            ["8", "#" * 40],
        ]

    def test_of_all_machines(self, cli: Cli, server: FakeServer) -> None:
        result = cli("machine", "knocks", "--top", "1", "-o", "json")
        path, query = server.asked_knocks
        assert path.count("/") == 6, "the subscription's own"
        assert query["top"] == "1"
        assert result.json["machine"] is None
        assert result.json["attempts"] == 9
        assert len(result.json["hours"]) == 24
        (source,) = result.json["sources"]
        assert source == knocker("198.51.100.66", 6, (22, "TCP"), (3389, "TCP"))
        assert "all machines that you may see: 9" in cli("machine", "knocks").out

    def test_nobody(self, cli: Cli, server: FakeServer) -> None:
        server.knock_hours, server.knockers = [], []
        result = cli("machine", "knocks", "web-1", "--since", "7d")
        assert (result.code, result.out) == (0, "")
        assert result.err == "No blocked attempts at web-1 in the last 7d.\n"

    def test_how_old_the_count_is(self, cli: Cli, server: FakeServer, knocked_at: str) -> None:
        """Of one machine; each agent of several counts when it likes."""
        counted_at = ago(timedelta(minutes=5, milliseconds=500))
        point_of(server, knocked_at)["countedAt"] = counted_at
        dated = r"web-1(: 9 attempts blocked)? in the last 1d, counted 5m( \ds)? ago"
        assert re.fullmatch(dated, cli("machine", "knocks", "web-1").out.splitlines()[0])
        assert cli("machine", "knocks", "web-1", "-o", "json").json["countedAt"] == counted_at
        assert "counted" not in cli("machine", "knocks").out
        assert cli("machine", "knocks", "-o", "json").json["countedAt"] is None
        server.knock_hours, server.knockers = [], []
        said = cli("machine", "knocks", "web-1").err
        assert re.fullmatch(rf"No blocked attempts at {dated}\.\n", said), said

    @pytest.mark.parametrize(
        "bad",
        [
            ["--since", "8d"],
            ["web-1", "--since", "31d"],
            ["web-1", "--since", "59m"],
            ["web-1", "--top", "0"],
        ],
    )
    def test_bad_options(self, cli: Cli, bad: list[str]) -> None:
        assert cli("machine", "knocks", *bad).code == 2


class TestPlan:
    def test_on_off_and_back(self, cli: Cli, server: FakeServer) -> None:
        assert cli("plan", "show").out == "Just-in-time access is on for the subscription.\n"
        off = cli("plan", "off", "--yes")
        assert off.out == "Just-in-time access is off for the subscription.\n"
        assert "closed ports stay closed" in off.err
        assert cli("plan", "show", "--group", "test").out == (
            "Just-in-time access is off in resource group test, as for the subscription.\n"
        )
        assert cli("plan", "on", "--group", "test").out == (
            "Just-in-time access is on in resource group test.\n"
        )
        assert server.plans == {"": "Free", "test": "Standard"}
        assert cli("plan", "inherit", "--group", "test", "-y").out.endswith(
            ", as for the subscription.\n"
        )
        assert server.plans == {"": "Free"}
        assert cli("plan", "on", "-o", "json").json == {
            "resourceGroup": None,
            "isOn": True,
            "isInherited": False,
            "isEnforced": False,
        }

    def test_what_is_no_group(self, cli: Cli) -> None:
        for verb in ("show", "on", "off", "inherit"):
            assert cli("plan", verb, "--group", "a/b").code == 2
        assert cli("plan", "inherit").code == 2


class TestPolicy:
    def test_set_defaults(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        server.add_machine("win-1", os="Windows")
        assert cli("policy", "set", "web-1").out.splitlines() == [
            "MACHINE  PORT    AT MOST  FROM  AT THE END  REASON  POLICY",
            "web-1    22/tcp  3h       *     kept                default",
        ]
        cli("policy", "set", "win-1")
        assert [b["properties"]["ports"][0]["number"] for b in cli.sent("PUT", "/default")] == [
            22,
            3389,
        ]

    def test_a_dry_run_says_what_would_change_and_sends_nothing_else(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("web-1", closed=[closed(22)])
        port = {"machineId": "x", "number": 22, "protocol": "TCP"}
        grant = {**port, "requestor": "ada\x1b[2J", "requestId": "r"}
        server.preview = {
            "closes": [{**port, "number": 80}],
            "alters": [],
            "leaves": [port],
            "opens": [{**port, "protocol": "UDP"}],
            "endsGrants": [grant, {"machineId": "x"}],
            "shortensGrants": [{**grant, "endTimeUtc": "2030-01-01T12:05:00Z"}],
            "changesRules": [
                {**port, "maxRequestAccessDuration": "PT1H", "justificationRequired": True},
                {**port, "sources": ["198.51.100.0/24"], "justificationRequired": False},
                {**port, "number": 81, "isNew": True},
                {**port, "publicPort": 2222, "publicIpAddress": "198.51.100.7"},
                {**port, "publicPort": 2222, "publicIpAddress": None},
                {**port, "publicPort": None, "publicIpAddress": None},
            ],
        }
        told = [
            "port 80/tcp would be closed",
            "port 22/tcp would stay closed, in no policy",
            "port 22/udp would open for everybody",
            "port 22/tcp could be requested for at most 1h, only with a reason",
            "port 22/tcp could be requested from 198.51.100.0/24, without a reason",
            "port 81/tcp could be requested",
            "port 22/tcp could be requested by public port 198.51.100.7:2222 at its gateway",
            "port 22/tcp could be requested by public port 2222 at its gateway",
            "port 22/tcp could be requested by a public port that is chosen at its gateway",
            "the live access of ada[2J to port 22 would end at once",
            "somebody's live access would end at once",
            "the live access of ada[2J to port 22 would end earlier, at 2030-01-01T12:05:00Z",
        ]
        assert cli("policy", "set", "web-1", "-p", "80", "--dry-run").out.splitlines() == told
        assert cli("policy", "remove", "web-1", "--dry-run").out.splitlines() == told
        as_json = cli("policy", "set", "web-1", "--dry-run", "-o", "json").json
        assert as_json["closes"] == [{"number": 80, "protocol": "TCP"}]
        server.preview = {}
        assert "Nothing would change" in cli("policy", "set", "web-1", "--dry-run").out
        assert server.policies == {}

    def test_set_all(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        result = cli("policy", "set", "web-1", "-p", "22", "-p", "53/*", "--max", "1h", "--from", "198.51.100.0/24",
                     "--from", "2001:db8::/32", "--on-expiry", "kill", "--require-why", "--policy", "ops")  # fmt: skip
        assert result.code == 0, result.err
        (body,) = cli.sent("PUT", "/machineRules/default")
        rest = {
            "allowedSourceAddressPrefixes": ["198.51.100.0/24", "2001:db8::/32"],
            "maxRequestAccessDuration": "PT1H",
            "bascule": {"onExpiry": "kill", "justificationRequired": True},
        }
        assert body == {
            "properties": {
                "policyName": "ops",
                "ports": [
                    {"number": 22, "protocol": "TCP", **rest},
                    {"number": 53, "protocol": "*", **rest},
                ],
            }
        }

    def test_set_a_drain(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        drain = ("--on-expiry", "drain", "--drain-for", "10m")
        assert cli("policy", "set", "web-1", "-p", "22", *drain).code == 0
        (body,) = cli.sent("PUT", "/machineRules/default")
        ours = {"onExpiry": "drain", "justificationRequired": False, "drainFor": "PT10M"}
        assert body["properties"]["ports"][0]["bascule"] == ours
        assert "stay 10m, then cut" in cli("policy", "show", "web-1").out

    @pytest.mark.parametrize(
        "given",
        [
            ("--on-expiry", "drain"),
            ("--drain-for", "10m"),
            ("--on-expiry", "kill", "--drain-for", "10m"),
            ("--on-expiry", "drain", "--drain-for", "9h"),
        ],
    )
    def test_a_drain_needs_its_time(
        self, cli: Cli, server: FakeServer, given: tuple[str, ...]
    ) -> None:
        server.add_machine("web-1")
        assert cli("policy", "set", "web-1", "-p", "22", *given).code == 2
        assert not cli.sent("PUT", "/machineRules/default")

    @pytest.mark.parametrize(
        ("given", "told", "shown"),
        [
            ("2222", {"publicPort": 2222}, "2222"),
            (
                "198.51.100.7:2222",
                {"publicPort": 2222, "publicIpAddress": "198.51.100.7"},
                "198.51.100.7:2222",
            ),
            (
                "[2001:db8::7]:2222",
                {"publicPort": 2222, "publicIpAddress": "2001:db8::7"},
                "[2001:db8::7]:2222",
            ),
        ],
    )
    def test_set_names_the_gateway_s_public_port(
        self, cli: Cli, server: FakeServer, given: str, told: dict[str, object], shown: str
    ) -> None:
        server.add_machine("app-1")
        result = cli("policy", "set", "app-1", "-p", "22", "--public-port", given)
        assert result.code == 0, result.err
        (body,) = cli.sent("PUT", "/machineRules/default")
        (port,) = body["properties"]["ports"]
        assert port["bascule"] == {"onExpiry": "keep", "justificationRequired": False, **told}
        assert "PUBLIC PORT" in result.out
        assert shown in result.out

    @pytest.mark.parametrize(
        "wrong",
        ["ssh", "", "0", "65536", "gw:2222", "2001:db8::7:2222", "[198.51.100.7]:2222", ":"],
    )
    def test_what_is_no_public_port(self, cli: Cli, server: FakeServer, wrong: str) -> None:
        server.add_machine("app-1")
        result = cli("policy", "set", "app-1", "-p", "22", "--public-port", wrong)
        assert result.code == 2
        assert cli.sent("PUT", "/machineRules/default") == []

    def test_a_public_port_is_of_one_port(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("app-1")
        result = cli("policy", "set", "app-1", "-p", "22", "-p", "23", "--public-port", "2222")
        assert result.code == 2
        assert "give -p once" in result.err
        assert cli.sent("PUT", "/machineRules/default") == []

    def test_set_says_what_stays_shut(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", closed=[closed(80)], agent="")
        result = cli("policy", "set", "web-1", "-p", "22")
        assert "Still closed, in no policy: 80/tcp" in result.err
        assert "has no agent yet" in result.err

    @pytest.mark.parametrize(
        "bad",
        [["-p", "22/icmp"], ["-p", "22/"], ["--from", "me"], ["--policy", "a b"], ["--max", "x"]],
    )
    def test_bad_options(self, cli: Cli, server: FakeServer, bad: list[str]) -> None:
        server.add_machine("web-1")
        assert cli("policy", "set", "web-1", *bad).code == 2
        assert not cli.sent("PUT", "/default")

    @pytest.mark.parametrize(("span", "code"), [("4m59s", 2), ("5m", 0), ("1d", 0), ("1d1s", 2)])
    def test_the_bounds_of_a_maximum_are_told_in_the_words_that_it_takes(
        self, cli: Cli, server: FakeServer, span: str, code: int
    ) -> None:
        server.add_machine("web-1")
        result = cli("policy", "set", "web-1", "--max", span)
        assert result.code == code
        assert ("5m to 1d" in " ".join(result.err.split())) == (code == 2)

    def test_show_and_remove(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", closed=[closed(22), closed(80, in_policy=False)])
        assert "bascule policy set" in cli("policy", "show").err
        server.set_rules("web-1", rule(22, onExpiry="kill"), rule(53, "*", "PT1H30M"), policy="ops")
        rows = cli("policy", "show").out.splitlines()[1:]
        assert rows == [
            "web-1    22/tcp  3h       *     cut                      ops",
            "web-1    53/*    1h 30m   *     kept, UDP ended          ops",
        ]
        assert cli("policy", "show", "web-1", "-o", "json").json[0]["policies"][0]["name"] == "ops"
        assert cli("policy", "remove", "web-1", "--yes").out.splitlines() == [
            "web-1 is no longer in any policy",
            f"web-1 port 22/tcp is released; {AS_SOON}",
        ]
        assert "No policy covers web-1" in cli("policy", "remove", "web-1").err


class TestLockout:
    """policy set inside an ssh session on that very machine lets the peer in first (A25)."""

    @pytest.fixture(autouse=True)
    def here(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
        from bascule.domain.net import parse_address

        opened: list[tuple[object, ...]] = []
        monkeypatch.setattr("bascule.cli.lockout.ssh_peer", lambda: parse_address("192.0.2.9"))
        monkeypatch.setattr("bascule.cli.lockout.is_here", lambda each: str(each) == "203.0.113.5")
        monkeypatch.setattr(
            "bascule.cli.lockout.open_on_this_host", lambda *a: opened.append(a[1:])
        )
        return opened

    def test_here(self, cli: Cli, server: FakeServer, here: list[object]) -> None:
        server.add_machine("web-1", "203.0.113.5", closed=[closed(80)])
        server.on_call = lambda method, _: here.append(method) if method == "PUT" else None
        result = cli("policy", "set", "web-1", "-p", "22", "-p", "80", "-p", "53/udp")
        assert here == [("TCP", 22, "192.0.2.9", 900), "PUT"], (
            "before the port is shut, and only that one"
        )
        assert "Port 22 stays open for it for 15 minutes" in result.err

    def test_behind_a_nat_the_agent_here_knows_which_machine_this_is(
        self,
        cli: Cli,
        server: FakeServer,
        here: list[object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        uid = server.machines[server.add_machine("web-1")]["properties"]["vmId"]
        server.add_machine("web-2", "203.0.113.5")
        monkeypatch.setattr("bascule.cli.lockout.machine_uid_here", lambda: uid)
        cli("policy", "set", "web-2")
        assert here == [], "an address of this host, but another machine's rules"
        cli("policy", "set", "web-1")
        assert here == [("TCP", 22, "192.0.2.9", 900)]

    def test_elsewhere(self, cli: Cli, server: FakeServer, here: list[object]) -> None:
        server.add_machine("web-1", "203.0.113.77")
        cli("policy", "set", "web-1")
        assert here == []

    def test_behind_a_gateway_it_is_said_that_root_here_opens_nothing_there(
        self, cli: Cli, server: FakeServer, here: list[object]
    ) -> None:
        app = server.add_machine("app-1", "203.0.113.5", closed=[closed(80)])
        server.machines[app]["properties"]["bascule"]["closedAt"] = ["gw-1"]
        said = cli("policy", "set", "app-1", "-p", "22").err
        assert here == [], "the agent of this host has no say at its gateway"
        assert "gw-1 keeps the port closed for what passes it. This session continues." in said
        assert "bascule request app-1" in said
        assert "ssh session" not in cli("policy", "set", "app-1", "-p", "80").err, "closed before"


AS_SOON = "its agent opens it for everybody as soon as it hears of this"


class TestStatus:
    def test_nothing(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        assert cli("status").out == (
            "There are no open requests that you may see. For all open ports: bascule exposure\n"
        )
        assert cli("status", "--mine").out == "You have no open requests.\n"

    def test_an_agent_that_can_enforce_nothing_has_its_part(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("db-1", closed=[closed(22)])
        enforces_nothing(server, "web-1")
        lines = cli("status").out.splitlines()
        assert lines[1:3] == ["", "NOT ENFORCED  AGENT"]
        assert lines[3].startswith("web-1         online, enforcing nothing since 2029-12-31")
        assert len(lines) == 4
        said = cli("status", "-o", "json").json
        assert [each["machine"] for each in said["notEnforced"]] == [machine_path("web-1")]
        assert said["agentsAway"] == []

    def test_all_three_parts(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", closed=[closed(22), closed(80, in_policy=False)])
        server.add_machine("db-1", agent="offline")
        server.add_machine("bare-1", agent="")
        made = server.add_request(
            "web-1", left=timedelta(minutes=30, milliseconds=900), requestor="me"
        )
        server.add_request("web-1", state="closed")
        lines = cli("status").out.splitlines()
        assert lines[0].split() == ["OPEN", "PORT", "FROM", "FOR", "UNTIL", "LEFT", "REQUEST"]
        assert "198.51.100.7" in lines[1]
        assert lines[1].endswith(made["name"][:8])
        assert re.search(r" (30m|29m [1-5]\ds) ", lines[1])
        assert lines[2:5] == [
            "",
            "CLOSED, IN NO POLICY  PORT    TO OPEN IT",
            "web-1                 80/tcp  bascule machine release web-1",
        ]
        assert lines[5:7] == ["", "LAST KNOWN STATE, CHANGES WAIT  AGENT"]
        assert lines[7].startswith(
            "db-1                            away since 2030-01-01 00:00:00 +00:00"
        )
        assert len(lines) == 8, "a machine without agent and without shut ports needs no look"

    def test_an_agent_that_is_away_still_keeps_shut_what_it_shut(
        self, cli: Cli, server: FakeServer
    ) -> None:
        """Nothing is open for want of it; without any agent everything is."""
        server.add_machine("away-1", closed=[closed(22)], agent="offline")
        server.add_machine("new-1", closed=[closed(22)], agent="neverSeen")
        server.add_machine("bare-1", closed=[closed(22)], agent="")
        words = [line.split() for line in cli("status").out.splitlines()]
        assert words[2:5] == [
            ["NOT", "ENFORCED", "AGENT"],
            ["new-1", "never", "contacted"],
            ["bare-1", "none"],
        ]
        assert words[6] == ["LAST", "KNOWN", "STATE,", "CHANGES", "WAIT", "AGENT"]
        assert words[7][0] == "away-1"

    @pytest.mark.parametrize("state", ["online", "offline"])
    def test_changes_wait_for_an_agent_that_is_too_old(
        self, cli: Cli, server: FakeServer, state: str
    ) -> None:
        """It keeps closed what it closed, and can be told nothing new."""
        server.add_machine("web-1", closed=[closed(22)])
        is_too_old(server, "old-1", state)
        lines = cli("status").out.splitlines()
        assert lines[1:3] == ["", "LAST KNOWN STATE, CHANGES WAIT  AGENT"]
        assert lines[3].startswith("old-1")
        assert ", too old for this server" in lines[3]
        assert len(lines) == 4
        (told,) = cli("status", "-o", "json").json["agentsTooOld"]
        assert told["machine"].endswith("/old-1")

    def test_the_state_is_told_when_it_is_not_simply_open(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("web-1")
        server.add_request("web-1")
        server.add_request("web-1", state="notConfirmed")
        lines = cli("status").out.splitlines()
        assert lines[0].split() == [
            "ASKED",
            "FOR",
            "PORT",
            "FROM",
            "FOR",
            "UNTIL",
            "LEFT",
            "REQUEST",
            "STATE",
        ]
        assert [line.split()[-1] for line in lines[1:]] == ["notConfirmed", "open"]
        server.shows_closing = True
        server.add_request("web-1", state="closing")
        assert cli("status").out.splitlines()[1].split()[-1] == "closing", "it may still let in"

    def test_mine_and_machine(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        server.add_machine("db-1")
        server.add_request("web-1")
        server.add_request("db-1", requestor="somebody else")
        assert len(cli("status", "-o", "json").json["open"]) == 2
        assert len(cli("status", "--mine", "-o", "json").json["open"]) == 1
        assert len(cli("status", "--machine", "db-1", "-o", "json").json["open"]) == 1

    def test_watch_goes_on_without_the_server(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bascule.errors import ServerUnreachable

        server.add_machine("web-1")
        server.add_request("web-1")
        ticks = 0

        def sleep(_: float) -> None:
            nonlocal ticks
            ticks += 1
            if ticks == 2:

                def away(*_: object) -> None:
                    raise ServerUnreachable("nobody answers")

                server.on_call = away
            if ticks == 4:
                raise KeyboardInterrupt

        monkeypatch.setattr("time.sleep", sleep)
        result = cli("status", "--watch")
        assert result.code == 130
        assert result.out.count("OPEN ") == 4
        assert result.out.count("Last known state; nobody answers") == 2


class TestActivity:
    def event(self, number: int, **data: object) -> dict[str, object]:
        return {
            "sequence": number,
            "id": str(number),
            "at": "2030-01-01T10:00:00.0000000Z",
            "kind": "GrantCreated",
            "actor": {
                "principal_id": "p",
                "name": "=cmd()",
                "kind": "ServicePrincipal",
                "address": "192.0.2.1",
            },
            "resourceId": machine_path("web-1"),
            "correlationId": "c",
            "data": data,
        }

    def test_table(self, cli: Cli, server: FakeServer) -> None:
        server.events = [self.event(1, port="22/TCP", sources=["192.0.2.1", "*"], machine=machine_path("web-1"),
                                    ends_at="2030-01-01T11:00:00.0000000Z")]  # fmt: skip
        lines = cli("activity").out.splitlines()
        assert lines[0].split() == ["WHEN", "WHAT", "BY", "RESOURCE", "DETAIL"]
        assert lines[1].split(maxsplit=6)[3:6] == ["GrantCreated", "=cmd()", "web-1"]
        assert lines[1].endswith(
            "port: 22/TCP, sources: 192.0.2.1 *, ends at: 2030-01-01 11:00:00 +00:00"
        )

    def test_a_kind_of_a_newer_server_is_marked(self, cli: Cli, server: FakeServer) -> None:
        """EDGES F2: with its code, and all that it says."""
        strange = self.event(1, machine=machine_path("web-1"), grant_id="g") | {
            "kind": "ProbeMoved"
        }
        server.events = [strange]
        (line,) = cli("activity").out.splitlines()[1:]
        assert "ProbeMoved (unknown: update bascule)" in line
        assert line.endswith("machine: web-1, grant id: g")

    def test_a_row_says_what_it_is_about(self, cli: Cli, server: FakeServer) -> None:
        about = {
            "requestId": "0a0b0c0d-0000-4000-8000-000000000001",
            "requestor": "owner",
            "machines": ["web-1"],
            "ports": ["22/tcp"],
            "sources": ["10.0.0.7"],
            "endsAt": "2030-01-01T11:00:00.0000000Z",
            "justification": "deploy",
        }
        data = {"grant_id": "g", "request_id": about["requestId"], "reason": "Expired"}
        more = {"operation": "Expire access", "status": "Succeeded"}
        rows = [self.event(n, **data) | {"about": about} | more for n in (4, 2)]
        server.events = [rows[0], self.event(3), rows[1]]
        lines = cli("activity").out.splitlines()
        assert lines[1].endswith(
            "owner · 22/tcp from 10.0.0.7 until 2030-01-01 11:00:00 +00:00 · deploy · "
            "request 0a0b0c0d · reason: Expired"
        )
        assert ["deploy" in line for line in lines[1:]] == [True, False, True]
        lines = cli("activity", "--by-request").out.splitlines()
        assert ["deploy" in line for line in lines[1:]] == [True, True, False]
        head, row, *_ = csv.reader(io.StringIO(cli("activity", "--csv").out))
        assert head[-5:] == ["operation", "status", "machine", "port", "source"]
        assert row[-5:] == ["Expire access", "Succeeded", "web-1", "22/tcp", "10.0.0.7"]
        assert cli("activity", "-o", "json").json[0]["about"] == about
        assert cli("activity", "--by-request", "--csv").code == 2

    def test_who_may_read_events_alone_is_told_them_and_no_more(
        self, cli: Cli, server: FakeServer
    ) -> None:
        """How far the record is signed takes a right of its own; the table must not fail by it."""

        def refuse(_: str, path: str) -> None:
            if path.endswith("/checkpoints"):
                raise Refusal(403, "AuthorizationFailed", "No.")

        server.events = [self.event(1)]
        assert "To verify: bascule audit verify." in cli("activity").err
        server.on_call = refuse
        done = cli("activity")
        assert (done.code, done.err) == (0, "")
        assert "GrantCreated" in done.out

    def test_csv_holds_no_formula(self, cli: Cli, server: FakeServer) -> None:
        server.events = [self.event(1, justification='a, "b"\n=HYPERLINK(1)')]
        rows = list(csv.reader(io.StringIO(cli("activity", "--csv").out)))
        told = dict(zip(*rows, strict=True))
        assert rows[0][0] == "at"
        assert told["actor"] == "'=cmd()"
        assert told["justification"] == 'a, "b" =HYPERLINK(1)'
        assert told["detail"] == ""

    @pytest.mark.parametrize("text", ["x;=A0;y", 'x; "+A0', ";@A0", "a;b;\uff1dA0"])
    def test_csv_holds_none_where_semicolons_separate(
        self, cli: Cli, server: FakeServer, text: str
    ) -> None:
        """Excel does so where a comma is the decimal sign."""
        server.events = [self.event(1, justification=text)]
        lines = csv.reader(io.StringIO(cli("activity", "--csv").out), delimiter=";")
        cells = [cell for row in lines for cell in row]
        assert not [each for each in cells if re.match('[\\s"]*[-=+@\uff1d]', each)]
        assert any(each.strip().startswith("'") for each in cells)

    @pytest.mark.parametrize(
        "sign", ["=", "+", "-", "@", "\t=", "\r@", " =", "\uff1d", "\x1b=", "\u200b+"]
    )
    def test_csv_takes_the_teeth_out_of_every_sign(
        self, cli: Cli, server: FakeServer, sign: str
    ) -> None:
        server.events = [self.event(1, justification=f"{sign}1+1")]
        head, row = csv.reader(io.StringIO(cli("activity", "--csv").out, newline=""))
        cell = row[head.index("justification")]
        assert cell.startswith("'")
        assert cell.isprintable()

    def test_csv_is_rfc_4180(self, cli: Cli, server: FakeServer) -> None:
        """CRLF line ends, quotes doubled, a line for each event and one for the head."""
        server.events = [self.event(n, justification='say "x", then\ny') for n in (2, 1)]
        out = cli("activity", "--csv").out
        assert out.count("\r\n") == out.count("\n") == 3
        assert '"say ""x"", then y"' in out
        assert cli("activity", "--csv", "--limit", "1").out.count("\r\n") == 2

    def test_its_columns_are_documented(self, cli: Cli, server: FakeServer) -> None:
        page = (Path(__file__).parents[3] / "docs" / "activity.md").read_text()
        documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
        assert cli("activity", "--csv").out.strip().split(",") == documented

    @pytest.mark.parametrize("form", [[], ["--csv"], ["-o", "json"]])
    def test_follow(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch, form: list[str]
    ) -> None:
        """Oldest first; each event once; a server that is away is waited for."""
        server.events = [self.event(n) for n in (3, 2, 1)]
        naps: list[float] = []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            server.on_call = None
            if len(naps) == 1:
                server.events = [self.event(n, port="new") for n in (5, 4)] + server.events
            if len(naps) == 2:
                server.on_call = away
            if len(naps) == 4:
                raise KeyboardInterrupt

        def away(*_: str) -> None:
            raise ServerUnreachable("Nobody answers.")

        monkeypatch.setattr("time.sleep", sleep)
        result = cli("activity", "--follow", "--limit", "2", *form)
        assert result.code == 130
        lines = result.out.splitlines()
        assert len(lines) == 4 + ("--csv" in form)
        assert ["new" in line for line in lines[-4:]] == [False, False, True, True]
        assert result.err.count("Retrying.") == 1

    def test_filters_are_sent(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        asked: list[str] = []
        ask = FakeServer._page

        def page(fake: FakeServer, path: str, items: list[Json], query: Json) -> tuple[int, Json]:
            asked.append(query.get("$filter", ""))
            return ask(fake, path, items, query)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FakeServer, "_page", page)
            cli(
                "activity",
                "--by",
                "O'Brien",
                "--correlation",
                "c-1",
                "--until",
                "2030-01-02T00:00Z",
            )
        assert asked[0] == (
            "at lt '2030-01-02T00:00:00.0000000Z' and caller eq 'O''Brien' and correlationId eq 'c-1'"
        )
        assert cli("activity", "--machine", "web-1", "--resource", "/x").code == 2

    def test_filter_limit_pages(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1")
        server.events = [self.event(n) for n in range(120)]
        server.page_size = 30
        assert len(cli("activity", "-o", "json").json) == 120
        result = cli("activity")
        assert len(result.out.splitlines()) == 51
        assert "There are more" in result.err
        assert (
            cli("activity", "--machine", "web-1", "--since", "2h", "--kind", "GrantOpened").code
            == 0
        )
        assert cli("activity", "--kind", "x' or 1").code == 2
        mistyped = cli("activity", "--kind", "GrantOpend")
        assert mistyped.code == 2
        assert "AccessDenied" in mistyped.err, "the kinds are named"
        assert "GrantOpened" in mistyped.err
        assert cli("activity", "--since", "yesterday").code == 2
        assert cli("activity", "--csv", "-o", "json").code == 2
