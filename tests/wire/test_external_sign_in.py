"""Signing in through a real OpenID provider, and what comes back wrong (EDGES B3, B6, B13)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest

from bascule.api.oauth.browser import KNOWN
from bascule.api.oauth.external import MOST_LEAVING
from bascule.api.oauth.quota import MOST_OWN
from bascule.clocks import SystemClock
from bascule.domain.builtin_roles import READER
from bascule.domain.sign_in import TotpFactor
from bascule.interfaces.record import EventFilter
from tests.wire import openid
from tests.wire.browsing import Browser, add_user
from tests.wire.house import BASCULE, BASE, House
from tests.wire.openid import CLIENT, SECRET, Json, Person, RealProvider, form_of, query_of

pytestmark = pytest.mark.skipif(bool(openid.missing()), reason=openid.missing())

CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"  # az: a client that every Bascule knows
ANNA: Json = {
    "email": "anna@corp.example",
    "email_verified": True,
    "name": "Anna Arendt",
    "groups": ["ops", "everybody"],
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    started = RealProvider(tmp_path_factory.mktemp("provider"), {"anna": ANNA})
    yield started
    started.stop()


@pytest.fixture
def house(data_dir: Path, provider: RealProvider) -> Iterator[House]:
    """One whose clock tells the provider's time, and which knows the provider as corp."""
    made = House(data_dir)
    made.clock.wall = SystemClock().now()
    made.client = made.client_of(made.service_token())
    provider.order({"forge": {}, "accounts": {"anna": ANNA}})
    yield made
    made.close()


@pytest.fixture
def anna(house: House, provider: RealProvider) -> Iterator[Person]:
    person = Person(house, provider, "anna")
    yield person
    person.close()


PROVIDERS = "/providers/Bascule.Identity/identityProviders"


def add(house: House, provider: RealProvider, **more: Any) -> Json:
    properties = {
        "displayName": "Corp",
        "issuer": provider.issuer,
        "clientId": CLIENT,
        "clientSecret": SECRET,
        "scopes": ["openid", "email", "profile", "groups"],
        "domains": ["corp.example"],
        "caCertificates": provider.ca,
        **more,
    }
    answer = house.call("PUT", f"{PROVIDERS}/corp", {"properties": properties})
    assert answer.status_code in (200, 201), answer.text
    body: Json = answer.json()
    return body


def add_group(house: House, name: str = "operators", *, is_reader: bool = True) -> str:
    made = house.call(
        "POST", "/providers/Bascule.Identity/groups", {"properties": {"displayName": name}}
    )
    group_id = str(made.json()["name"])
    if is_reader:
        give_reader(house, group_id, 1)
    return group_id


def give_reader(house: House, principal_id: str, number: int) -> None:
    answer = house.call(
        "PUT",
        f"/providers/Microsoft.Authorization/roleAssignments/99999999-0000-4000-8000-{number:012d}",
        {
            "properties": {
                "roleDefinitionId": f"{house.subscription}/providers/"
                f"Microsoft.Authorization/roleDefinitions/{READER.id}",
                "principalId": principal_id,
            }
        },
    )
    assert answer.status_code == 201, answer.text


def token_by_browser(house: House, person: Person) -> Json:
    """Sign the CLI in: authorize, the provider, back, the question, the code, the token."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
    query = {
        "client_id": CLI,
        "response_type": "code",
        "redirect_uri": "http://localhost:8400",
        "scope": f"{BASE}/.default openid profile offline_access",
        "state": "the state of the CLI",
        "code_challenge": challenge.rstrip("="),
        "code_challenge_method": "S256",
    }
    tenant = house.installation.tenant_id
    answer = person.ask("GET", f"{BASE}/{tenant}/oauth2/v2.0/authorize?{urlencode(query)}")
    page = person.ask("GET", answer.headers["location"])
    button = re.search(r'href="(/signin/with/corp[^"]*)"', page.text)
    assert button is not None, page.text
    away = person.ask("GET", unescape(button[1])).headers["location"]
    back = person.ask("GET", person.sign_in_there(away))
    url = BASE + back.headers["location"]
    action, fields = form_of(person.ask("GET", url).text, url)
    answer = person.ask("POST", action, {**fields, "answer": "allow"})
    form = {
        "grant_type": "authorization_code",
        "client_id": CLI,
        "code": query_of(answer.headers["location"])["code"],
        "redirect_uri": "http://localhost:8400",
        "code_verifier": verifier,
        "scope": query["scope"],
    }
    return ask_token(house, person, form)


def ask_token(house: House, person: Person, form: Json, status: int = 200) -> Json:
    tenant = house.installation.tenant_id
    answer = person.here.post(f"{BASE}/{tenant}/oauth2/v2.0/token", data=form)
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


def refresh(house: House, person: Person, token: Json, status: int = 200) -> Json:
    form = {
        "grant_type": "refresh_token",
        "client_id": CLI,
        "refresh_token": token["refresh_token"],
        "scope": f"{BASE}/.default openid profile offline_access",
    }
    return ask_token(house, person, form, status)


MAPPED: Json = {
    "createsUsers": True,
    "groupsClaim": "groups",
    "groups": [{"value": "ops", "group": "operators"}],
}
# The same, and the provider is asked for the groups anew at each refresh.
RENEWED: Json = {**MAPPED, "scopes": ["openid", "email", "profile", "groups", "offline_access"]}


def machines(house: House, token: Json) -> int:
    """What a call with this token is answered that needs a role."""
    caller = house.client_of(token["access_token"])
    return int(
        caller.get(
            f"{house.subscription}/providers/Bascule.Audit/events", params={"api-version": BASCULE}
        ).status_code
    )


def who(person: Person) -> str:
    """Whom the house takes this browser for; empty for nobody."""
    page = person.ask("GET", f"{BASE}/signin/you").text
    found = re.search(r"[a-z]+@[a-z.]+", page)
    return found[0] if found else ""


# -- as it should be ------------------------------------------------------------------------


def test_from_the_provider_to_a_call_with_a_mapped_groups_rights(
    house: House, provider: RealProvider, anna: Person
) -> None:
    group = add_group(house)
    shown = add(house, provider, **MAPPED)
    mapped = [{"value": "ops", "groupId": group, "group": "operators"}]
    assert shown["properties"]["groups"] == mapped
    assert SECRET not in str(shown)
    assert machines(house, token_by_browser(house, anna)) == 200
    assert house.events("UserCreated", "IdentityLinked", "ProviderGroupsChanged") == [
        "ProviderGroupsChanged",
        "IdentityLinked",
        "UserCreated",
    ]


def test_without_a_word_by_the_owner_nobody_is_made_a_user(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider)
    answer = anna.sign_in()
    assert answer.status_code == 403
    assert "bascule provider link corp USER --subject anna" in answer.text
    assert who(anna) == ""
    assert house.events("ExternalSignInRefused") == ["ExternalSignInRefused"]
    assert house.events("UserCreated") == []


def test_linked_by_subject_under_another_name(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider)
    house.call(
        "POST",
        "/providers/Bascule.Identity/users",
        {"properties": {"userPrincipalName": "arendt@elsewhere.example"}},
    )
    link = {"user": "arendt@elsewhere.example", "subject": "anna"}
    assert house.call("POST", f"{PROVIDERS}/corp/link", link).status_code == 201
    assert anna.sign_in().status_code == 303
    assert who(anna) == "arendt@elsewhere.example"
    assert house.call("POST", f"{PROVIDERS}/corp/unlink", {"subject": "anna"}).status_code == 200
    assert who(anna) == "", "the session ended with the link"
    assert anna.sign_in().status_code == 403


def test_an_invitation_is_for_a_verified_address_and_once(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """EDGES B6: afterwards it is the subject that counts, whoever has the address then."""
    add(house, provider)
    house.call(
        "POST",
        "/providers/Bascule.Identity/users",
        {"properties": {"userPrincipalName": "arendt@elsewhere.example"}},
    )
    invite = {"user": "arendt@elsewhere.example", "email": "Anna@corp.example"}
    assert house.call("POST", f"{PROVIDERS}/corp/link", invite).status_code == 201
    unverified = {**ANNA, "email_verified": False}
    provider.order({"accounts": {"anna": unverified}})
    assert anna.sign_in().status_code == 403
    provider.order({"accounts": {"anna": ANNA, "eve": ANNA}})
    assert anna.sign_in().status_code == 303
    assert who(anna) == "arendt@elsewhere.example"
    eve = Person(house, provider, "eve")
    assert eve.sign_in().status_code == 403
    eve.close()


def test_a_user_who_is_there_already_is_not_taken_over_by_an_address(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, createsUsers=True)
    house.call(
        "POST",
        "/providers/Bascule.Identity/users",
        {"properties": {"userPrincipalName": "anna@corp.example"}},
    )
    answer = anna.sign_in()
    assert answer.status_code == 403
    assert "is not linked to it" in answer.text
    assert house.events("IdentityLinked") == []


def test_a_second_factor_that_was_enrolled_here_is_asked_for(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """EDGES B13. Not when the provider says that it asked for one itself."""
    add(house, provider, createsUsers=True)
    assert anna.sign_in().status_code == 303
    user = house.see(lambda reader: reader.user_by_name("anna@corp.example"))
    assert user is not None
    made = house.state.sign_in.proofs.totp.new(user)
    factor = TotpFactor(user.id, is_active=True, sealed=made.sealed, created_at=house.clock.now())
    house.do(lambda tx, _: tx.put_totp(factor))
    other = Person(house, provider, "anna")
    try:
        answer = other.sign_in()
        assert answer.headers["location"].startswith("/signin/factor")
        assert who(other) == "", "half-way is nowhere"
        url = BASE + answer.headers["location"]
        fields = form_of(other.ask("GET", url).text, url)[1]
        wrong = other.ask("POST", "/signin/factor", {**fields, "kind": "totp", "code": "000000"})
        assert wrong.status_code == 401
        code = pyotp.TOTP(made.secret).at(house.clock.now())
        fields |= {"kind": "totp", "code": code}
        assert other.ask("POST", "/signin/factor", fields).status_code == 303
        assert who(other) == "anna@corp.example"
    finally:
        other.close()
    events = house.see(lambda reader: reader.events(EventFilter(kinds=("SignInSucceeded",))))
    assert [event.record()["data"]["methods"] for _, event in events] == [  # type: ignore[index]  # reason: plain values
        ("fed", "otp", "mfa"),
        ("fed",),
    ]
    provider.order({"forge": {"claims": {"amr": ["pwd", "mfa"]}}})
    assert anna.sign_in().headers["location"].startswith("/signin/factor"), "its word is not enough"


# -- groups ---------------------------------------------------------------------------------


def test_groups_end_within_the_hour(house: House, provider: RealProvider, anna: Person) -> None:
    """EDGES B3. The token is good for longer than the word of the provider is."""
    add_group(house)
    add(house, provider, **MAPPED)
    token = token_by_browser(house, anna)
    house.clock.pass_time(3500)
    assert machines(house, token) == 200
    later = refresh(house, anna, token)
    house.clock.pass_time(200)
    assert machines(house, later) == 403


def test_groups_are_asked_for_anew_at_a_refresh(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add_group(house)
    add(house, provider, **RENEWED)
    token = token_by_browser(house, anna)
    house.clock.pass_time(400)
    token = refresh(house, anna, token)
    house.clock.pass_time(3300)
    assert machines(house, token) == 200, "an hour from the renewal, not from the sign-in"
    house.clock.wall = SystemClock().now()
    assert house.events("ProviderGroupsChanged") == ["ProviderGroupsChanged"]


def test_who_left_the_group_there_leaves_it_here_at_the_refresh(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add_group(house)
    add(house, provider, **RENEWED)
    token = token_by_browser(house, anna)
    provider.order({"accounts": {"anna": {**ANNA, "groups": ["everybody"]}}})
    house.clock.pass_time(400)
    token = refresh(house, anna, token)
    assert machines(house, token) == 403
    provider.order({"accounts": {}})
    house.clock.pass_time(400)
    refused = refresh(house, anna, token, 400)
    assert refused["error"] == "invalid_grant"
    assert house.events("TokenFamilyRevoked") == ["TokenFamilyRevoked"]


def test_whom_the_provider_drops_is_signed_out_of_every_program_and_browser(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """Not of the one program alone that asked for new tokens; a role of her own keeps none."""
    add_group(house)
    add(house, provider, **RENEWED)
    other = Person(house, provider, "anna")
    one, two = token_by_browser(house, anna), token_by_browser(house, other)
    user = house.see(lambda reader: reader.user_by_name("anna@corp.example"))
    assert user is not None
    give_reader(house, user.id, 2)
    house.clock.pass_time(400)
    provider.order({"accounts": {}})
    assert refresh(house, anna, one, 400)["error"] == "invalid_grant"
    assert machines(house, two) == 401
    assert refresh(house, other, two, 400)["error"] == "invalid_grant"
    assert (who(anna), who(other)) == ("", "")
    assert house.events("TokenFamilyRevoked", "SessionEnded").count("TokenFamilyRevoked") == 2
    provider.order({"accounts": {"anna": ANNA}})
    assert machines(house, token_by_browser(house, other)) == 200, "vouched for again"
    other.close()


def test_a_provider_that_refuses_this_server_signs_nobody_out(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """Its client secret has expired: that is no word on anybody, and the groups end in the hour."""
    add_group(house)
    add(house, provider, **RENEWED)
    token = token_by_browser(house, anna)
    add(house, provider, **RENEWED, clientSecret="an old one")
    house.clock.pass_time(400)
    token = refresh(house, anna, token)
    assert machines(house, token) == 200
    assert who(anna) == "anna@corp.example"
    house.clock.pass_time(3300)
    assert machines(house, token) == 403


def test_too_many_groups_give_none_and_are_said(
    house: House, provider: RealProvider, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    """Entra ID sends a link in their place (distributed claims)."""
    add_group(house)
    add(house, provider, **MAPPED)
    overage = {
        **ANNA,
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.example/groups"}},
    }
    provider.order({"accounts": {"anna": overage}})
    token = token_by_browser(house, anna)
    assert machines(house, token) == 403


# -- what comes back wrong ------------------------------------------------------------------

FORGERIES: dict[str, tuple[Json, str]] = {
    "another nonce": ({"claims": {"nonce": "n" * 43}}, "its nonce does not match"),
    "no nonce": ({"without": ["nonce"]}, "its nonce does not match"),
    "another issuer": ({"claims": {"iss": "https://evil.example"}}, "it is of another issuer"),
    "another client": ({"claims": {"aud": "other"}}, "it is for another client"),
    "several clients": ({"claims": {"aud": [CLIENT, "other"]}}, "issued to another client"),
    "authorized another": ({"claims": {"azp": "other"}}, "issued to another client"),
    "unsigned": ({"alg": "none"}, "its algorithm is 'none'"),
    "signed with the client secret": ({"alg": "HS256", "secret": SECRET}, "its algorithm is"),
    "signed by a stranger": ({"stranger": True}, "its signature is wrong"),
    "a key that it brings along": (
        {"stranger": True, "header": {"kid": "unknown", "jku": "https://evil.example/keys"}},
        "its key set does not have",
    ),
    "expired": ({"claims": {"exp": 1_000_000_000}}, "it has expired"),
    "old": ({"claims": {"iat": 1_000_000_000}}, "it is too old"),
    "of the future": (
        {"claims": {"iat": 9_000_000_000, "exp": 9_000_000_001}},
        "issued in the future",
    ),
    "another access token": ({"claims": {"at_hash": "A" * 22}}, "its at_hash does not match"),
    "nobody": ({"claims": {"sub": ""}}, "did not identify the person"),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_token_lets_nobody_in(
    house: House, provider: RealProvider, anna: Person, kind: str
) -> None:
    add(house, provider, createsUsers=True)
    how, why = FORGERIES[kind]
    provider.order({"forge": how})
    answer = anna.sign_in()
    assert answer.status_code == 403, answer.text
    assert why in unescape(answer.text)
    assert who(anna) == ""
    assert house.events("UserCreated", "SignInSucceeded") == []
    assert house.events("ExternalSignInRefused") == ["ExternalSignInRefused"]
    provider.order({"forge": {}})
    assert anna.sign_in().status_code == 303, "the neighbour: unforged, it does"


def test_an_unverified_address_of_our_domain_is_none(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """EDGES B6. Nor is one that only says so."""
    add(house, provider, createsUsers=True)
    for verified in (False, None, "true", 1):
        provider.order({"accounts": {"anna": {**ANNA, "email_verified": verified}}})
        answer = anna.sign_in()
        assert answer.status_code == 403
        assert "email_verified" in answer.text
    for address in ("anna@evil.example", "anna@sub.corp.example", "anna@corp.example.evil.example"):
        provider.order({"accounts": {"anna": {**ANNA, "email": address}}})
        assert anna.sign_in().status_code == 403
    assert house.events("UserCreated") == []


def test_another_tenant_is_not_let_in(house: House, provider: RealProvider, anna: Person) -> None:
    """EDGES B6: with the tenant's claim an address needs no email_verified; without, it does."""
    add(house, provider, createsUsers=True, tenantClaim="tid", tenants=["ours"])
    unverified = {**ANNA, "email_verified": False}
    for tenant in ("theirs", None):
        provider.order({"accounts": {"anna": {**unverified, "tid": tenant}}})
        answer = anna.sign_in()
        assert answer.status_code == 403
        assert "to another tenant" in answer.text
    provider.order({"accounts": {"anna": {**unverified, "tid": "ours"}}})
    assert anna.sign_in().status_code == 303


def test_a_state_works_once_for_its_own_browser_and_ten_minutes(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, createsUsers=True)
    eve = Person(house, provider, "anna")
    eve.ask("GET", "/signin")  # a browser with a cookie of its own
    back = anna.sign_in_there(anna.leave())
    asked = provider.order({"seen": True}).get("/token", 0)
    assert eve.ask("GET", back).status_code == 403, "the answer to another's question"
    assert anna.ask("GET", back).status_code == 403, "and used up by that"
    back = anna.sign_in_there(anna.leave())
    house.clock.pass_time(601)
    assert anna.ask("GET", back).status_code == 403
    state = query_of(back)["state"]
    for wrong in (back.replace(state, "s" * 43), back.replace("state=", "stat="), f"{back}&code=x"):
        assert anna.ask("GET", wrong).status_code == 403
    assert provider.order({"seen": True}).get("/token", 0) == asked, "nothing was redeemed"
    house.clock.wall = SystemClock().now()
    back = anna.sign_in_there(anna.leave())
    assert anna.ask("GET", back).status_code == 303
    assert anna.ask("GET", back).status_code == 403, "replayed"
    assert who(eve) == ""
    eve.close()


def test_an_answer_in_the_name_of_another_issuer(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """RFC 9207: its code goes to no token endpoint."""
    add(house, provider, createsUsers=True)
    asked = provider.order({"seen": True}).get("/token", 0)
    for iss in ("https://evil.example", ""):
        back = anna.sign_in_there(anna.leave())
        assert query_of(back)["iss"] == provider.issuer
        fields = {**query_of(back), "iss": iss}
        answer = anna.ask("GET", f"{openid.RETURN}?{urlencode(fields)}")
        assert answer.status_code == 403
    back = anna.sign_in_there(anna.leave())
    fields = {name: value for name, value in query_of(back).items() if name != "iss"}
    assert anna.ask("GET", f"{openid.RETURN}?{urlencode(fields)}").status_code == 403
    assert provider.order({"seen": True}).get("/token", 0) == asked


def test_who_declines_there_is_told_and_nothing_happens(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, createsUsers=True)
    state = query_of(anna.leave())["state"]
    fields = {"error": "access_denied", "state": state, "iss": provider.issuer}
    answer = anna.ask("GET", f"{openid.RETURN}?{urlencode(fields)}")
    assert answer.status_code == 403
    assert "access_denied" in answer.text
    assert "/signin?next=" in answer.text


# -- keys, and a provider that is away -------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_other_algorithms(
    house: House, provider: RealProvider, anna: Person, algorithm: str
) -> None:
    add(house, provider, createsUsers=True)
    provider.order({"algorithm": algorithm})
    try:
        assert anna.sign_in().status_code == 303
    finally:
        provider.order({"algorithm": "RS256"})


def test_keys_that_are_rotated_are_fetched_at_most_once_a_minute(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, createsUsers=True)
    assert anna.sign_in().status_code == 303
    before = provider.order({"seen": True})["/jwks"]
    provider.order({"rotate": True})
    for _ in range(3):
        assert anna.sign_in().status_code == 403
    assert provider.order({"seen": True})["/jwks"] == before
    house.clock.boot += 61
    assert anna.sign_in().status_code == 303
    assert provider.order({"seen": True})["/jwks"] == before + 1


def test_a_provider_that_is_away_is_said_and_local_users_sign_in(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, createsUsers=True)
    away = {
        "properties": {
            "displayName": "Gone",
            "issuer": "https://127.0.0.1:1",
            "clientId": "x",
            "scopes": ["openid"],
        }
    }
    assert house.call("PUT", f"{PROVIDERS}/gone", away).status_code == 201
    page = anna.ask("GET", "/signin")
    assert "Gone" in page.text
    assert "Corp" in page.text
    answer = anna.ask("GET", "/signin/with/gone")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.text
    assert "/signin?next=" in answer.text
    assert form_of(anna.ask("GET", "/signin").text, BASE)[1].keys() >= {"name", "password", "csrf"}
    tested = house.call("POST", f"{PROVIDERS}/gone/test").json()["properties"]
    assert tested["isUsable"] is False
    assert "cannot be reached" in tested["problems"][0]
    tested = house.call("POST", f"{PROVIDERS}/corp/test").json()["properties"]
    assert tested["isUsable"] is True
    assert tested["keys"] == 4


def test_one_that_is_disabled_is_not_offered_and_ends_what_came_of_it(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add_group(house)
    add(house, provider, **MAPPED)
    token = token_by_browser(house, anna)
    back = anna.sign_in_there(anna.leave())
    add(house, provider, isEnabled=False)
    assert machines(house, token) == 401
    assert anna.ask("GET", back).status_code == 403
    assert "Corp" not in anna.ask("GET", "/signin").text
    assert anna.ask("GET", "/signin/with/corp").status_code == 404


def test_sign_ins_that_one_network_begins_are_bounded(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider)
    answers = [anna.ask("GET", "/signin/with/corp").status_code for _ in range(25)]
    assert answers == [303] * 20 + [429] * 5


@pytest.mark.parametrize("dest", ["image", "iframe", "empty"])
def test_a_page_elsewhere_does_not_spend_a_networks_sign_ins(
    house: House, provider: RealProvider, anna: Person, dest: str
) -> None:
    """Its images and frames come from its visitor's network; nobody pressed a button there."""
    add(house, provider)
    url, headers = "/signin/with/corp", {"Sec-Fetch-Dest": dest}
    for _ in range(25):
        answer = anna.here.get(url, headers=headers, follow_redirects=False)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    pressed = anna.here.get(url, headers={"Sec-Fetch-Dest": "document"}, follow_redirects=False)
    assert pressed.status_code == 303
    assert anna.ask("GET", url).status_code == 303, "a browser that does not say what it is for"


def test_a_provider_that_is_none_spends_no_sign_in(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, isEnabled=False)
    for name in ("nobody", "corp"):
        for _ in range(25):
            assert anna.ask("GET", f"/signin/with/{name}").status_code == 404
    add(house, provider, isEnabled=True)
    assert anna.ask("GET", "/signin/with/corp").status_code == 303


def test_answers_that_are_made_up_leave_few_rows(
    house: House, provider: RealProvider, anna: Person
) -> None:
    """EDGES B8."""
    add(house, provider)
    for number in range(20):
        assert anna.ask("GET", f"{openid.RETURN}?state={number}&code=x").status_code == 403
    assert len(house.events("ExternalSignInRefused")) == 5
    house.clock.pass_time(60)
    anna.ask("GET", f"{openid.RETURN}?state=x&code=x")
    assert house.events("DenialsCounted") == ["DenialsCounted"]


def test_neighbours_keep_nobody_from_leaving_whose_browser_signed_in_before(
    house: House, provider: RealProvider
) -> None:
    """EDGES E5."""
    add(house, provider)
    neighbour, known = Browser(house), Browser(house)
    ada = add_user(house, "ada@example.com")
    mark = house.state.sign_in.proofs.marks.make(ada, house.clock.now())
    known.client.cookies.set(KNOWN, mark, domain="localhost.local")
    left = [neighbour.get("/signin/with/corp").status_code for _ in range(MOST_LEAVING + 1)]
    assert left == [303] * MOST_LEAVING + [429]
    assert [known.get("/signin/with/corp").status_code for _ in range(MOST_OWN + 1)] == [
        *[303] * MOST_OWN,
        429,
    ]
    house.clock.pass_time(60)
    assert neighbour.get("/signin/with/corp").status_code == 303


def test_its_certificate_must_be_of_the_ca_that_was_given(
    house: House, provider: RealProvider, anna: Person
) -> None:
    add(house, provider, caCertificates="")
    answer = anna.ask("GET", "/signin/with/corp")
    assert answer.status_code == 503
    assert "certificate is not trusted" in answer.text
