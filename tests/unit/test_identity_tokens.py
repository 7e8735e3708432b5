"""Access tokens: taken only as they are written (EDGES B5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from bascule.api.origin import Names
from bascule.domain.access import PrincipalKind
from bascule.errors import AuthenticationFailed, ConfigurationError
from bascule.identity.authenticate import Principal, bearer_token, subject_of
from bascule.identity.realm import Realm
from bascule.identity.signing_keys import SIGNING_KEY
from bascule.identity.tokens import TokenIssuer

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
TENANT = "11111111-2222-4333-8444-555555555555"
BASE = "https://localhost:8443"
REALM = Realm(TENANT, Names(("localhost", "127.0.0.1", "::1")).is_base)
PROOF = "proof-1"
HOLDER = Principal("p-1", PrincipalKind.SERVICE, "ci", frozenset({PROOF}))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def tokens(data_dir: Path) -> TokenIssuer:
    return TokenIssuer(data_dir)


def issued(tokens: TokenIssuer, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "principal_id": HOLDER.id,
        "kind": HOLDER.kind,
        "credential": PROOF,
        "tenant_id": TENANT,
        "issuer": REALM.issuer(BASE),
        "audience": BASE,
        "token_id": "t-1",
        "now": NOW,
        **changes,
    }
    return tokens.issue(**fields)


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(each + "==")) for each in (header, claims)]
    return read[0], read[1]


class TestVerify:
    def test_what_was_issued_is_read_back(self, tokens: TokenIssuer) -> None:
        said = tokens.verify(issued(tokens), REALM, NOW)
        assert (said.principal_id, said.kind, said.credential) == ("p-1", HOLDER.kind, "proof-1")
        assert said.expires_at == NOW + timedelta(hours=1)

    def test_an_agents_lives_ten_minutes(self, tokens: TokenIssuer) -> None:
        said = tokens.verify(issued(tokens, kind=PrincipalKind.AGENT), REALM, NOW)
        assert said.expires_at == NOW + timedelta(minutes=10)

    def test_another_process_with_the_same_key_takes_it(
        self, tokens: TokenIssuer, data_dir: Path
    ) -> None:
        assert TokenIssuer(data_dir).verify(issued(tokens), REALM, NOW).id == "t-1"

    @pytest.mark.parametrize(("seconds", "is_taken"), [(3599, True), (3600, False)])
    def test_it_ends(self, tokens: TokenIssuer, seconds: int, is_taken: bool) -> None:
        later = NOW + timedelta(seconds=seconds)
        if is_taken:
            tokens.verify(issued(tokens), REALM, later)
            return
        with pytest.raises(AuthenticationFailed) as caught:
            tokens.verify(issued(tokens), REALM, later)
        assert caught.value.specific_code == "ExpiredAuthenticationToken"

    @pytest.mark.parametrize(
        "changes",
        [
            {"tenant_id": "99999999-2222-4333-8444-555555555555"},
            {"issuer": "https://evil.example/" + TENANT + "/v2.0"},
            {"issuer": BASE},
            {"issuer": "https://localhost:8443/common/v2.0"},
            {"audience": "https://evil.example"},
            {"audience": BASE + "/graph"},
            {"audience": "http://localhost:8443"},
            {"audience": "https://localhost@evil.example"},
            {"audience": ["https://localhost:8443"]},
            {"principal_id": ""},
            {"token_id": ""},
            {"now": NOW + timedelta(minutes=10)},
        ],
    )
    def test_one_wrong_claim_is_enough(self, tokens: TokenIssuer, changes: dict[str, Any]) -> None:
        token = issued(tokens, **changes)
        with pytest.raises(AuthenticationFailed):
            tokens.verify(token, REALM, NOW)

    @pytest.mark.parametrize("audience", ["https://127.0.0.1:1", "https://management.azure.com"])
    def test_every_name_of_the_server_is_an_audience(
        self, tokens: TokenIssuer, audience: str
    ) -> None:
        assert tokens.verify(issued(tokens, audience=audience), REALM, NOW).audience == audience

    @pytest.mark.parametrize("audience", [f"{BASE}/graph", f"{BASE}/graph/"])
    def test_the_graphs_audience_counts_where_it_is_asked_for_alone(
        self, tokens: TokenIssuer, audience: str
    ) -> None:
        token = issued(tokens, audience=audience)
        assert tokens.verify(token, REALM, NOW, is_for_graph=True).audience == audience
        with pytest.raises(AuthenticationFailed):
            tokens.verify(token, REALM, NOW)

    @pytest.mark.parametrize(
        "audience",
        [
            "https://evil.example/graph/",
            f"{BASE}/graph/v1.0",
            f"{BASE}/Graph/",
            f"{BASE}/graph//",
            f"{BASE}/graph/?a",
            "https://graph.microsoft.com/",
        ],
    )
    def test_what_only_looks_like_the_graphs_audience(
        self, tokens: TokenIssuer, audience: str
    ) -> None:
        with pytest.raises(AuthenticationFailed):
            tokens.verify(issued(tokens, audience=audience), REALM, NOW, is_for_graph=True)


def unsigned(token: str, _: TokenIssuer) -> str:
    header, claims = parts(token)
    return f"{part({**header, 'alg': 'none'})}.{part(claims)}."


def hmac_with_the_public_key(token: str, tokens: TokenIssuer) -> str:
    """The classic: the verifier's public key as an HMAC secret."""
    header, claims = parts(token)
    signed = f"{part({**header, 'alg': 'HS256'})}.{part(claims)}"
    public = RSAKey.import_key(tokens.jwks(NOW)["keys"][0]).as_pem(private=False)
    mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def key_in_the_header(token: str, _: TokenIssuer) -> str:
    header, claims = parts(token)
    own = RSAKey.generate_key(2048)
    return jwt.encode({**header, "jwk": own.as_dict(private=False)}, claims, own)


def same_kid_other_key(token: str, _: TokenIssuer) -> str:
    header, claims = parts(token)
    return jwt.encode(header, claims, RSAKey.generate_key(2048))


def changed_claims(token: str, _: TokenIssuer) -> str:
    header, _claims, signature = token.split(".")
    return f"{header}.{part({**parts(token)[1], 'sub': 'p-2', 'oid': 'p-2'})}.{signature}"


def too_long(token: str, _: TokenIssuer) -> str:
    return token + "A" * 5000


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        hmac_with_the_public_key,
        key_in_the_header,
        same_kid_other_key,
        changed_claims,
        too_long,
        lambda token, _: token[:-4],
        lambda *_: "",
        lambda *_: "a.b.c",
        lambda token, _: token.replace(".", "\u00b7"),
    ],
)
def test_a_forgery_is_refused(
    tokens: TokenIssuer, forge: Callable[[str, TokenIssuer], str]
) -> None:
    token = forge(issued(tokens), tokens)
    with pytest.raises(AuthenticationFailed, match="not from this server"):
        tokens.verify(token, REALM, NOW)


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"typ": None}, {"kid": "other"}, {"x5t": "a"}, {"cty": "JWT"}]
)
def test_what_our_key_signed_with_another_header_is_no_access_token(
    tokens: TokenIssuer, data_dir: Path, header: dict[str, Any]
) -> None:
    key = RSAKey.import_key((data_dir / SIGNING_KEY).read_bytes())
    good_header, claims = parts(issued(tokens))
    whole = {name: value for name, value in {**good_header, **header}.items() if value}
    with pytest.raises(AuthenticationFailed, match="not from this server"):
        tokens.verify(jwt.encode(whole, claims, key, default_type=None), REALM, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"kind": "Nobody"},
        {"idtyp": "user"},
        {"oid": "p-2"},
        {"exp": None},
        {"exp": "soon"},
        {"iat": 1e300},
    ],
)
def test_what_our_key_signed_for_another_purpose_is_no_access_token(
    tokens: TokenIssuer, data_dir: Path, claims: dict[str, Any]
) -> None:
    key = RSAKey.import_key((data_dir / SIGNING_KEY).read_bytes())
    header, good = parts(issued(tokens))
    with pytest.raises(AuthenticationFailed):
        tokens.verify(jwt.encode(header, {**good, **claims}, key), REALM, NOW)


class TestSigningKey:
    def test_is_its_owners_alone_and_published_without_its_private_half(
        self, tokens: TokenIssuer, data_dir: Path
    ) -> None:
        assert stat.S_IMODE((data_dir / SIGNING_KEY).stat().st_mode) == 0o600
        (key,) = tokens.jwks(NOW)["keys"]
        assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}

    @pytest.mark.parametrize("content", [b"rubbish", b""])
    def test_damaged_says_what_to_do(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / SIGNING_KEY).write_bytes(content)
        with pytest.raises(ConfigurationError, match="damaged") as caught:
            TokenIssuer(tmp_path)
        assert "must sign in again" in caught.value.advice

    def test_a_public_key_alone_is_none(self, tmp_path: Path, data_dir: Path) -> None:
        key = RSAKey.import_key((data_dir / SIGNING_KEY).read_bytes())
        (tmp_path / SIGNING_KEY).write_bytes(key.as_pem(private=False))
        with pytest.raises(ConfigurationError, match="no private key"):
            TokenIssuer(tmp_path)


class TestSubject:
    def test_a_token_and_a_store_that_agree(self, tokens: TokenIssuer) -> None:
        subject = subject_of(tokens.verify(issued(tokens), REALM, NOW), HOLDER, "192.0.2.1")
        assert (subject.principal_id, subject.name, subject.address) == ("p-1", "ci", "192.0.2.1")

    @pytest.mark.parametrize("principal", [None, replace(HOLDER, proofs=frozenset({"proof-2"}))])
    def test_a_revoked_one_is_refused(
        self, tokens: TokenIssuer, principal: Principal | None
    ) -> None:
        token = tokens.verify(issued(tokens), REALM, NOW)
        with pytest.raises(AuthenticationFailed) as caught:
            subject_of(token, principal, "")
        assert caught.value.specific_code == "RevokedToken"

    def test_an_agent_whose_machine_is_gone_is_told_so(self, tokens: TokenIssuer) -> None:
        token = tokens.verify(issued(tokens, kind=PrincipalKind.AGENT), REALM, NOW)
        with pytest.raises(AuthenticationFailed) as caught:
            subject_of(token, None, "")
        assert caught.value.specific_code == "AgentUnknown"

    @pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer  ", "abc"])
    def test_no_bearer_token_is_refused(self, header: str | None) -> None:
        with pytest.raises(AuthenticationFailed):
            bearer_token(header)

    def test_the_scheme_is_taken_in_any_case(self) -> None:
        assert bearer_token("bearer abc") == "abc"
