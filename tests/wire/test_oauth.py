"""Discovery and tokens (CLIENTS 1.2, 1.3; EDGES A12, A13, A23, A27, B5).

The forms and refusals are tried on the whole application in memory; azure-identity, whose
expectations they are, on a real server process over TLS.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey, RSAKey

from bascule.client.assertion import make_assertion
from bascule.domain.access import PrincipalKind
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.identity.secrets import new_secret, sha256_hex
from bascule.identity.token_request import ASSERTION_TYPE, CLIENT_CREDENTIALS
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.support.enrolling import enrol_body
from tests.wire.house import BASE, House

ROOT = Path(__file__).parents[2]
SECRET = new_secret()


class Desk:
    """Asks for tokens as a client would."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client = house.client_of(None)
        self.tenant = house.installation.tenant_id
        self.client_id, self.key_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.put_credential()

    def put_credential(
        self, *, is_enabled: bool = True, proof: str = "", expires_at: datetime | None = None
    ) -> None:
        """A service principal with one secret, in place of what it was."""
        now = self.house.clock.now()
        service = ServicePrincipal(self.client_id, "ci", is_enabled, now)
        hashed = proof or sha256_hex(SECRET)
        secret = CredentialKind.SECRET
        credential = Credential(self.key_id, self.client_id, secret, hashed, "", now, expires_at)

        def work(tx: Transaction, _: Act) -> None:
            tx.put_service_principal(service)
            tx.put_credential(credential)

        self.house.do(work)

    @property
    def endpoint(self) -> str:
        return f"/{self.tenant}/oauth2/v2.0/token"

    def form(self, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_id": self.client_id,
            "client_secret": SECRET,
            "scope": f"{BASE}/.default",
            **changes,
        }
        return {name: value for name, value in form.items() if value}

    def ask(self, **changes: str) -> httpx2.Response:
        return self.client.post(self.endpoint, data=self.form(**changes))

    def may_call(self, token: str) -> int:
        answer = self.house.client_of(token).get(
            f"{self.house.subscription}/providers/Microsoft.Compute/virtualMachines",
            params={"api-version": "2024-07-01"},
        )
        return int(answer.status_code)


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


@pytest.fixture(scope="module")
def lasting(data_dir: Path) -> Iterator[Desk]:
    """One desk for all tests that leave it as it was: a house takes its time to make."""
    house = House(data_dir)
    yield Desk(house)
    house.close()


def claims_in(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def refused(answer: httpx2.Response) -> tuple[int, str, int]:
    """Status, error and AADSTS number; the form of every refusal is checked on the way."""
    body = answer.json()
    number = body["error_codes"][0]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, body["error"], number


class TestMetadata:
    @pytest.mark.parametrize("version", ["2022-09-01", "1.0", "2015-01-01", "tomorrow", None])
    def test_one_cloud_with_the_old_and_the_new_names(
        self, lasting: Desk, version: str | None
    ) -> None:
        params = {"api-version": version} if version else {}
        cloud = lasting.client.get("/metadata/endpoints", params=params).json()
        assert cloud["resourceManager"] == BASE  # no slash: go-azure-sdk would double it
        assert cloud["authentication"]["loginEndpoint"] == BASE
        assert cloud["authentication"]["audiences"][0] == BASE
        assert {"name", "suffixes", "galleryEndpoint", "graphEndpoint", "portalEndpoint"} <= set(
            cloud
        )

    def test_a_list_for_the_version_that_wants_one(self, lasting: Desk) -> None:
        one = lasting.client.get("/metadata/endpoints").json()
        listed = lasting.client.get("/metadata/endpoints?api-version=2019-05-01").json()
        assert listed == [one]

    def test_doubled_slashes_are_one(self, lasting: Desk) -> None:
        assert lasting.client.get(f"{BASE}//metadata/endpoints").status_code == 200

    def test_urls_are_by_the_name_that_was_used(self, lasting: Desk) -> None:
        headers = {"Host": "127.0.0.1:9443"}
        cloud = lasting.client.get("/metadata/endpoints", headers=headers).json()
        assert cloud["resourceManager"] == "https://127.0.0.1:9443"


class TestDiscovery:
    @pytest.mark.parametrize("alias", ["", "organizations", "common", "Common"])
    def test_names_the_four_endpoints_that_msal_wants(self, lasting: Desk, alias: str) -> None:
        tenant = alias or lasting.tenant
        document = lasting.client.get(f"/{tenant}/v2.0/.well-known/openid-configuration").json()
        assert document["issuer"] == f"{BASE}/{lasting.tenant}/v2.0"
        for name in ("authorization", "token", "device_authorization"):
            assert document[f"{name}_endpoint"].startswith(f"{BASE}/{tenant}/oauth2/v2.0/")

    def test_the_published_key_verifies_a_token(self, lasting: Desk) -> None:
        document = lasting.client.get(
            f"/{lasting.tenant}/v2.0/.well-known/openid-configuration"
        ).json()
        published = lasting.client.get(urlsplit(document["jwks_uri"]).path).json()
        assert not {"d", "p", "q"} & set(published["keys"][0])
        token = lasting.ask().json()["access_token"]
        read = jwt.decode(token, KeySet.import_key_set(published), algorithms=["RS256"])
        assert read.claims["iss"] == document["issuer"]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "v2.0/.well-known/openid-configuration"),
            ("GET", "discovery/v2.0/keys"),
            ("POST", "oauth2/v2.0/token"),
            ("POST", "oauth2/v2.0/devicecode"),
            ("POST", "oauth2/v2.0/revoke"),
            ("GET", ".well-known/openid-configuration"),
            ("GET", "userrealm/anna@example.com"),
        ],
    )
    def test_another_tenant_is_not_found(self, lasting: Desk, method: str, path: str) -> None:
        answer = lasting.client.request(method, f"/{uuid.uuid4()}/{path}")
        assert refused(answer) == (400, "invalid_request", 90002)

    @pytest.mark.parametrize(
        ("path", "endpoints"),
        [
            ("{tenant}/v2.0", "{tenant}/oauth2/v2.0/"),
            ("{tenant}", "{tenant}/oauth2/"),
            ("adfs", "adfs/oauth2/"),
        ],
    )
    def test_every_version_names_endpoints_that_are_there(
        self, lasting: Desk, path: str, endpoints: str
    ) -> None:
        root = path.format(tenant=lasting.tenant)
        document = lasting.client.get(f"/{root}/.well-known/openid-configuration").json()
        for name in ("token", "device_authorization", "revocation"):
            url = urlsplit(document[f"{name}_endpoint"]).path
            assert url.startswith("/" + endpoints.format(tenant=lasting.tenant))
            answer = lasting.client.post(url, data={"x": "1"})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), name
        assert lasting.client.get(urlsplit(document["jwks_uri"]).path).json()["keys"]
        page = lasting.client.get(urlsplit(document["authorization_endpoint"]).path)
        assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert lasting.client.get(urlsplit(document["end_session_endpoint"]).path).is_success
        assert document["code_challenge_methods_supported"] == ["S256"]
        assert "password" not in document["grant_types_supported"]

    def test_the_realm_of_a_user_tells_nobody_who_exists(self, lasting: Desk) -> None:
        known, unknown = (
            lasting.client.get(f"/common/userrealm/{name}@example.com").json()
            for name in ("anna", "nobody")
        )
        assert known == unknown
        assert known["account_type"] == "Managed"


class TestSecret:
    def test_the_right_one_gets_an_hour(self, lasting: Desk) -> None:
        answer = lasting.ask()
        body = answer.json()
        assert (answer.status_code, body["token_type"]) == (200, "Bearer")
        assert body["expires_in"] == body["ext_expires_in"] == 3600
        claims = claims_in(body["access_token"])
        assert claims["exp"] - claims["iat"] == 3600
        assert claims["sub"] == claims["oid"] == claims["appid"] == lasting.client_id
        assert (claims["tid"], claims["idtyp"], claims["aud"]) == (lasting.tenant, "app", BASE)
        assert SECRET not in answer.text
        assert lasting.may_call(body["access_token"]) == 200

    @pytest.mark.parametrize(
        "scope",
        [
            f"{BASE}/.default",
            f"{BASE}//.default",
            "https://127.0.0.1:8443/.default",
            "https://management.azure.com/.default",
            "https://management.azure.com//.default",
            "https://management.core.windows.net/.default",
            f"openid profile {BASE}/.default",
            f"{BASE}/user_impersonation",
            f"{BASE}/openid",  # Az PowerShell with ADFS
        ],
    )
    def test_every_name_of_this_server_is_an_audience(self, lasting: Desk, scope: str) -> None:
        token = lasting.ask(scope=scope).json()["access_token"]
        assert lasting.may_call(token) == 200

    @pytest.mark.parametrize("scope", [f"{BASE}/graph/.default", f"{BASE}/graph//.default"])
    def test_a_token_for_the_graph_is_good_for_nothing_else(
        self, lasting: Desk, scope: str
    ) -> None:
        """EDGES B5."""
        token = lasting.ask(scope=scope).json()["access_token"]
        assert lasting.may_call(token) == 401

    @pytest.mark.parametrize(
        "scope",
        [
            "https://graph.microsoft.com/.default",
            "https://evil.example/.default",
            "http://localhost/.default",
            f"{BASE}/everything",
            f"{BASE}/.default https://management.azure.com/.default",
            "https://localhost@evil.example/.default",
            ".default",
        ],
    )
    def test_another_audience_is_refused(self, lasting: Desk, scope: str) -> None:
        assert refused(lasting.ask(scope=scope)) == (400, "invalid_scope", 70011)

    def test_a_wrong_secret_and_an_unknown_client_get_one_answer(self, lasting: Desk) -> None:
        wrong = lasting.ask(client_secret=new_secret())
        unknown = lasting.ask(client_id=str(uuid.uuid4()))
        assert refused(wrong) == refused(unknown) == (401, "invalid_client", 7000215)

    def test_its_hash_is_no_secret(self, lasting: Desk) -> None:
        answer = lasting.ask(client_secret=sha256_hex(SECRET))
        assert refused(answer) == (401, "invalid_client", 7000215)

    def test_a_disabled_or_expired_one_says_so_to_its_holder_alone(self, desk: Desk) -> None:
        desk.put_credential(is_enabled=False)
        assert refused(desk.ask()) == (401, "invalid_client", 7000112)
        desk.put_credential(expires_at=desk.house.clock.now())
        assert refused(desk.ask()) == (401, "invalid_client", 7000222)
        assert refused(desk.ask(client_secret="x")) == (401, "invalid_client", 7000215)
        desk.put_credential(expires_at=desk.house.clock.now() + timedelta(seconds=1))
        assert desk.ask().status_code == 200

    def test_the_client_id_is_taken_in_any_case(self, lasting: Desk) -> None:
        assert lasting.ask(client_id=lasting.client_id.upper()).status_code == 200


class TestForm:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"grant_type": ""}, (400, "invalid_request", 900144)),
            ({"client_id": ""}, (400, "invalid_request", 900144)),
            ({"scope": ""}, (400, "invalid_request", 900144)),
            ({"client_secret": ""}, (400, "invalid_request", 7000216)),
            ({"client_assertion": "a.b.c"}, (400, "invalid_request", 7000216)),
            ({"grant_type": "password"}, (400, "invalid_request", 900144)),
            ({"grant_type": "refresh_token"}, (400, "invalid_request", 900144)),
            ({"grant_type": "device_code"}, (400, "invalid_request", 900144)),
            ({"grant_type": "authorization_code"}, (400, "invalid_request", 900144)),
            ({"grant_type": "implicit"}, (400, "unsupported_grant_type", 70003)),
            (
                {"client_secret": "", "client_assertion": "a.b.c"},
                (400, "invalid_request", 900144),
            ),
        ],
    )
    def test_what_is_wrong_is_named(
        self, lasting: Desk, changes: dict[str, str], expected: tuple[int, str, int]
    ) -> None:
        assert refused(lasting.ask(**changes)) == expected

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded", 400),
            (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
            (b"grant_type=%ff", "application/x-www-form-urlencoded", 400),
            (b"no form at all", "application/x-www-form-urlencoded", 400),
            (b"", "application/x-www-form-urlencoded", 400),
            (b"{}", "application/json", 400),
            (b"a=" + b"b" * 40_000, "application/x-www-form-urlencoded", 413),
            (b"&".join(b"f%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
        ],
    )
    def test_what_is_no_form_is_refused(
        self, lasting: Desk, body: bytes, kind: str, status: int
    ) -> None:
        answer = lasting.client.post(lasting.endpoint, content=body, headers={"Content-Type": kind})
        assert refused(answer)[:2] == (status, "invalid_request")

    def test_what_msal_adds_is_passed_over(self, lasting: Desk) -> None:
        claims = '{"access_token":{"xms_cc":{"values":["CP1"]}}}'
        assert lasting.ask(client_info="1", claims=claims).status_code == 200


class Agent(Desk):
    """A machine's agent with its key."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.key = Ed25519PrivateKey.generate()
        self.uid = house.add_machine("web-1")
        self.enrol()

    def enrol(self) -> None:
        public = base64.urlsafe_b64encode(self.key.public_key().public_bytes_raw()).decode()
        path = f"{self.house.machine('web-1')}/providers/Bascule.Fleet/enrolments"
        made = self.house.call("POST", path, {"replace": True}).json()["properties"]
        body = enrol_body(made["token"], public.rstrip("="))
        assert self.client.post("/bascule/enrol", json=body).status_code == 200

    def assertion(self, audience: str = "", seconds: int = 0, jti: str = "", uid: str = "") -> str:
        """As the agent makes it, ``seconds`` from now."""
        return make_assertion(
            self.key.private_bytes_raw(),
            uid or self.uid,
            audience or BASE + self.endpoint,
            int(self.house.clock.now().timestamp()) + seconds,
            jti or str(uuid.uuid4()),
        )

    def present(self, assertion: str) -> httpx2.Response:
        return self.ask(
            client_id=self.uid,
            client_secret="",
            client_assertion=assertion,
            client_assertion_type=ASSERTION_TYPE,
        )

    def state(self, token: str) -> int:
        client = self.house.client_of(token)
        return int(client.get(f"/bascule/points/{self.uid}/state").status_code)

    def signed(self, header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
        """An assertion of any kind, for what our own agents never send."""
        now = int(self.house.clock.now().timestamp())
        whole = {
            "iss": self.uid, "sub": self.uid, "aud": BASE + self.endpoint,
            "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()), **claims,
        }  # fmt: skip
        return jwt.encode(header, whole, key, algorithms=[header["alg"]])


@pytest.fixture
def agent(house: House) -> Agent:
    made = Agent(house)
    house.clock.pass_time(1)
    return made


class TestAssertion:
    def test_the_right_one_gets_ten_minutes_at_the_agents_own_routes(self, agent: Agent) -> None:
        body = agent.present(agent.assertion()).json()
        assert body["expires_in"] == 600
        claims = claims_in(body["access_token"])
        assert (claims["sub"], claims["kind"]) == (agent.uid, "Agent")
        assert agent.state(body["access_token"]) == 200
        assert agent.may_call(body["access_token"]) == 403

    @pytest.mark.parametrize("audience", ["/{tenant}/v2.0", "/common/oauth2/v2.0/token"])
    def test_the_issuer_and_an_alias_are_its_audience_too(
        self, agent: Agent, audience: str
    ) -> None:
        url = BASE + audience.format(tenant=agent.tenant)
        assert agent.present(agent.assertion(url)).status_code == 200

    @pytest.mark.parametrize(
        "audience",
        [
            BASE,
            "https://evil.example/{tenant}/v2.0",
            "https://localhost/other/v2.0",
            "http://localhost/{tenant}/v2.0",
            "https://localhost/{tenant}/v2.0?x=1",
        ],
    )
    def test_another_audience_is_refused(self, agent: Agent, audience: str) -> None:
        answer = agent.present(agent.assertion(audience.format(tenant=agent.tenant)))
        assert refused(answer) == (400, "invalid_request", 700024)

    def test_twice_is_refused_as_unusable_not_as_a_wrong_key(self, agent: Agent) -> None:
        """invalid_client would make the agent shut everything (EDGES A12)."""
        assertion = agent.assertion()
        assert agent.present(assertion).status_code == 200
        assert refused(agent.present(assertion)) == (400, "invalid_request", 700024)
        assert agent.present(agent.assertion()).status_code == 200

    @pytest.mark.parametrize(
        ("seconds", "status"), [(-299, 200), (-300, 400), (600, 200), (601, 400)]
    )
    def test_its_time_has_two_ends(self, agent: Agent, seconds: int, status: int) -> None:
        agent.house.clock.pass_time(600)  # so that it was made after the server started
        answer = agent.present(agent.assertion(seconds=seconds))
        assert answer.status_code == status

    def test_one_made_before_the_server_started_may_have_been_used_then(self, agent: Agent) -> None:
        assert agent.present(agent.assertion(seconds=-1)).status_code == 200
        answer = agent.present(agent.assertion(seconds=-2))
        assert refused(answer) == (400, "invalid_request", 700024)
        assert "before this server started" in answer.json()["error_description"]

    def test_another_key_is_refused(self, agent: Agent) -> None:
        agent.key = Ed25519PrivateKey.generate()
        assert refused(agent.present(agent.assertion())) == (401, "invalid_client", 700027)

    def test_another_machines_name_is_refused(self, agent: Agent) -> None:
        answer = agent.present(agent.assertion(uid=str(uuid.uuid4())))
        assert refused(answer)[0] == 400

    def test_a_deleted_machine_is_told_apart(self, agent: Agent) -> None:
        agent.house.call("DELETE", agent.house.machine("web-1"), version="2024-07-01")
        assert refused(agent.present(agent.assertion())) == (401, "invalid_client", 700016)

    def test_a_key_or_another_algorithm_in_the_header_is_never_followed(self, agent: Agent) -> None:
        stranger = OKPKey.generate_key("Ed25519")
        with_key = agent.signed(
            {"alg": "Ed25519", "jwk": stranger.as_dict(private=False)}, {}, stranger
        )
        rsa = agent.signed({"alg": "RS256"}, {}, RSAKey.generate_key(2048))
        unsigned = agent.signed({"alg": "Ed25519"}, {}, stranger).split(".")
        unsigned[0] = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        for assertion in (with_key, rsa, ".".join([*unsigned[:2], ""]), "x", "a.b.c", "\u00e9.b.c"):
            assert refused(agent.present(assertion)) == (401, "invalid_client", 700027)

    @pytest.mark.parametrize(
        "claims",
        [
            {"jti": ""},
            {"jti": 7},
            {"jti": "x" * 129},
            {"exp": "soon"},
            {"exp": True},
            {"exp": 10**30},
            {"iat": None},
            {"aud": []},
            {"aud": ["https://localhost/common/v2.0", "https://evil.example"]},
            {"sub": "other"},
        ],
    )
    def test_malformed_claims_are_refused(self, agent: Agent, claims: dict[str, Any]) -> None:
        key = OKPKey.import_key(agent.key)
        answer = agent.present(agent.signed({"alg": "Ed25519"}, claims, key))
        assert refused(answer) == (400, "invalid_request", 700024)


class TestRevocation:
    """A token is a memory of a proof; the proof gone, so is the token (EDGES A12, B3)."""

    def test_a_disabled_credential_voids_its_tokens(self, desk: Desk) -> None:
        token = desk.ask().json()["access_token"]
        desk.put_credential(is_enabled=False)
        assert desk.may_call(token) == 401

    def test_so_does_a_new_secret(self, desk: Desk) -> None:
        token = desk.ask().json()["access_token"]
        desk.put_credential(proof=sha256_hex(new_secret()))
        assert desk.may_call(token) == 401

    def test_so_does_a_replaced_agents_key(self, agent: Agent) -> None:
        token = agent.present(agent.assertion()).json()["access_token"]
        agent.key = Ed25519PrivateKey.generate()
        agent.enrol()
        assert agent.state(token) == 401
        fresh = agent.present(agent.assertion()).json()["access_token"]
        assert agent.state(fresh) == 200

    def test_so_does_time(self, desk: Desk) -> None:
        token = desk.ask().json()["access_token"]
        desk.house.clock.pass_time(3599)
        assert desk.may_call(token) == 200
        desk.house.clock.pass_time(1)
        assert desk.may_call(token) == 401

    def test_a_token_of_one_kind_is_none_of_another(self, desk: Desk) -> None:
        house = desk.house
        as_agent = house.token(desk.client_id, PrincipalKind.AGENT, sha256_hex(SECRET))
        assert desk.may_call(as_agent) == 401
