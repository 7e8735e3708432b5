"""request, extend, revoke: what is asked, what is printed, how it ends."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from bascule.client.access import Asked
from bascule.client.https import HttpsFailure
from bascule.client.reading import UnexpectedAnswer
from bascule.domain.times import parse_instant
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import (
    CLOCK,
    MY_ADDRESS,
    FakeServer,
    Refusal,
    machine_path,
    policy_path,
    public_port,
    rule,
)

LOST = HttpsFailure("gone")
AWAY = Refusal(503, "ServiceUnavailable", "The database is away.")


@pytest.fixture
def web(server: FakeServer) -> str:
    path = server.add_machine("web-1", "203.0.113.5", "2001:db8::5")
    server.set_rules("web-1", rule(22))
    return path


def asked_ports(cli: Cli) -> list[dict[str, object]]:
    ports: list[dict[str, object]] = cli.sent("POST", "/initiate")[-1]["virtualMachines"][0][
        "ports"
    ]
    return ports


def test_request_waits_until_open_and_says_how_to_get_there(cli: Cli, web: str) -> None:
    result = cli("request", "web-1")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert re.fullmatch(
        rf"web-1 port 22/tcp is open from {MY_ADDRESS} until .* \+00:00 \((59m 5\ds|1h) left\)",
        lines[0],
    )
    assert lines[1] == "  ssh -o HostKeyAlias=web-1 203.0.113.5"
    assert result.err == ""
    assert asked_ports(cli) == [{"number": 22, "duration": "PT1H"}], "no source: the caller's own"


LED = [public_port("198.51.100.80", 2001), public_port("2001:db8::80", 2002)]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (22, "ssh -p 2001 -o HostKeyAlias=web-1 198.51.100.80"),
        (3389, "mstsc /v:198.51.100.80:2001"),
        (
            5985,
            "Enter-PSSession -ComputerName 198.51.100.80 -Port 2001 -Credential (Get-Credential)",
        ),
        (5432, 'psql "host=198.51.100.80 port=2001"'),
        (1433, "address 198.51.100.80, port 2001"),
    ],
)
def test_where_a_gateway_leads_the_line_names_its_address_and_port(
    cli: Cli, server: FakeServer, web: str, number: int, line: str
) -> None:
    server.public = LED
    server.set_rules("web-1", rule(number))
    result = cli("request", "web-1")
    assert result.out.splitlines()[1] == f"  {line}"
    told = cli("request", "web-1", "-o", "json").json["machines"][0]["ports"][0]
    assert (told["publicIpAddress"], told["mappedPort"]) == ("198.51.100.80", 2001)
    assert [each["mappedPort"] for each in told["publicPorts"]] == [2001, 2002]
    assert told["number"] == number


def test_a_public_port_for_udp_is_no_door_for_tcp(cli: Cli, server: FakeServer, web: str) -> None:
    server.public = [public_port("198.51.100.80", 2053, "UDP")]
    assert cli("request", "web-1").out.splitlines()[1].endswith(" 203.0.113.5")


@pytest.mark.parametrize(
    "led", [public_port("-oProxyCommand=id", 2001), public_port("198.51.100.80", 70000)]
)
def test_a_public_port_that_is_none_goes_into_no_command(
    cli: Cli, server: FakeServer, web: str, led: dict[str, object]
) -> None:
    server.public = [led]
    told = cli("request", "web-1").out
    assert "ssh -" not in told
    assert "is not an IPv4 or IPv6 address" in told or "70000 does not exist" in told


def test_json_is_one_stable_object(cli: Cli, web: str) -> None:
    answer = cli("request", "web-1", "-o", "json").json
    assert sorted(answer) == [
        "endTimeUtc",
        "justification",
        "machines",
        "policyId",
        "requestId",
        "requestor",
        "startTimeUtc",
        "state",
    ]
    machine = answer["machines"][0]
    assert machine["id"] == web
    assert machine["addresses"] == ["203.0.113.5", "2001:db8::5"]
    assert sorted(machine["ports"][0]) == [
        "endTimeUtc",
        "grantId",
        "number",
        "protocol",
        "sources",
        "state",
    ]
    assert machine["ports"][0]["state"] == "open"


def test_default_length_is_the_rules_maximum_when_that_is_under_an_hour(
    cli: Cli, server: FakeServer
) -> None:
    server.add_machine("web-1")
    server.set_rules("web-1", rule(22, longest="PT3H"), rule(5432, longest="PT30M"))
    assert cli("request", "web-1", "-p", "5432").code == 0
    assert asked_ports(cli) == [{"number": 5432, "duration": "PT30M"}]
    cli("request", "web-1", "-p", "22", "-p", "5432")
    assert {port["duration"] for port in asked_ports(cli)} == {"PT30M"}


def test_default_length_is_the_hosts_own_maximum_when_that_is_shorter(
    cli: Cli, server: FakeServer
) -> None:
    path = server.add_machine("web-1")
    guard = {"maxRequestAccessDuration": "PT20S", "mayRelease": True, "isUsable": True}
    server.machines[path]["properties"]["bascule"]["enforcementPoint"]["guard"] = guard
    server.set_rules("web-1", rule(22, longest="PT3H"))
    assert cli("request", "web-1").code == 0
    assert asked_ports(cli) == [{"number": 22, "duration": "PT20S"}]


def test_options_reach_the_server(cli: Cli, web: str) -> None:
    assert (
        cli(
            "request",
            "web-1",
            "--for",
            "1h30m",
            "--from",
            "198.51.100.0/24",
            "--why",
            "ticket 4711",
        ).code
        == 0
    )
    assert asked_ports(cli) == [
        {"number": 22, "duration": "PT1H30M", "allowedSourceAddressPrefix": "198.51.100.0/24"}
    ]
    assert cli.sent("POST", "/initiate")[0]["justification"] == "ticket 4711"


def test_until_is_an_instant(cli: Cli, web: str) -> None:
    end = (CLOCK.now() + timedelta(minutes=40)).replace(microsecond=0)
    assert cli("request", "web-1", "--until", end.isoformat()).code == 0
    assert parse_instant(str(asked_ports(cli)[0]["endTimeUtc"])) == end
    assert cli("request", "web-1", "--until", "17:30", "--for", "1h").code == 2
    assert cli("request", "web-1", "--until", "soon").code == 2


def test_several_ports_and_none_named_is_an_error_that_lists_them(
    cli: Cli, server: FakeServer
) -> None:
    server.add_machine("web-1")
    server.set_rules("web-1", rule(22), rule(53, "UDP"))
    result = cli("request", "web-1")
    assert result.code == 2
    assert "22/tcp" in result.err
    assert "53/udp" in result.err
    assert not cli.sent("POST", "/initiate")


def test_a_denial_has_every_reason_on_its_own_line(cli: Cli, server: FakeServer) -> None:
    server.add_machine("web-1")
    server.set_rules("web-1", rule(22, longest="PT1H", justificationRequired=True))
    result = cli("request", "web-1", "--for", "5h")
    assert result.code == 4
    assert "  - Port 22: at most PT1H." in result.err.splitlines()
    assert "  - The policy wants a reason." in result.err.splitlines()
    assert result.err.count("at most PT1H") == 1, "no reason is told twice"
    assert '--why "TEXT"' in result.err
    assert result.out == ""


def test_a_port_that_no_policy_offers_is_asked_all_the_same(cli: Cli, web: str) -> None:
    """So that the refusal is the server's, with all reasons and on record."""
    result = cli("request", "web-1", "-p", "3306")
    assert result.code == 4
    assert "Port 3306 cannot be requested" in result.err


def test_a_machine_in_no_policy(cli: Cli, server: FakeServer) -> None:
    server.add_machine("web-1")
    result = cli("request", "web-1", "-p", "22")
    assert result.code == 4
    assert "bascule policy set web-1" in result.err


def test_failing_enforcement_ends_with_seven_and_the_reason(
    cli: Cli, server: FakeServer, web: str
) -> None:
    server.agents["web-1"] = "fails"
    result = cli("request", "web-1")
    assert result.code == 7
    assert "did not open: The machine has no agent." in result.err
    assert result.out == ""
    answer = cli("request", "web-1", "-o", "json")
    assert answer.code == 7
    assert answer.json["machines"][0]["ports"][0]["failure"] == "The machine has no agent."


def test_silent_agent_is_not_called_open(
    cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.cli.waiting.OPEN_SECONDS", 0.5)
    server.agents["web-1"] = "silent"
    result = cli("request", "web-1")
    assert result.code == 7
    assert "is open" not in result.out


NOBODY = "Nobody had to approve this, so --up-to changed nothing; extend it as usual.\n"
NO_LONGER = "--up-to is no longer than the duration, so it changed nothing.\n"


@pytest.mark.parametrize(
    ("words", "approved", "said"),
    [
        (("--for", "30m"), "", ""),
        (("--for", "30m", "--up-to", "2h"), "", NOBODY),
        (("--for", "30m", "--up-to", "2h"), "2030-01-01T14:00:00Z", ""),
        (("--for", "30m", "--up-to", "30m"), "2030-01-01T12:30:00Z", NO_LONGER),
        (("--for", "30m", "--up-to", "30m"), "", NOBODY),
        (("--up-to", "30m"), "2030-01-01T12:30:00Z", NO_LONGER),  # the length is cut to it
        (("--for", "30m", "--up-to", "2h", "--no-wait"), "", NOBODY),
    ],
)
def test_where_up_to_changed_nothing_a_line_says_so(
    cli: Cli, server: FakeServer, web: str, words: tuple[str, ...], approved: str, said: str
) -> None:
    if approved:
        server.behind = {"approvedUntil": approved}
    result = cli("request", "web-1", *words)
    assert result.code == 0, result.err
    assert result.err.replace(no_wait_note(result.err), "") == said
    in_json = cli("request", "web-1", *words, "-o", "json")
    assert json.loads(in_json.out)["machines"]
    assert in_json.err == said


def no_wait_note(err: str) -> str:
    """The line that --no-wait says anyway."""
    return next((line for line in err.splitlines(True) if line.startswith("Requested (")), "")


def test_no_wait_prints_the_request(cli: Cli, server: FakeServer, web: str) -> None:
    result = cli("request", "web-1", "--no-wait")
    assert result.code == 0
    assert result.out == f"request {server.requests[0]['name']}\n"
    assert cli("request", "web-1", "--no-wait", "-o", "json").json["state"] == "opening"


class TestPolicies:
    """Two policies may name one machine (EDGES A16)."""

    @pytest.fixture(autouse=True)
    def two(self, server: FakeServer) -> None:
        server.add_machine("web-1")
        server.set_rules("web-1", rule(22, longest="PT1H"), rule(80), policy="short")
        server.set_rules("web-1", rule(22, longest="PT5H"), policy="long")

    def test_the_longest_maximum_is_asked(self, cli: Cli) -> None:
        assert cli("request", "web-1", "-p", "22", "--for", "4h").code == 0
        assert cli.server.calls[-2][1] == f"{policy_path('long')}/initiate"

    def test_the_one_that_offers_all_ports_is_asked(self, cli: Cli) -> None:
        assert cli("request", "web-1", "-p", "22", "-p", "80").code == 0
        assert f"{policy_path('short')}/initiate" in [path for _, path, _ in cli.server.calls]

    def test_a_name_decides(self, cli: Cli) -> None:
        assert cli("request", "web-1", "-p", "22", "--for", "4h", "--policy", "SHORT").code == 4
        result = cli("request", "web-1", "-p", "22", "--policy", "none")
        assert result.code == 3
        assert "short, long" in result.err


class TestMachineNames:
    @pytest.mark.parametrize("filters", [True, False])
    def test_a_bare_name_is_found_in_any_group_whatever_its_case(
        self, cli: Cli, server: FakeServer, filters: bool
    ) -> None:
        server.page_size = 2
        server.filters_names = filters  # a server may pass the filter over
        for name in ("a", "b", "c", "d"):
            server.add_machine(name)
        path = server.add_machine("Web-1", group="others")
        assert cli("machine", "show", "web-1", "-o", "json").json["id"] == path

    def test_ambiguity_lists_the_candidates(self, cli: Cli, server: FakeServer) -> None:
        one, two = server.add_machine("web-1"), server.add_machine("web-1", group="others")
        result = cli("request", "web-1")
        assert result.code == 2
        assert one in result.err
        assert two in result.err
        assert cli("machine", "show", two, "-o", "json").json["id"] == two

    def test_unknown_machine(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("db-1")
        result = cli("request", "web-1")
        assert result.code == 3
        assert "You may see: db-1" in result.err
        assert "need a role for it" in result.err, "it may be there and hidden"

    @pytest.mark.parametrize("name", ["../x", "a b", "%h", "-x;id", "a" * 65, "w\x1b[2Jx", ""])
    def test_what_is_no_name_is_refused_before_anything_is_sent(self, cli: Cli, name: str) -> None:
        result = cli("request", "--", name)
        assert result.code == 2
        assert "\x1b" not in result.err
        assert not cli.server.calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["--for", "1x"], ["--for", "0s"], ["--for", "-5m"], ["--for", "60"], ["-p", "0"], ["-p", "65536"],
        ["-p", "22/tcp"], ["-p", "٢٢"], ["--from", "10.0.0.1/8"], ["--from", "fe80::1%eth0"], ["--from", "nobody"],
        ["-o", "yaml"], ["--unknown"],
    ],
)  # fmt: skip
def test_bad_options_are_usage_errors(cli: Cli, web: str, arguments: list[str]) -> None:
    result = cli("request", "web-1", *arguments)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert not cli.sent("POST", "/initiate")


class TestRevoke:
    def test_bare_ends_my_only_one_and_says_what_lives_on(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1")
        server.add_request("web-1", requestor="somebody else")
        server.sessions = 2
        result = cli("revoke")
        assert result.code == 0, result.err
        assert result.out == (
            "web-1 port 22/tcp from 198.51.100.7 is closed; 2 of its connections continue "
            f"(to end: bascule revoke {made['name']} --kill)\n"
        )
        assert cli.sent("POST", "/revoke") == [{"kill": False}]

    def test_kill_is_passed_on(self, cli: Cli, server: FakeServer, web: str) -> None:
        made = server.add_request("web-1")
        result = cli("revoke", made["name"], "--kill")
        assert (
            result.out
            == "web-1 port 22/tcp from 198.51.100.7 is closed; none of its connections continues\n"
        )
        assert cli.sent("POST", "/revoke") == [{"kill": True}]

    @pytest.mark.parametrize(
        ("lacks", "counted", "words"),
        [
            (["countsSessions"], None, "whether its connections continue is not known"),
            (
                ["countsSessions", "endsSessions"],
                None,
                "whether its connections continue is not known, nor can any be ended there",
            ),
            (
                ["endsSessions"],
                1,
                "1 of its connections continues, and connections cannot be ended there",
            ),
            (["endsSessions"], 0, "none of its connections continues"),
        ],
    )
    def test_what_a_point_cannot_do_with_connections_is_said(
        self,
        cli: Cli,
        server: FakeServer,
        web: str,
        lacks: list[str],
        counted: int | None,
        words: str,
    ) -> None:
        made = server.add_request("web-1")
        server.sessions, server.lacks = counted, lacks
        assert (
            cli("revoke", made["name"], "--kill").out
            == f"web-1 port 22/tcp from 198.51.100.7 is closed; {words}\n"
        )

    def test_what_another_request_keeps_open_of_the_same_port_is_said(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1")
        other = server.add_request("web-1", requestor="somebody else")
        server.add_request("web-1", 80)
        result = cli("revoke", made["name"])
        assert result.code == 0, result.err
        assert result.out.startswith("web-1 port 22/tcp from 198.51.100.7 is closed")
        assert result.err == (
            "web-1 port 22/tcp is still open from 198.51.100.7 for somebody else "
            f"(request {other['name'][:8]})\n"
        )
        assert cli("revoke", other["name"], "-o", "json").err == ""

    def test_bare_with_several_lists_them(self, cli: Cli, server: FakeServer, web: str) -> None:
        one, two = server.add_request("web-1"), server.add_request("web-1", 80)
        result = cli("revoke")
        assert result.code == 2
        assert one["name"][:8] in result.err
        assert f"{two['name'][:8]}  web-1 80/tcp" in result.err
        assert not cli.sent("POST", "/revoke")

    def test_bare_with_none(self, cli: Cli, web: str) -> None:
        assert cli("revoke").code == 3

    def test_the_beginning_of_an_id_is_enough_while_it_is_live(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.add_request("web-1", request_id="abcd0000-0000-4000-8000-000000000000")
        server.add_request("web-1", request_id="abce0000-0000-4000-8000-000000000000")
        assert cli("revoke", "abc").code == 2
        assert cli("revoke", "abcd").code == 0
        unknown = cli("revoke", "ffff")
        assert unknown.code == 3
        assert "To name a machine instead: --machine NAME." in unknown.err

    def test_all_and_machine(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.add_machine("db-1")
        for name in ("web-1", "web-1", "db-1"):
            server.add_request(name)
        server.add_request("web-1", requestor="somebody else")
        assert cli("revoke", "--machine", "web-1").out.count("is closed") == 2
        assert cli("revoke", "--all").out.count("is closed") == 1
        assert cli("revoke", "--machine", "web-1").code == 3
        assert cli("revoke", "--machine", "web-1", "--everyone").out.count("is closed") == 1
        assert cli("revoke", "x", "--all").code == 2
        assert cli("revoke", "--everyone").code == 2

    def test_machine_ends_only_that_machines_part(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.add_machine("db-1")
        made = server.add_request("web-1")
        other = server.add_request("db-1")
        made["properties"]["virtualMachines"] += other["properties"]["virtualMachines"]
        server.requests.remove(other)
        grants = [p["bascule"]["grantId"] for p in server._ports(made)]
        assert (
            cli("revoke", "--machine", "db-1").out
            == "db-1 port 22/tcp from 198.51.100.7 is closed; none of its connections continues\n"
        )
        assert cli.sent("POST", "/revoke") == [{"kill": False, "grantIds": grants[1:]}]

    def test_what_is_not_read_back_shut_is_not_called_closed(
        self, cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bascule.cli.waiting.CLOSE_SECONDS", 0.5)
        server.agents["web-1"] = "silent"
        server.add_request("web-1")
        result = cli("revoke")
        assert result.code == 7
        assert "is closed" not in result.out
        assert "not yet confirmed closed" in result.err

    def test_all_that_are_waited_for_share_one_wait(
        self, cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = 0.0

        def look(method: str, path: str) -> None:
            nonlocal seconds
            seconds += 2 if method == "GET" and "/accessRequests/" in path else 0

        server.on_call = look
        monkeypatch.setattr("bascule.cli.waiting.time.monotonic", lambda: seconds)
        server.agents["web-1"] = "silent"
        for _ in range(5):
            server.add_request("web-1")
        result = cli("revoke", "--all")
        assert result.code == 7
        assert seconds == 10 + 4 * 2, "the first's eight seconds and a look, then a look at each"

    @pytest.mark.parametrize(("failure", "code"), [(LOST, 6), (AWAY, 6), (KeyboardInterrupt, 130)])
    def test_what_is_revoked_is_said_before_it_leaves(
        self,
        cli: Cli,
        server: FakeServer,
        web: str,
        failure: BaseException | type[BaseException],
        code: int,
    ) -> None:
        """Three are revoked, one is read back shut, and then the wait ends."""
        made = [server.add_request("web-1")["name"] for _ in range(3)][::-1]  # newest first
        looks = 0

        def go_away(method: str, path: str) -> None:
            nonlocal looks
            if method == "GET" and "/accessRequests/" in path:
                looks += 1
                if looks > 1:
                    raise failure

        server.on_call = go_away
        result = cli("revoke", "--all")
        assert result.code == code
        assert result.out.count("is closed") == 1
        assert result.out.count("is closing") == 2
        assert made[0][:8] not in result.err
        for each in made[1:]:
            assert (
                f"Revoked, but not confirmed closed: web-1 port 22/tcp (request {each[:8]})"
                in result.err
            )

    def test_json_has_what_is_revoked_when_it_leaves(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1")

        def go_away(method: str, path: str) -> None:
            if method == "GET" and path.endswith(made["name"]):
                raise LOST

        server.on_call = go_away
        result = cli("revoke", "-o", "json")
        assert result.code == 6
        assert result.json[0]["machines"][0]["ports"][0]["state"] == "closing"

    @pytest.mark.parametrize(("failure", "code"), [(LOST, 6), (KeyboardInterrupt, 130)])
    def test_what_may_not_be_revoked_is_said_before_it_leaves(
        self,
        cli: Cli,
        server: FakeServer,
        web: str,
        failure: BaseException | type[BaseException],
        code: int,
    ) -> None:
        """The first is revoked; from the second on the server is away, or somebody presses Ctrl-C."""
        made = [server.add_request("web-1")["name"] for _ in range(3)][::-1]
        is_revoked = False

        def go_away(_: str, path: str) -> None:
            nonlocal is_revoked
            if is_revoked:
                raise failure
            is_revoked = path.endswith("/revoke")

        server.on_call = go_away
        result = cli("revoke", "--all")
        assert result.code == code
        assert result.out == "web-1 port 22/tcp from 198.51.100.7 is closing\n"
        assert f"not confirmed closed: web-1 port 22/tcp (request {made[0][:8]})" in result.err
        for each in made[1:]:
            assert (
                f"It is unknown whether this was revoked: web-1 22/tcp (request {each[:8]})"
                in result.err
            )

    def test_all_lost_on_the_way_are_not_called_unrevoked(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        """The answer may have been lost, not the question."""
        for _ in range(2):
            server.add_request("web-1")

        def go_away(_: str, path: str) -> None:
            if path.endswith("/revoke"):
                raise LOST

        server.on_call = go_away
        result = cli("revoke", "--all")
        assert (result.code, result.out) == (6, "")
        assert "2 requests are not known to be revoked, and may stay open" in result.err

    def test_a_named_one_that_the_server_refuses_is_said_once(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1")

        def refuse(_: str, path: str) -> None:
            if path.endswith("/revoke"):
                raise Refusal(403, "AuthorizationFailed", "Not yours.")

        server.on_call = refuse
        result = cli("revoke", made["name"], "-o", "json")
        assert (result.code, result.out) == (4, "")
        assert result.err.splitlines() == ["bascule: Not yours."]

    def test_one_that_is_closing_already_is_not_counted(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1")
        closing = server.add_request("web-1", 80, state="closing")
        closing["properties"]["virtualMachines"][0]["ports"][0]["bascule"]["state"] = "closing"
        server.shows_closing = True
        assert cli("revoke").code == 0
        revoked = [path for _, path, _ in cli.server.calls if path.endswith("/revoke")]
        assert [path.endswith(f"{made['name']}/revoke") for path in revoked] == [True]

    def test_one_that_cannot_be_ended_keeps_no_other_open(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        """Five are to be shut at once: one is not ours to end, one ends just before its turn."""
        made = [server.add_request("web-1", requestor=f"p{number}")["name"] for number in range(5)]

        def refuse(method: str, path: str) -> None:
            if path.endswith(f"{made[3]}/revoke"):
                server._find(made[3])["properties"]["virtualMachines"][0]["ports"][0]["bascule"][
                    "state"
                ] = "closed"
                raise Refusal(409, "GrantNotLive", "This request has no live access.")
            if path.endswith(f"{made[2]}/revoke"):
                raise Refusal(403, "AuthorizationFailed", "Not yours.", advice="Ask an owner.")

        server.on_call = refuse
        result = cli("revoke", "--machine", "web-1", "--everyone")
        assert result.code == 4
        assert result.out.count("is closed") == 4
        assert f"web-1 22/tcp (request {made[2][:8]}): Not yours." in result.err
        assert "Ask an owner." in result.err
        assert made[3][:8] not in result.err

    def test_json_has_what_stays_open_too(self, cli: Cli, server: FakeServer, web: str) -> None:
        made = [server.add_request("web-1")["name"] for _ in range(2)]

        def refuse(method: str, path: str) -> None:
            if path.endswith(f"{made[0]}/revoke"):
                raise Refusal(403, "AuthorizationFailed", "Not yours.")

        server.on_call = refuse
        result = cli("revoke", "--all", "-o", "json")
        assert result.code == 4
        states = {
            each["requestId"]: each["machines"][0]["ports"][0]["state"] for each in result.json
        }
        assert states == {made[0]: "open", made[1]: "closed"}

    def test_one_that_was_named_and_is_over_is_said(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        made = server.add_request("web-1", state="closed")

        def refuse(method: str, path: str) -> None:
            if path.endswith("/revoke"):
                raise Refusal(409, "GrantNotLive", "This request has no live access.")

        server.on_call = refuse
        result = cli("revoke", made["name"])
        assert result.code != 0
        assert "has no live access" in result.err

    def test_json(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.add_request("web-1")
        server.sessions = 3
        answer = cli("revoke", "-o", "json").json
        assert answer[0]["machines"][0]["ports"][0]["sessionsAlive"] == 3


class TestExtend:
    def test_by_default_an_hour_or_the_rules_maximum(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.add_request("web-1", left=timedelta(minutes=5))
        result = cli("extend")
        assert result.code == 0, result.err
        assert "web-1 port 22/tcp is open until" in result.out
        assert cli.sent("POST", "/extend") == [{"duration": "PT1H"}]
        server.set_rules("web-1", rule(22, longest="PT20M"))
        cli("extend", "--machine", "web-1")
        assert cli.sent("POST", "/extend")[-1] == {"duration": "PT20M"}

    def test_said_length_and_end(self, cli: Cli, server: FakeServer, web: str) -> None:
        made = server.add_request("web-1")
        assert cli("extend", made["name"][:6], "--for", "2h").code == 0
        assert cli("extend", "--until", "2030-01-31T17:30:00Z").code == 0
        assert cli.sent("POST", "/extend") == [
            {"duration": "PT2H"},
            {"endTimeUtc": "2030-01-31T17:30:00.0000000Z"},
        ]


class TestControlCharacters:
    """What a server holds may have been written by anybody (EDGES A18)."""

    EVIL = "\x1b]0;owned\x07\x1b[2Jroot\u202e\x9b31m\nFAKE LINE"

    def test_none_reaches_a_terminal(self, cli: Cli, server: FakeServer, web: str) -> None:
        made = server.add_request("web-1", requestor="me", justification=self.EVIL)
        made["properties"]["requestor"] = self.EVIL
        for port in server._ports(made):
            port["bascule"]["failure"] = self.EVIL
        for arguments in (
            ["status"],
            ["status", "-o", "json"],
            ["revoke", made["name"], "-o", "json"],
        ):
            result = cli(*arguments)
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.out + result.err)
            assert "FAKE LINE" not in result.out.splitlines()

    def test_json_loses_nothing(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.add_request("web-1", justification=self.EVIL)
        assert cli("status", "-o", "json").json["open"][0]["justification"] == self.EVIL

    def test_errors_are_cleaned_too(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.agents["web-1"] = "fails"

        def tell_lies(*_: str) -> None:
            for made in server.requests:
                for port in server._ports(made):
                    port["bascule"]["failure"] = self.EVIL

        server.on_call = tell_lies
        result = cli("request", "web-1")
        assert result.code == 7
        assert "\x1b" not in result.err

    def test_an_address_that_is_none_goes_into_no_command(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.machines[web]["properties"]["bascule"]["addresses"] = ["-oProxyCommand=id"]
        result = cli("request", "web-1")
        assert "ssh -o" not in result.out
        assert "not an IPv4 or IPv6 address" in result.out
        assert cli("ssh", "web-1").code == 2
        assert not cli.became


def test_interruption_is_quiet_and_ends_with_130(cli: Cli, server: FakeServer, web: str) -> None:
    def interrupt(_: str, path: str) -> None:
        if path.endswith("/initiate"):
            raise KeyboardInterrupt

    server.on_call = interrupt
    result = cli("request", "web-1")
    assert result.code == 130
    assert "Traceback" not in result.err
    assert "withdraw" not in result.err, "its id is not known"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["request", "web-1"], "requested"),
        (["ssh", "web-1"], "requested"),
        (["extend"], "extended"),
        (["revoke", "--all"], "revoked"),
    ],
)
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (LOST, 6),
        (Refusal(504, "GatewayTimeout", "A proxy's."), 6),
        (KeyboardInterrupt(), 130),
        (UnexpectedAnswer("The answer was cut short."), 1),
        (Refusal(409, "Conflict", "No."), None),
    ],
)
def test_whose_answer_is_lost_is_told_that_it_may_have_been_done(
    cli: Cli,
    server: FakeServer,
    web: str,
    words: list[str],
    what: str,
    failure: BaseException,
    code: int | None,
) -> None:
    if words[0] not in ("request", "ssh"):
        server.add_request("web-1")

    def lose(method: str, path: str) -> None:
        if method == "POST" and path.endswith(("/initiate", "/extend", "/revoke")):
            raise failure

    server.on_call = lose
    result = cli(*words)
    told = f"unknown whether this was {what}", f"is not known to be {what}"
    assert any(each in result.err for each in told) == (code is not None), result.err
    assert code is None or result.code == code


def test_interrupted_while_waiting_it_says_what_goes_on(
    cli: Cli, server: FakeServer, web: str
) -> None:
    def interrupt(_: str, path: str) -> None:
        if "/accessRequests/" in path:
            raise KeyboardInterrupt

    server.on_call = interrupt
    result = cli("request", "web-1")
    assert result.code == 130
    assert f"bascule revoke {server.requests[0]['name'][:8]}" in result.err


@pytest.mark.parametrize("words", [["request"], ["request", "--no-wait"], ["ssh"]])
@pytest.mark.parametrize(
    ("failure", "code"), [(LOST, 6), (AWAY, 6), (Refusal(500, "InternalError", "Oh."), 1)]
)
def test_a_server_lost_while_waiting_leaves_word_of_what_goes_on(
    cli: Cli, server: FakeServer, web: str, words: list[str], failure: Exception, code: int
) -> None:
    """It was answered 202: it opens when the server is back, whatever becomes of the wait."""

    def go_away(_: str, path: str) -> None:
        if "/accessRequests/" in path:
            raise failure

    server.on_call = go_away
    result = cli(*words, "web-1")
    assert result.code == code
    assert result.out == ""
    assert f"bascule revoke {server.requests[0]['name'][:8]}" in result.err


@pytest.mark.parametrize("words", [["--no-wait"], ["--at", "2030-01-31T23:00:00Z"]])
@pytest.mark.parametrize("failure", [LOST, KeyboardInterrupt()])
def test_a_server_lost_before_it_is_shown_what_waits_leaves_word_of_it(
    cli: Cli,
    server: FakeServer,
    web: str,
    words: list[str],
    failure: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for approval or its start, and opens then."""
    monkeypatch.setattr(
        "bascule.cli.request.ask", lambda *_, **__: Asked("3f2a91c0-made", is_pending=True)
    )

    def go_away(_: str, path: str) -> None:
        if "/accessRequests/" in path:
            raise failure

    server.on_call = go_away
    result = cli("request", "web-1", "--from", MY_ADDRESS, *words)
    assert result.code in (6, 130)
    assert "bascule revoke 3f2a91c0" in result.err


def test_no_traceback_for_what_nobody_foresaw(
    cli: Cli, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such thought")

    monkeypatch.setattr("bascule.cli.request.choose", broken)
    result = cli("request", "web-1")
    assert result.code == 1
    assert "no such thought" in result.err
    assert "Traceback" not in result.err


def test_machine_path_is_what_is_asked(cli: Cli, web: str) -> None:
    cli("request", "web-1")
    assert cli.sent("POST", "/initiate")[0]["virtualMachines"][0]["id"] == machine_path("web-1")
    assert json.dumps(cli.server.calls)


def test_status_and_extend_name_the_public_port_and_the_line_that_gets_in(
    cli: Cli, server: FakeServer, web: str
) -> None:
    cli("request", "web-1", "--for", "10m")
    assert "TO CONNECT" not in cli("status").out, "no gateway leads there"
    server.requests.clear()
    server.public = LED
    cli("request", "web-1", "--for", "10m")
    line = "ssh -p 2001 -o HostKeyAlias=web-1 198.51.100.80"
    shown = cli("status").out
    assert "TO CONNECT" in shown
    assert "198.51.100.80 port 2001" in shown
    assert line in shown
    assert f"  {line}" in cli("extend").out.splitlines()
