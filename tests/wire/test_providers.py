"""Identity providers by the API and the command line: what may be set, by whom, what is told."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bascule.cli.main import build, invoke
from bascule.client.connection import Connection
from bascule.client.https import Response
from bascule.client.tokens import Credentials
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import OWNER, USER_ACCESS_ADMINISTRATOR
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.errors import Unavailable
from bascule.identity.authenticate import proof_of
from bascule.interfaces.record import EventFilter
from tests.wire.house import BASE, House

PROVIDERS = "/providers/Bascule.Identity/identityProviders"
ISSUER = "https://login.corp.example/realms/main"
SECRET = "what the provider gave us, and nobody else"
CORP: dict[str, Any] = {
    "displayName": "Corp",
    "issuer": ISSUER,
    "clientId": "bascule",
    "clientSecret": SECRET,
    "domains": ["Corp.example"],
}


def put(house: House, name: str = "corp", **properties: Any) -> Any:
    return house.call("PUT", f"{PROVIDERS}/{name}", {"properties": properties})


def add_user(house: House, name: str = "anna@corp.example", role: str = "") -> str:
    made = house.call(
        "POST", "/providers/Bascule.Identity/users", {"properties": {"userPrincipalName": name}}
    )
    user_id = str(made.json()["name"])
    if role:
        give(house, user_id, PrincipalKind.USER, role)
    return user_id


def add_group(house: House, name: str, role: str = "") -> str:
    made = house.call(
        "POST", "/providers/Bascule.Identity/groups", {"properties": {"displayName": name}}
    )
    group_id = str(made.json()["name"])
    if role:
        give(house, group_id, PrincipalKind.GROUP, role)
    return group_id


def give(house: House, principal_id: str, kind: PrincipalKind, role: str) -> None:
    scope = subscription_scope(house.installation.subscription_id)
    number = f"{abs(hash((principal_id, role))) % 10**12:012d}"
    assignment = RoleAssignment(
        f"99999999-0000-4000-8000-{number}",
        scope,
        role,
        principal_id,
        kind,
        "",
        house.clock.now(),
        "",
    )
    house.do(lambda tx, _: tx.add_role_assignment(assignment))


def user_administrator(house: House) -> Any:
    """Somebody who may write providers and users, and holds less than an Owner."""
    user_id = add_user(house, "uwe@corp.example", USER_ACCESS_ADMINISTRATOR.id)
    user = house.see(lambda reader: reader.user(user_id))
    assert user is not None
    token = house.state.tokens.issue(
        user.id,
        PrincipalKind.USER,
        proof_of(user),
        house.installation.tenant_id,
        house.state.realm.issuer(BASE),
        BASE,
        "jti",
        house.clock.now(),
    )
    return house.client_of(token)


# -- settings -------------------------------------------------------------------------------


def test_put_get_list_delete(house: House) -> None:
    answer = put(house, **CORP)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown["properties"] == {
        "displayName": "Corp",
        "issuer": ISSUER,
        "clientId": "bascule",
        "hasClientSecret": True,
        "redirectUri": f"{BASE}/signin/return",
        "scopes": ["openid", "profile", "email"],
        "domains": ["corp.example"],
        "tenantClaim": None,
        "tenants": [],
        "groupsClaim": None,
        "groups": [],
        "createsUsers": False,
        "hasCaCertificates": False,
        "isEnabled": True,
        "createdAt": shown["properties"]["createdAt"],
    }
    assert house.call("GET", f"{PROVIDERS}/CORP").json() == shown
    assert house.call("GET", PROVIDERS).json() == {"value": [shown]}
    changed = put(house, displayName="Corp & Co").json()["properties"]
    assert changed == {**shown["properties"], "displayName": "Corp & Co"}, "what is absent stays"
    assert house.call("DELETE", f"{PROVIDERS}/corp").status_code == 200
    assert house.call("DELETE", f"{PROVIDERS}/corp").status_code == 204
    assert house.call("GET", f"{PROVIDERS}/corp").json()["error"]["code"] == "ProviderNotFound"
    assert house.events("ProviderAdded", "ProviderChanged", "ProviderRemoved") == [
        "ProviderRemoved",
        "ProviderChanged",
        "ProviderAdded",
    ]


def test_the_secret_is_in_no_answer_event_or_row(house: House) -> None:
    texts = [put(house, **CORP).text, put(house, clientSecret=SECRET + "2").text]
    texts += [house.call("GET", f"{PROVIDERS}/corp").text, house.call("GET", PROVIDERS).text]
    events = house.see(lambda reader: reader.events(EventFilter(), limit=1000))
    texts += [json.dumps(event.record()) for _, event in events]
    stored = house.see(lambda reader: reader.identity_provider_by_name("corp"))
    assert stored is not None
    texts.append(stored.sealed_secret)
    assert all(SECRET not in text for text in texts)
    assert any("another client secret" in text for text in texts)


def test_a_secret_that_was_moved_to_another_provider_does_not_open(house: House) -> None:
    put(house, **CORP)
    put(house, "other", **{**CORP, "issuer": "https://other.example"})
    one = house.see(lambda reader: reader.identity_provider_by_name("corp"))
    other = house.see(lambda reader: reader.identity_provider_by_name("other"))
    assert one is not None
    assert other is not None
    party = house.state.relying_party
    assert party._secret_of(one) == SECRET
    with pytest.raises(Unavailable, match="cannot be decrypted"):
        party._secret_of(replace(one, sealed_secret=other.sealed_secret))


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"issuer": "http://login.corp.example"}, "properties.issuer"),
        ({"issuer": "http://localhost:8080"}, "properties.issuer"),
        ({"issuer": "https://user@login.corp.example"}, "properties.issuer"),
        ({"issuer": "https://login.corp.example/?x=1"}, "properties.issuer"),
        ({"issuer": "https://login.corp.example/#x"}, "properties.issuer"),
        ({"issuer": "https://:1"}, "properties.issuer"),
        ({"issuer": "https://login.corp.example:99999"}, "properties.issuer"),
        ({"issuer": "login.corp.example"}, "properties.issuer"),
        ({"issuer": "https://login.microsoftonline.com/common/v2.0"}, "properties.issuer"),
        ({"issuer": "https://Login.MicrosoftOnline.com/Organizations/v2.0"}, "properties.issuer"),
        ({"issuer": "https://login.microsoftonline.us/consumers/v2.0"}, "properties.issuer"),
        ({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}, "properties.issuer"),
        ({"issuer": "https://login.microsoftonline.com/%7Btenantid%7D/v2.0"}, "properties.issuer"),
        ({"issuer": "https://sts.windows.net/"}, "properties.issuer"),
        ({"clientId": ""}, "properties.clientId"),
        ({"displayName": "a\u202eb"}, "properties.displayName"),
        ({"scopes": ["email"]}, "properties.scopes"),
        ({"domains": ["corp"]}, "properties.domains"),
        ({"tenantClaim": "tid"}, "properties.tenants"),
        ({"groups": [{"value": "ops", "group": "none"}]}, "properties.groups"),
        ({"createsUsers": True, "domains": []}, "properties.createsUsers"),
        ({"caCertificates": "no certificate"}, "properties.caCertificates"),
        ({"caCertificates": "Ë"}, "properties.caCertificates"),
    ],
)
def test_settings_that_are_refused(house: House, change: dict[str, Any], target: str) -> None:
    answer = put(house, **{**CORP, **change})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["target"] == target
    assert house.see(lambda reader: reader.identity_providers()) == []


@pytest.mark.parametrize(
    ("issuer", "is_refused"),
    [
        ("https://login.microsoftonline.com/common/v2.0", True),
        ("https://login.microsoftonline.com/COMMON", True),
        ("https://login.microsoftonline.com./organizations/v2.0", True),
        ("https://login.microsoftonline.com:443//consumers/v2.0", True),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", True),
        ("https://login.microsoftonline.com", True),
        ("https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0", False),
        ("https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0", False),
        ("https://sso.corp.example/common", False),  # a realm of somebody's own
        ("https://login.microsoftonline.com.evil.example/common", False),
    ],
)
def test_an_issuer_of_every_tenant_is_refused(house: House, issuer: str, is_refused: bool) -> None:
    answer = put(house, **{**CORP, "issuer": issuer})
    if is_refused:
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "IssuerOfManyTenants"
    else:
        assert answer.status_code == 201, answer.text


def test_an_issuer_is_fixed_and_of_one_provider(house: House) -> None:
    """Another issuer's people are others: links must not carry over."""
    put(house, **CORP)
    assert put(house, issuer="https://evil.example").json()["error"]["code"] == "IssuerIsFixed"
    assert put(house, "again", **CORP).json()["error"]["code"] == "IssuerTaken"
    assert put(house, "a/b", **CORP).status_code == 404


# -- by whom (EDGES B4) ---------------------------------------------------------------------


def test_nobody_gives_by_a_provider_what_he_lacks(house: House) -> None:
    add_group(house, "owners", OWNER.id)
    add_group(house, "nobodies")
    uwe = user_administrator(house)

    def as_uwe(body: Any, path: str = "corp", method: str = "PUT") -> Any:
        where = f"{house.subscription}{PROVIDERS}/{path}"
        return uwe.request(method, where, json=body, params={"api-version": "2026-11-01"})

    def mapped(group: str) -> Any:
        groups = [{"value": "x", "group": group}]
        return {"properties": {**CORP, "groupsClaim": "groups", "groups": groups}}

    assert as_uwe(mapped("owners")).status_code == 403
    assert house.see(lambda reader: reader.identity_providers()) == []
    assert as_uwe(mapped("nobodies")).status_code == 201, "the neighbour"
    owner = add_user(house, "olga@corp.example", OWNER.id)
    add_user(house, "nina@corp.example")
    for whom in ({"subject": "uwe-there"}, {"email": "uwe@corp.example"}):
        assert as_uwe({"user": owner, **whom}, "corp/link", "POST").status_code == 403
        answer = as_uwe({"user": "nina@corp.example", **whom}, "corp/link", "POST")
        assert answer.status_code == 201
    link = {"user": owner, "subject": "olga-there"}
    assert house.call("POST", f"{PROVIDERS}/corp/link", link).status_code == 201
    for change in ({"caCertificates": ""}, {"clientSecret": "mine"}, {"domains": ["*"]}):
        assert as_uwe({"properties": change}).status_code == 403, "it may become olga now"
    unlink = {"subject": "olga-there"}
    assert as_uwe(unlink, "corp/unlink", "POST").status_code == 403
    assert as_uwe(None, "corp", "DELETE").status_code == 403
    assert house.call("POST", f"{PROVIDERS}/corp/unlink", unlink).status_code == 200
    assert as_uwe(None, "corp", "DELETE").status_code == 200


def test_who_is_invited_is_guarded_like_who_is_linked(house: House) -> None:
    """Else a change of whose word proves an address would make an invitation anybody's."""
    put(house, **CORP)
    owner = add_user(house, "olga@corp.example", OWNER.id)
    invite = {"user": owner, "email": "olga@corp.example"}
    assert house.call("POST", f"{PROVIDERS}/corp/link", invite).status_code == 201
    uwe = user_administrator(house)
    change = {"properties": {"tenantClaim": "sub", "tenants": ["uwe-there"]}}
    where = f"{house.subscription}{PROVIDERS}/corp"
    answer = uwe.put(where, json=change, params={"api-version": "2026-11-01"})
    assert answer.status_code == 403


@pytest.mark.parametrize("whom", [{"subject": "boss-there"}, {"email": "boss@corp.example"}])
def test_who_may_write_users_reaches_nothing_by_the_providers_groups(
    house: House, whom: dict[str, str]
) -> None:
    """Neither by a user of his own making, nor by one whose hour is over."""
    add_group(house, "owners", OWNER.id)
    put(house, **CORP, groupsClaim="groups", groups=[{"value": "x", "group": "owners"}])
    uwe = user_administrator(house)
    user_id = add_user(house, "vera@corp.example")
    password = {"password": "four words nobody guesses"}

    def as_uwe(method: str, path: str, body: Any) -> int:
        where = f"{house.subscription}/providers/Bascule.Identity/{path}"
        answer = uwe.request(method, where, json=body, params={"api-version": "2026-11-01"})
        return int(answer.status_code)

    assert as_uwe("PUT", f"users/{user_id}/password", password) == 204, "she is nobody yet"
    link = {"user": user_id, **whom}
    assert as_uwe("POST", "identityProviders/corp/link", link) == 403
    assert house.events("IdentityLinked", "IdentityInvited") == []
    assert house.call("POST", f"{PROVIDERS}/corp/link", link).status_code == 201
    assert as_uwe("PUT", f"users/{user_id}/password", password) == 403
    assert as_uwe("POST", "identityProviders/corp/unlink", whom) == 403
    path = f"/providers/Bascule.Identity/users/{user_id}/password"
    assert house.call("PUT", path, password).status_code == 204, "an owner may"


def test_links_that_are_refused(house: House) -> None:
    put(house, **CORP)
    add_user(house)
    add_user(house, "bert@corp.example")
    link = f"{PROVIDERS}/corp/link"

    def code(**body: str) -> str:
        answer = house.call("POST", link, body)
        return str(answer.json().get("error", {}).get("code", answer.status_code))

    assert code(user="anna@corp.example") == "InvalidIdentity"
    assert code(user="anna@corp.example", subject="x", email="y") == "InvalidIdentity"
    assert code(user="nobody", subject="x") == "UserNotFound"
    assert code(user="anna@corp.example", subject="") == "InvalidSubject"
    assert code(user="anna@corp.example", email="a@evil.example") == "InvalidEmail"
    assert code(user="anna@corp.example", subject="x") == "201"
    assert code(user="anna@corp.example", subject="x") == "200"
    assert code(user="bert@corp.example", subject="x") == "IdentityTaken"
    assert code(user="anna@corp.example", email="a@corp.example") == "201"
    assert code(user="bert@corp.example", email="A@corp.example") == "InvitationTaken"
    known = house.call("GET", f"{PROVIDERS}/corp/identities").json()["value"]
    assert [(each["subject"], each["email"]) for each in known] == [
        ("x", None),
        (None, "a@corp.example"),
    ]
    unlink = f"{PROVIDERS}/corp/unlink"
    assert house.call("POST", unlink, {"email": "a@corp.example"}).status_code == 200
    assert house.call("POST", unlink, {"email": "a@corp.example"}).status_code == 204
    assert house.call("POST", unlink, {"subject": "y"}).status_code == 204


# -- the command line ------------------------------------------------------------------------


class HouseHttps:
    """The client's HTTP, answered by the house."""

    local_address = ""

    def __init__(self, house: House) -> None:
        self._client = house.client_of(None)

    def request(
        self, method: str, path: str, *, params: Any = None, headers: Any = None, **how: Any
    ) -> Response:
        answer = self._client.request(
            method, path, params=params, headers=headers, json=how.get("body")
        )
        return Response(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        pass


class HouseConnection(Connection):
    def __init__(self, house: House) -> None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        subscription = house.installation.subscription_id
        super().__init__(BASE, subscription, Credentials("t", "c", "s"), trust, house.clock)
        self._https = HouseHttps(house)  # type: ignore[assignment]  # reason: stands in for it
        self._house = house

    def _bearer(self, *, is_refused: bool = False) -> str:
        return self._house.service_token()


@pytest.fixture
def cli(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr("bascule.cli.provider.connect", lambda: HouseConnection(house))

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with capture_logs():  # the server's lines would stand between the command's
            code = invoke(build({}), None, ["provider", *words])
        return code, *capsys.readouterr()

    return run


def test_the_commands(house: House, cli: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET + "\n")
    add_group(house, "operators")
    add_user(house)
    assert "no provider yet" in cli("list")[2]
    code, out, err = cli(
        *("add", "corp", "--issuer", ISSUER, "--client-id", "bascule"),
        *("--secret-file", str(secret), "--domain", "corp.example", "--create-users"),
        *("--groups-claim", "groups", "--group", "/a=b=operators"),
    )
    assert (code, out) == (0, f"corp added; its redirect URI is {BASE}/signin/return\n"), err
    assert "bascule provider test corp" in err
    stored = house.see(lambda reader: reader.identity_provider_by_name("corp"))
    assert stored is not None
    assert house.state.relying_party._secret_of(stored) == SECRET, "without the line's end"
    assert cli("add", "corp", "--issuer", ISSUER)[0] == 2
    assert "of corp.example become users" in cli("list")[1]
    code, out, _ = cli("show", "corp")
    assert "/a=b gives operators" in out
    assert "knows      nobody yet" in out
    assert cli("link", "corp", "anna@corp.example", "--subject", "8f3a") == (
        0,
        "8f3a at corp is now anna@corp.example\n",
        "",
    )
    assert cli("link", "corp", "anna@corp.example", "--email", "a@corp.example")[0] == 0
    assert cli("link", "corp", "anna@corp.example")[0] == 2
    shown = json.loads(cli("show", "corp", "-o", "json")[1])
    assert [each["subject"] for each in shown["identities"]] == ["8f3a", None]
    assert SECRET not in str(shown)
    assert cli("change", "corp", "--no-create-users", "--clear", "groups")[1] == "corp changed\n"
    assert json.loads(cli("list", "-o", "json")[1])[0]["groups"] == []
    assert cli("change", "corp")[0] == 2
    assert cli("change", "corp", "--disable", "--yes")[0] == 0
    assert "disabled" in cli("list")[1]
    assert cli("unlink", "corp", "--subject", "8f3a", "--yes")[1] == (
        "8f3a is no longer known by corp\n"
    )
    assert cli("remove", "corp", "--yes")[1] == "corp removed\n"
    assert cli("show", "corp")[0] == 3
    assert cli("add", "x", "--issuer", ISSUER, "--group", "nothing")[0] == 2


def test_test_says_what_is_wrong(house: House, cli: Any) -> None:
    put(house, **{**CORP, "issuer": "https://127.0.0.1:1"})
    code, out, _ = cli("test", "corp")
    assert code == 1
    assert "cannot be reached" in out
    assert json.loads(cli("test", "corp", "-o", "json")[1])["isUsable"] is False
