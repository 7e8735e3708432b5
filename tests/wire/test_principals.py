"""All routes by all kinds of principal (EDGES A13)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from bascule.api.auth import GuardedRoute
from bascule.api.entries import OPEN as OPEN_ENTRY
from bascule.api.entries import entry_of, requires
from bascule.domain.access import CALLERS, PrincipalKind
from bascule.domain.actions import MACHINE_READ
from tests.wire.house import BASCULE, House

# Of the token endpoint and its discovery: they are how one gets a token, and of the document
# that describes the API.
OPEN_BY_NATURE = {
    "/metadata/endpoints",
    "/{tenant}/v2.0/.well-known/openid-configuration",
    "/{tenant}/discovery/v2.0/keys",
    "/{tenant}/oauth2/v2.0/token",
    "/{tenant}/oauth2/v2.0/devicecode",
    "/{tenant}/oauth2/v2.0/authorize",
    "/{tenant}/oauth2/v2.0/revoke",
    "/{tenant}/oauth2/v2.0/logout",
    "/{tenant}/.well-known/openid-configuration",
    "/{tenant}/discovery/keys",
    "/{tenant}/userrealm/{user}",
    *(
        f"/{{tenant}}/oauth2/{each}"
        for each in ("token", "devicecode", "authorize", "revoke", "logout")
    ),
    *("/signin/with/{name}", "/signin/return"),
    *("/device", "/signin", "/signin/factor", "/signin/passkey", "/signin/you", "/signout"),
    *("/signin/files/{name}", "/signin/look"),
    "/openapi.json",
}
OPEN = {
    *("/healthz", "/readyz", "/bascule/ca.pem", "/bascule/enrol", "/bascule/points/{uid}/line"),
    "/bascule/replicas/join",  # by the token of an invitation
    *("/bascule/install.sh", "/packages/{name:path}"),  # without a token: nothing of it is secret
}
WITHOUT_ACTION = {  # what is the caller's own
    "/tenants",
    "/subscriptions/{subscription_id}/providers/Bascule.Identity/me",
    "/graph/v1.0/me",
    "/subscriptions/{subscription_id}/providers/Bascule.Audit/ownEvents",
    "/subscriptions/{subscription_id}/providers/Bascule.Access/approvalCounts/default",
    *(
        f"/subscriptions/{{subscription_id}}/providers/Bascule.Access/accessRequests/{{request_id}}/{each}"
        for each in ("runs/{run_id}", "keep")
    ),
    *(
        f"/subscriptions/{{subscription_id}}/providers/Bascule.Identity/me/{each}"
        for each in (
            *("factors", "proof", "password", "totp", "totp/confirm", "totp/remove"),
            *("recoveryCodes", "passkeys", "passkeys/begin", "passkeys/{passkey_id}/remove"),
            *(
                "mail",
                "mail/confirm",
                "signOut",
                "signIns",
                "signIns/{sign_in_id}",
                "signIns/endOthers",
            ),
        )
    ),
}
NOBODY = "11111111-2222-3333-4444-666666666666"
AGENTS = ("/bascule/agents/{uid}/", "/bascule/points/{uid}/")


def routes_of(house: House) -> Iterator[Any]:
    """Every route of the application, those of included routers too."""
    waiting = list(house.app.routes)
    while waiting:
        route = waiting.pop()
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting.extend(included.routes)
        else:
            yield route


def filled(house: House, path: str, uid: str) -> str:
    return path.format(
        subscription_id=house.installation.subscription_id,
        resource_group="default",
        location="local",
        policy="default",
        machine="web-1",
        request_id="11111111-2222-3333-4444-555555555555",
        run_id="11111111-2222-3333-4444-555555555555",
        sink="siem",
        provider="corp",
        uid=uid,
        group_name="default",
        namespace="Microsoft.Compute",
        user_id=NOBODY,
        group_id=NOBODY,
        member_id=NOBODY,
        principal_id=NOBODY,
        key_id=NOBODY,
        name="anna",
        passkey_id="AAAA",
        sign_in_id=NOBODY,
        role_id=NOBODY,
        assignment_id=NOBODY,
        resource="Microsoft.Compute/virtualMachines/web-1",
        nic="web-1-nic",
        nsg="web-1-nsg",
        public_ip="web-1-pip",
        firewall="gateway",
        rule="AllowAllInBound",
        plan="VirtualMachines",
    )


def test_every_route_declares_what_it_asks_of_its_caller(house: House) -> None:
    seen = {route.path for route in routes_of(house)}
    assert seen >= OPEN | OPEN_BY_NATURE
    assert len(seen) >= 30  # the walk did find the included routers
    for route in routes_of(house):
        if route.path in OPEN_BY_NATURE:
            continue
        assert isinstance(route, GuardedRoute), route.path
        entry = entry_of(route.endpoint)
        if route.path in OPEN:
            assert entry is OPEN_ENTRY
        elif route.path.startswith(AGENTS):
            assert entry.kinds == {PrincipalKind.AGENT}
        else:
            assert entry.kinds == CALLERS
            assert entry.actions or route.path in WITHOUT_ACTION, route.path


def test_a_route_that_declares_nothing_cannot_be_made() -> None:
    async def forgotten() -> None:
        return None

    with pytest.raises(LookupError):
        GuardedRoute("/forgotten", forgotten)
    requires(MACHINE_READ)(forgotten)
    assert GuardedRoute("/forgotten", forgotten).path == "/forgotten"


def test_an_action_that_nobody_listed_cannot_be_asked_for() -> None:
    with pytest.raises(LookupError):
        requires("Microsoft.Compute/virtualMachines/raed")


def test_all_routes_by_all_kinds(house: House) -> None:
    uid = house.add_machine("web-1")
    other = house.add_machine("db-1")
    agent = house.enrol("web-1")
    house.enrol("db-1")
    stranger = house.client_of(None)
    params = {"api-version": BASCULE}
    tried = 0
    for route in routes_of(house):
        if route.path in OPEN_BY_NATURE | OPEN or not isinstance(route, APIRoute):
            continue
        for method in route.methods or ():
            tried += 1
            path = filled(house, route.path_format, other)
            answer = stranger.request(method, path, params=params)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
            # An agent at a people's route, or at another machine's.
            answer = agent.request(method, path, params=params)
            assert answer.status_code == 403, (method, path, answer.text)
            if method != "HEAD":  # whose answers have no body
                assert answer.json()["error"]["code"] == "AuthorizationFailed"
            if route.path.startswith(AGENTS):
                own = filled(house, route.path_format, uid)
                answer = house.client.request(method, own, params=params)
                assert answer.status_code == 403, (method, own, answer.text)
    assert tried >= 25
    assert house.see(lambda reader: reader.machine_by_uid(uid)) is not None


def test_denials_are_on_record_and_bounded(house: House) -> None:
    """EDGES B8: many refusals leave few rows."""
    house.add_machine("web-1")
    agent = house.enrol("web-1")
    for _ in range(50):
        agent.get(f"{house.subscription}/providers/Bascule.Audit/events")
    assert house.events("CallerDenied") == ["CallerDenied"] * 5
    house.clock.pass_time(60)
    agent.get(f"{house.subscription}/providers/Bascule.Audit/events")
    assert len(house.events("CallerDenied")) == 6


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "AuthenticationFailed"),
        ("Bearer", "InvalidAuthenticationToken"),
        ("Basic YTpi", "InvalidAuthenticationToken"),
        ("Bearer x.y.z", "InvalidAuthenticationToken"),
        ("Bearer " + "a" * 10_000, "InvalidAuthenticationToken"),
        ("Bearer \u00e9", "InvalidAuthenticationToken"),
    ],
)
def test_what_is_no_token(house: House, header: str | None, code: str) -> None:
    client = house.client_of(None)
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = client.get(
        house.policy(),
        params={"api-version": BASCULE},
        headers=headers,  # type: ignore[arg-type]  # reason: bytes are how a bad header is sent
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code


def test_an_expired_token(house: House) -> None:
    house.clock.pass_time(3601)
    answer = house.call("GET", house.policy())
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "ExpiredAuthenticationToken"


def test_a_revoked_token_is_refused_and_recorded(house: House) -> None:
    from bascule.services.installation import set_administrator

    house.do(lambda tx, act: set_administrator(tx, act, house.administrator, "00" * 32))
    answer = house.call("GET", house.policy())
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "RevokedToken"
    assert house.events("CallerDenied") == ["CallerDenied"]
