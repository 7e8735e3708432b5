"""``bascule user|group|sp|whoami`` against the whole HTTP face (EDGES B11)."""

from __future__ import annotations

import io
import json
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bascule.cli.main import build, invoke
from bascule.client.https import Response
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import CONTRIBUTOR
from bascule.domain.principals import Membership
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import Scope
from bascule.identity.secrets import new_secret, sha256_hex
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.installation import set_administrator
from tests.contracts.store.providers import CORP
from tests.wire.browsing import Browser, add_user
from tests.wire.house import BASE, CALLER, JIT, House, port_rule

SECRET = new_secret()


@dataclass
class HouseHttps:
    """Https that calls the application in memory."""

    house: House
    local_address: str = ""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        headers: Any = None,
        body: Any = None,
        form: Any = None,
        **_: Any,
    ) -> Response:
        client = self.house.client_of(None)
        answer = client.request(method, path, params=params, headers=headers, json=body, data=form)
        return Response(answer.status_code, dict(answer.headers), answer.content)

    def close(self) -> None:
        pass


@dataclass
class Result:
    code: int
    out: str
    err: str


class Cli:
    def __init__(
        self, house: House, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.house, self._capsys, self._patch = house, capsys, patch

    def __call__(self, *args: str, stdin: str = "") -> Result:
        self._capsys.readouterr()
        self._patch.setattr(sys, "stdin", io.StringIO(stdin))
        code = invoke(build({}), None, args)
        return Result(code, *self._capsys.readouterr())

    def done(self, *args: str, stdin: str = "") -> Result:
        result = self(*args, stdin=stdin)
        assert result.code == 0, result
        return result

    def json(self, *args: str) -> Any:
        return json.loads(self.done(*args, "-o", "json").out)


@pytest.fixture
def cli(
    house: House,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cli]:
    house.do(lambda tx, act: set_administrator(tx, act, house.administrator, sha256_hex(SECRET)))
    token = house.token(house.administrator, PrincipalKind.SERVICE, sha256_hex(SECRET))
    house.client = house.client_of(token)
    for module in ("connection", "discovery"):
        monkeypatch.setattr(f"bascule.client.{module}.Https", lambda *_: HouseHttps(house))
    monkeypatch.setattr(
        "bascule.client.connection.trust_file", lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    monkeypatch.setattr("bascule.clocks.SystemClock.now", lambda _: house.clock.now())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("BASCULE_CONFIG", "BASCULE_CLIENT_SECRET", "BASCULE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    desk = Cli(house, capsys, monkeypatch)
    with capture_logs():  # the server's own, which has no stdout in common with the tool
        signed_in = desk.done(
            *("login", "--endpoint", BASE, "--ca-file", "ca.pem", "--service-principal"),
            *("-u", house.administrator, "-p", SECRET, "-t", house.installation.tenant_id),
        )
        assert SECRET not in signed_in.out + signed_in.err
        yield desk


def make_contributor(house: House, principal_id: str) -> None:
    assignment = RoleAssignment(
        "99999999-2222-4333-8444-555555555555",
        Scope.parse(house.subscription),
        CONTRIBUTOR.id,
        principal_id,
        PrincipalKind.USER,
        "",
        house.clock.wall,
        "",
    )
    house.do(lambda tx, _: tx.add_role_assignment(assignment))


def open_port(house: House, user_id: str) -> None:
    house.add_machine("web-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": rules}}, JIT)
    asked = {"id": house.machine("web-1"), "ports": [{"number": 22, "duration": "PT1H"}]}
    client = house.client_of(house.token(user_id, PrincipalKind.USER, f"{user_id}/0"))
    answer = client.post(
        f"{house.policy()}/initiate",
        params={"api-version": JIT},
        json={"virtualMachines": [asked]},
    )
    assert answer.status_code == 202, answer.text


def test_users(cli: Cli) -> None:
    assert "bascule user add" in cli.done("user", "list").err
    added = cli.done("user", "add", "anna@example.com", "--display-name", "Anna A.")
    assert added.out == "anna@example.com added\n"
    assert "set-password anna@example.com" in added.err
    listed = cli.done("user", "list").out
    assert "anna@example.com" in listed
    assert "enabled" in listed
    (anna,) = cli.json("user", "list")
    assert (anna["displayName"], anna["enabled"]) == ("Anna A.", True)
    assert cli.json("user", "show", "ANNA@example.com")["id"] == anna["id"]
    assert cli("user", "show", "bert").code == 3
    assert cli("user", "add", "anna@EXAMPLE.com").code == 1
    assert cli("user", "add", "an na").code == 2


def test_a_password_is_taken_from_stdin_and_shown_nowhere(cli: Cli) -> None:
    password = "four words at random"
    added = cli.done("user", "add", "anna", "--password-stdin", stdin=f"{password}\n")
    assert password not in added.out + added.err
    anna = cli.json("user", "show", "anna")["id"]
    first = cli.house.see(lambda reader: reader.password(anna))
    assert first is not None
    cli.done("user", "set-password", "anna", "--password-stdin", stdin="other words, not these\n")
    assert cli.house.see(lambda reader: reader.password(anna)) != first
    short = cli("user", "set-password", "anna", "--password-stdin", stdin="short\n")
    assert short.code == 2
    asked = cli("user", "set-password", "anna")
    assert asked.code == 2
    assert "--password-stdin" in asked.err


def test_a_user_whose_password_is_refused_is_not_made_by_halves(cli: Cli) -> None:
    refused = cli("user", "add", "anna", "--password-stdin", stdin="anna-anna-anna\n")
    assert refused.code == 2
    assert cli.json("user", "list") == []


def test_what_ends_is_said_before_it_is_done(cli: Cli) -> None:
    cli.done("user", "add", "anna")
    anna = cli.json("user", "show", "anna")["id"]
    make_contributor(cli.house, anna)
    open_port(cli.house, anna)
    asked = cli("user", "disable", "anna")  # nobody is there to ask
    assert asked.code == 2
    assert (
        "signed out everywhere and can no longer sign in. 1 open port closes at once." in asked.err
    )
    assert "--yes" in asked.err
    assert cli.json("user", "show", "anna")["enabled"]
    assert "1 open port closes at once." in cli.done("user", "disable", "anna", "--yes").out
    assert not cli.json("user", "show", "anna")["enabled"]
    cli.done("user", "enable", "anna")
    assert "It has no open ports." in cli("user", "delete", "anna").err
    cli.done("user", "delete", "anna", "-y")
    assert cli("user", "show", "anna").code == 3


def test_groups(cli: Cli) -> None:
    assert "bascule group add" in cli.done("group", "list").err
    cli.done("group", "add", "operators", "--description", "On call")
    cli.done("user", "add", "anna")
    cli.done("sp", "add", "ci")
    assert cli.done("group", "add-member", "operators", "anna").out == "anna is now in operators\n"
    assert "already" in cli.done("group", "add-member", "operators", "anna").out
    cli.done("group", "add-member", "operators", "ci")
    members = cli.json("group", "show", "operators")["members"]
    assert {each["name"]: each["kind"] for each in members} == {
        "anna": "User",
        "ci": "ServicePrincipal",
    }
    added = cli.done("group", "add-member", "operators", "ci", "--for", "8h").out
    assert added.startswith("ci is now in operators until ")
    assert "(8h left)" in added
    (until,) = (
        each["expiresAt"]
        for each in cli.json("group", "show", "operators")["members"]
        if each["name"] == "ci"
    )
    assert until
    again = cli.json("group", "add-member", "operators", "ci", "--until", "2099-01-31T17:00:00Z")
    assert (again["expiresAt"], again["isNew"]) == ("2099-01-31T17:00:00.0000000Z", False)
    assert "2099" in cli.done("group", "show", "operators").out
    assert "2099" in cli.done("group", "add-member", "operators", "ci").out, "its end stays"
    lasting = cli.done("group", "add-member", "operators", "ci", "--no-end").out
    assert lasting == "ci is now in operators, without an end\n"
    assert cli("group", "add-member", "operators", "ci", "--for", "8h", "--no-end").code == 2
    assert (
        "not in the future"
        in cli("group", "add-member", "operators", "ci", "--until", "2000-01-01T00:00").err
    )
    shown = cli.done("group", "show", "operators").out
    assert "On call" in shown
    assert "anna" in shown
    ends = cli.house.clock.now() + timedelta(hours=1)
    group, anna = (
        cli.json("group", "show", "operators")["id"],
        cli.json("user", "show", "anna")["id"],
    )

    def vouch(tx: Transaction, _: Act) -> None:
        tx.put_identity_provider(CORP)
        tx.put_membership(Membership(group, anna, PrincipalKind.USER, CORP.id, ends))

    cli.house.do(vouch)
    vouched = cli.done("group", "show", "operators").out
    assert CORP.name in vouched
    assert CORP.id not in vouched, "its name is known"
    by = {each["providerName"] for each in cli.json("group", "show", "operators")["members"]}
    assert by == {None, CORP.name}
    assert cli("group", "remove-member", "operators", "anna").code == 2
    gone = cli.done("group", "remove-member", "operators", "anna", "--yes")
    assert gone.out == "anna is no longer in operators\n"
    assert "operators" in cli.done("group", "list").out
    assert cli("group", "add-member", "operators", "nobody").code == 3
    cli.done("group", "delete", "operators", "--yes")
    assert cli("group", "show", "operators").code == 3


def test_a_secret_is_printed_once_and_works(cli: Cli) -> None:
    """Alone on stdout, so that it can be kept by a redirection."""
    added = cli.done("sp", "add", "ci", "--label", "first", "--for", "90d")
    secret = added.out.strip()
    assert len(secret) == 43
    assert "shown only once" in added.err
    ci = cli.json("sp", "show", "ci")
    assert [each["displayName"] for each in ci["credentials"]] == ["first"]
    second = cli.json("sp", "add-secret", "ci", "--label", "second")
    for printed in (
        cli.done("sp", "show", "ci"),
        cli.done("sp", "list"),
        cli.done("sp", "show", "ci", "-o", "json"),
    ):
        assert secret not in printed.out + printed.err
        assert second["secret"] not in printed.out + printed.err
    old = ci["credentials"][0]["keyId"]
    assert cli("sp", "remove-credential", "ci", old[:8]).code == 2
    cli.done("sp", "remove-credential", "ci", old[:8], "--yes")
    assert cli("sp", "remove-credential", "ci", old, "--yes").code == 3
    login = ("login", "--endpoint", BASE, "--ca-file", "ca.pem", "--service-principal")
    where = ("-t", cli.house.installation.tenant_id, "-u", ci["id"])
    subscription = ("--subscription", cli.house.installation.subscription_id)
    assert cli(*login, *where, *subscription, "-p", secret).code == 5
    cli.done(*login, *where, *subscription, "-p", "-", stdin=second["secret"] + "\n")
    me = cli.json("whoami")
    assert (me["name"], me["kind"], me["roles"]) == ("ci", "ServicePrincipal", [])
    assert "roles      none" in cli.done("whoami").out


def test_service_principals_go(cli: Cli, tmp_path: Path) -> None:
    cli.done("sp", "add", "ci")
    cli.done("sp", "disable", "ci", "--yes")
    assert not cli.json("sp", "show", "ci")["enabled"]
    cli.done("sp", "enable", "ci")
    bad = tmp_path / "bad.pem"
    bad.write_text("nonsense")
    assert cli("sp", "add-certificate", "ci", str(bad)).code == 2
    cli.done("sp", "delete", "ci", "--yes")
    assert cli("sp", "show", "ci").code == 3
    last = cli("sp", "delete", cli.house.administrator, "--yes")
    assert (last.code, "LastOwner" in last.err or "Owner" in last.err) == (1, True)


def test_whoami(cli: Cli) -> None:
    shown = cli.done("whoami").out
    assert "administrator (ServicePrincipal)" in shown
    assert "Owner" in shown


def test_two_of_one_name_are_told_apart_by_id(cli: Cli) -> None:
    for _ in range(2):
        cli.done("sp", "add", "twin")
    refused = cli("sp", "show", "twin")
    assert refused.code == 2
    ids = [each["id"] for each in cli.json("sp", "list") if each["name"] == "twin"]
    assert all(each in refused.err for each in ids)
    assert cli.json("sp", "show", ids[0])["id"] == ids[0]


def test_sessions_of_a_user(cli: Cli) -> None:
    """Whose own are in test_cli_sign_in."""
    user = add_user(cli.house)
    for address in (CALLER, "203.0.113.9"):
        assert Browser(cli.house, address).sign_in().status_code == 303
    listed = cli.done("session", "list", "--user", user.name).out
    assert CALLER in listed
    one, other = cli.json("session", "list", "--user", user.name)
    assert (one["kind"], one["client"], one["current"]) == ("browser", None, False)
    assert {one["address"], other["address"]} == {CALLER, "203.0.113.9"}
    assert cli("session", "end", "x", "--user", user.name).code == 3
    ambiguous = cli("session", "end", one["id"][:0], "--user", user.name)
    assert (ambiguous.code, other["id"] in ambiguous.err) == (2, True)
    cli.done("session", "end", one["id"][:8], "--user", user.name)
    assert cli.json("session", "list", "--user", user.name) == [other]
    cli.done("session", "sign-out", user.name, "--yes")
    assert cli.json("session", "list", "--user", user.name) == []
    nowhere = cli.done("session", "list", "--user", user.name)
    assert "not signed in anywhere" in nowhere.err
    assert cli("session", "list").code == 4  # a service principal has none
