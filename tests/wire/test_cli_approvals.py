"""Approval on the command line against the whole HTTP face: ask, wait, approve, deny, withdraw, rules."""

from __future__ import annotations

# ruff: noqa: F811  # reason: the fixture of that name
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

import pytest

from bascule.cli import until_decided
from bascule.client import access, approval
from bascule.client.access import AccessRequest, get_request
from bascule.domain.access import PrincipalKind
from bascule.errors import ApprovalDenied, ApprovalLapsed, ServerUnreachable
from tests.wire.browsing import add_user
from tests.wire.house import BASCULE
from tests.wire.test_cli_principals import Cli, HouseHttps, cli  # noqa: F401  # reason: a fixture

pytestmark = pytest.mark.usefixtures("cli")

ACCEPT = "approve", "--yes"
APPROVAL_ROLE = "Bascule Access Approver"


@pytest.fixture
def people(cli: Cli) -> dict[str, str]:
    """Ids of Anna and Ben; a machine with a policy; a rule by which Anna approves."""
    cli.house.add_machine("web-1")
    found = {name: add_user(cli.house, f"{name}@example.com").id for name in ("anna", "ben")}
    cli.done("policy", "set", "web-1", "-p", "22")
    cli.done(
        *("policy", "rule", "set", "two-eyes", "--effect", "approve"),
        *("--approver", "user:anna@example.com"),
    )
    return found


@contextmanager
def signed_in(cli: Cli, user: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line is that person's."""
    token = cli.house.token(user, PrincipalKind.USER, f"{user}/0")
    whole = HouseHttps.request

    def request(self: HouseHttps, *args: Any, headers: Any = None, **more: Any) -> Any:
        return whole(
            self, *args, headers={**(headers or {}), "Authorization": f"Bearer {token}"}, **more
        )

    with monkeypatch.context() as patch:
        patch.setattr(HouseHttps, "request", request)
        yield


def ask(cli: Cli) -> Any:
    return cli.json("request", "web-1", "--for", "30m", "--why", "ticket 4711", "--no-wait")


def test_a_request_waits_and_says_for_whom(cli: Cli, people: dict[str, str]) -> None:
    asked = cli.done("request", "web-1", "--for", "30m", "--no-wait")
    assert "waits for approval" in asked.err
    assert "Anna" in asked.err
    assert "bascule withdraw" in asked.err
    again = cli.done("request", "web-1", "--for", "30m", "--no-wait")
    assert again.out == asked.out, "asking again finds it"
    shown = cli.done("status").out
    assert "WAITING SINCE" in shown
    assert "0 of 1 approved" in shown
    state = cli.json("status")
    assert state["open"] == []
    assert len(state["waiting"]) == 1
    assert "0 of 1 approved" in cli.done("approvals", "--mine").out
    assert "No request waits for your answer" in cli.done("approvals").err


def test_anna_approves_and_may_shorten(
    cli: Cli,
    people: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ask(cli)
    short = asked["requestId"][:8]
    assert cli(*ACCEPT, short).code == 4, "the administrator is a program, and not asked"
    with signed_in(cli, people["anna"], monkeypatch):
        listed = cli.done("approvals").out
        assert short in listed
        assert "ticket 4711" in listed
        facts = cli.done("approvals", short).out
        for word in ("web-1 port 22", "30m", "ticket 4711", "rule two-eyes", "bascule approve"):
            assert word in facts, facts
        assert cli("approve", short).code == 2, "nobody is there to confirm"
        assert cli(*ACCEPT, short, "--for", "2h").code == 2, "longer than asked for"
        assert cli(*ACCEPT, short, "--digest", "0" * 64).code == 1
        done = cli.done(*ACCEPT, short, "--for", "10m", "--note", "be quick")
        assert "You approved web-1 22" in done.out
        assert "is opening" in done.out
        assert "No request waits" in cli.done("approvals").err
        assert short in cli.done("approvals", "--decided").out
    (found,) = cli.json("status")["open"]
    assert found["requestId"] == asked["requestId"]


def test_a_no_ends_it(cli: Cli, people: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask(cli)
    with signed_in(cli, people["ben"], monkeypatch):
        assert cli("deny", asked["requestId"], "--why", "no", "--yes").code in (3, 4), "not asked"
    with signed_in(cli, people["anna"], monkeypatch):
        assert (
            "You denied" in cli.done("deny", asked["requestId"], "--why", "tomorrow", "--yes").out
        )
        assert cli(*ACCEPT, asked["requestId"]).code == 1
    shown = cli.json("approvals", asked["requestId"])
    assert shown["state"] == "denied"
    assert shown["approval"]["denial"]["reason"] == "tomorrow"


def test_withdrawn_by_its_requestor(cli: Cli, people: dict[str, str]) -> None:
    asked = ask(cli)
    assert "Withdrawn: web-1 22" in cli.done("withdraw").out
    assert cli("withdraw").code == 3
    assert cli("withdraw", asked["requestId"]).code == 1
    asked = ask(cli)
    assert "withdrawn" in cli.done("revoke", asked["requestId"][:8]).out
    ask(cli)
    assert "withdrawn" in cli.done("revoke", "--machine", "web-1").out
    assert cli("extend").code == 3


@pytest.mark.parametrize(
    ("words", "module", "call"),
    [
        (("approve", "--yes"), approval, "approve"),
        (("deny", "--yes", "--why", "tomorrow"), approval, "deny"),
        (("withdraw",), access, "revoke"),
    ],
)
def test_whose_answer_is_lost_is_told_that_it_may_have_been_done(
    cli: Cli,
    people: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    module: ModuleType,
    call: str,
) -> None:
    request_id = ask(cli)["requestId"]
    whole = getattr(module, call)

    def lose(*given: Any, **more: Any) -> None:
        whole(*given, **more)
        raise ServerUnreachable("The connection broke.")

    monkeypatch.setattr(module, call, lose)
    who = signed_in(cli, people["anna"], monkeypatch) if module is approval else nullcontext()
    with who:
        lost = cli(*words, request_id[:8])
    assert lost.code == 6
    assert "It is unknown whether this was" in lost.err
    assert f"To see it: bascule approvals {request_id}\n" in lost.err, (
        "the whole id: it may be over"
    )
    assert cli.json("approvals", request_id)["state"] in ("opening", "denied", "withdrawn")


Act = Callable[[str], None]


@pytest.fixture
def meanwhile(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    """Does something to the request while the command waits for it."""

    def arrange(act: Act) -> None:
        whole = get_request
        looks = []

        def get(connection: Any, request_id: str, wait: int = 0) -> AccessRequest:
            looks.append(wait)
            if len(looks) == 2:
                act(request_id)
            return whole(connection, request_id, 0)

        monkeypatch.setattr(until_decided, "get_request", get)
        monkeypatch.setattr(until_decided, "_LEAST_SECONDS", 0.0)

    return arrange


def test_whoever_waits_hears_of_a_no(
    cli: Cli,
    people: dict[str, str],
    meanwhile: Callable[[Act], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deny(request_id: str) -> None:
        digest = cli.house.call("GET", path_of(cli, request_id)).json()["properties"]["approval"][
            "digest"
        ]
        answer(cli, people["anna"], request_id, "deny", {"digest": digest, "reason": "not now"})

    meanwhile(deny)
    ended = cli("request", "web-1", "--for", "30m")
    assert ended.code == ApprovalDenied.exit_code
    assert "anna@example.com denied web-1 22: not now" in ended.err


def test_whoever_waits_hears_that_it_was_withdrawn(
    cli: Cli,
    people: dict[str, str],
    meanwhile: Callable[[Act], None],
) -> None:
    def withdraw(request_id: str) -> None:
        assert cli.house.call("POST", f"{path_of(cli, request_id)}/revoke", {}).status_code == 200

    meanwhile(withdraw)
    ended = cli("request", "web-1", "--for", "30m")
    assert ended.code == ApprovalLapsed.exit_code
    assert "was withdrawn" in ended.err


def test_ctrl_c_ends_only_the_waiting(
    cli: Cli,
    people: dict[str, str],
    meanwhile: Callable[[Act], None],
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    meanwhile(interrupt)
    ended = cli("request", "web-1", "--for", "30m")
    assert ended.code == 130
    assert "goes on waiting" in ended.err
    assert len(cli.json("approvals", "--mine")) == 1


def path_of(cli: Cli, request_id: str) -> str:
    return f"{cli.house.subscription}/providers/Bascule.Access/accessRequests/{request_id}"


def answer(cli: Cli, user: str, request_id: str, act: str, body: Any) -> None:
    client = cli.house.client_of(cli.house.token(user, PrincipalKind.USER, f"{user}/0"))
    said = client.post(
        f"{path_of(cli, request_id)}/{act}", params={"api-version": BASCULE}, json=body
    )
    assert said.status_code == 200, said.text


def test_rules_are_set_listed_and_removed(cli: Cli, people: dict[str, str]) -> None:
    rule = "policy", "rule"
    made = cli.done(
        *rule,
        "set",
        "never-at-night",
        "--effect",
        "deny",
        "--user",
        "ben@example.com",
        "--days",
        "fri-mon",
        "--hours",
        "18:00-08:00",
        "--time-zone",
        "Europe/Paris",
    )
    assert "friday" in made.out or "Friday" in made.out
    listed = cli.json(*rule, "list")
    assert [each["name"] for each in listed] == ["two-eyes", "never-at-night"]
    assert set(listed[1]["conditions"]["times"]["days"]) == {
        "friday",
        "saturday",
        "sunday",
        "monday",
    }
    assert "18:00-08:00 (Europe/Paris)" in cli.done(*rule, "list").out
    assert "user anna@example.com" in cli.done(*rule, "list").out, "by name"
    assert cli(*rule, "show", "nothing").code == 3
    assert cli(*rule, "set", "x", "--effect", "deny", "--hours", "8-9").code == 2
    assert (
        cli(*rule, "set", "x", "--effect", "deny", "--days", "someday", "--time-zone", "UTC").code
        == 2
    )
    assert cli(*rule, "set", "x", "--effect", "approve").code == 2, "whose approval?"
    assert cli(*rule, "set", "x", "--effect", "approve", "--approver", "anna").code == 2
    assert (
        cli(
            *rule, "set", "x", "--effect", "deny", "--hours", "08:00-09:00", "--time-zone", "Mars/X"
        ).code
        == 2
    )
    assert "is removed" in cli.done(*rule, "remove", "never-at-night", "--yes").out
    assert "has no rule" in cli.done(*rule, "remove", "never-at-night", "--yes").out


def test_whom_an_escalation_asks_is_shown_too(cli: Cli, people: dict[str, str]) -> None:
    """They may approve: a rule whose words leave them out says less than it lets happen."""
    escalate = "--escalate-after", "15m", "--escalate-to", "user:ben@example.com"
    approver = "--effect", "approve", "--approver", "user:anna@example.com"
    cli.done("policy", "rule", "set", "two-eyes", *approver, *escalate)
    words = "1 of user anna@example.com (after 15m also user ben@example.com)"
    assert words in cli.done("policy", "rule", "show", "two-eyes").out
    assert words in cli.done("policy", "rule", "list").out
    cli.done("role", "assign", "Contributor", "ben@example.com")
    tried = cli("policy", "test", "web-1", "--as", "ben@example.com")
    assert "also user" in tried.out


def test_what_somebody_would_get(cli: Cli, people: dict[str, str]) -> None:
    wanted = "policy", "test", "web-1", "--as", "ben@example.com"
    assert cli(*wanted).code == 4, "ben has no right there at all"
    cli.done("role", "assign", "Contributor", "ben@example.com")
    told = cli(*wanted)
    assert told.code == 8
    assert "would wait for approval" in told.out
    assert "rule two-eyes" in told.out
    cli.done("policy", "rule", "set", "no", "--effect", "deny")
    assert cli(*wanted).code == 4
    assert json_outcome(cli, *wanted) == "denied"


def json_outcome(cli: Cli, *args: str) -> str:
    return str(json.loads(cli(*args, "-o", "json").out)["outcome"])


def test_a_port_asks_for_approval_by_itself(cli: Cli, people: dict[str, str]) -> None:
    cli.done("policy", "rule", "remove", "two-eyes", "--yes")
    set_it = "policy", "set", "web-1", "-p", "22"
    shown = cli.done(*set_it, "--approver", "user:anna@example.com", "--approver", "role")
    assert "whoever may approve there" in shown.out
    assert ask(cli)["state"] == "waiting"
    cli.done(*set_it, "--max", "2h")
    (rule,) = cli.json("policy", "show", "web-1")[0]["policies"][0]["ports"]
    assert rule["approval"]["stages"][0]["approvers"]["role"] is True, "kept"
    assert cli(*set_it, "--approvals", "2").code == 2
    assert cli(*set_it, "--approver", "nobody@example.com").code == 2
    cli.done(*set_it, "--no-approval")
    assert ask(cli)["state"] == "opening"
