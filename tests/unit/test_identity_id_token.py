"""ID tokens: taken only when every part is right; each deny beside its allow."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from bascule.errors import AuthenticationFailed
from bascule.identity.id_token import Expected, UnknownKey, read_id_token
from bascule.identity.secrets import sha256_hex
from tests.samples import NOW

RSA = RSAKey.generate_key(2048)
OTHER = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519")
KEYS = [
    {**key.as_dict(private=False), "kid": kid, "use": "sig"}
    for key, kid in ((RSA, "rsa"), (EC, "ec"), (ED, "ed"))
]
ISSUER = "https://login.corp.example"
EXPECTED = Expected(ISSUER, "bascule", sha256_hex("the nonce"), "the access token")
AT = int(NOW.timestamp())
CLAIMS = {
    "iss": ISSUER,
    "aud": "bascule",
    "sub": "anna",
    "exp": AT + 300,
    "iat": AT,
    "nonce": "the nonce",
}


def at_hash(access_token: str, how: Any = hashlib.sha256) -> str:
    digest = how(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def token(
    key: Any = RSA, alg: str = "RS256", kid: str | None = "rsa", head: Any = None, **claims: Any
) -> str:
    header = {"alg": alg, **({"kid": kid} if kid else {}), **(head or {})}
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jwt.encode(header, said, key, algorithms=[alg], registry=registry)


def encoded(what: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(what).encode()).decode().rstrip("=")


def read(text: str, keys: Any = KEYS, expected: Expected = EXPECTED) -> Any:
    return read_id_token(text, keys, expected, NOW)


def refusal(text: str, keys: Any = KEYS) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        read(text, keys)
    return caught.value.message


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [(RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (EC, "ES256", "ec"), (ED, "Ed25519", "ed")],
)
def test_algorithms_that_are_taken(key: Any, alg: str, kid: str) -> None:
    assert read(token(key, alg, kid))["sub"] == "anna"


def test_algorithms_that_are_not() -> None:
    """Among them the key set's public key as an HMAC secret, the oldest of these tricks."""
    head, body = encoded({"alg": "HS256", "kid": "rsa"}), encoded(CLAIMS)
    made = hmac.digest(RSA.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    signed = f"{head}.{body}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"
    assert "its algorithm is 'HS256'" in refusal(signed)
    assert "its algorithm is 'RS384'" in refusal(token(RSA, "RS384"))
    for alg in ("none", "None", "", 7, None):
        assert "its algorithm is" in refusal(f"{encoded({'alg': alg})}.{body}.")


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c", "a.b.c.d", "W10.e30.x", "ä.b.c", "." * 70_000]
)
def test_what_is_no_signed_token(text: str) -> None:
    assert "it is not a signed token" in refusal(text)


def test_a_key_is_of_the_key_set_and_fits_the_algorithm() -> None:
    assert "does not have" in refusal(token(kid="unknown"))
    assert "signature is wrong" in refusal(token(OTHER))
    assert "does not have" in refusal(token(kid="ec")), "a key of another kind"
    encryption = [{**KEYS[0], "use": "enc"}]
    assert "does not have" in refusal(token(), encryption)
    for_another = [{**KEYS[0], "alg": "PS256"}]
    assert "does not have" in refusal(token(), for_another)
    assert read(token(kid=None))["sub"] == "anna", "without a kid, the only one of its kind"
    two = [*KEYS, {**OTHER.as_dict(private=False), "kid": "other"}]
    with pytest.raises(UnknownKey, match="name its signing key"):
        read(token(kid=None), two)
    twice = [KEYS[0], {**OTHER.as_dict(private=False), "kid": "rsa"}]
    with pytest.raises(UnknownKey):
        read(token(), twice)
    assert "malformed" in refusal(token(), [{"kty": "RSA", "kid": "rsa", "n": "AQAB"}])


def test_a_short_key_is_refused() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505  # reason: what is to be refused
    modulus = base64.urlsafe_b64encode(numbers.n.to_bytes(128, "big")).decode().rstrip("=")
    short = {"kty": "RSA", "kid": "rsa", "n": modulus, "e": "AQAB"}
    assert "fewer than 2048 bits" in refusal(token(), [short])


def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    brought = {"jwk": OTHER.as_dict(private=False), "jku": "https://evil.example/keys"}
    assert "signature is wrong" in refusal(token(OTHER, head=brought))
    assert read(token(head={"jku": "https://evil.example/keys", "custom": "x"}))["sub"] == "anna"


def test_critical_extensions_are_refused() -> None:
    head = encoded({"alg": "RS256", "crit": ["b64"]})
    assert "not understood" in refusal(f"{head}.e30.x")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": f"{ISSUER}/"}, "another issuer"),
        ({"iss": ...}, "another issuer"),
        ({"aud": "other"}, "another client"),
        ({"aud": []}, "another client"),
        ({"aud": {"bascule": 1}}, "another client"),
        ({"aud": ...}, "another client"),
        ({"aud": ["bascule", "other"]}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"aud": ["bascule", "other"], "azp": "other"}, "azp"),
        ({"exp": AT - 60}, "expired"),
        ({"exp": ...}, "its exp is missing"),
        ({"exp": "tomorrow"}, "its exp is missing"),
        ({"exp": True}, "its exp is missing"),
        ({"iat": ...}, "its iat is missing"),
        ({"iat": AT + 61}, "issued in the future"),
        ({"iat": AT - 601}, "too old"),
        ({"nbf": AT + 61}, "is not valid yet"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"nonce": ["the nonce"]}, "nonce"),
        ({"at_hash": at_hash("another")}, "at_hash"),
        ({"at_hash": 7}, "at_hash"),
        ({"at_hash": ""}, "at_hash"),
    ],
)
def test_claims_that_are_refused(claims: dict[str, Any], why: str) -> None:
    assert why in refusal(token(**claims))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["bascule"]},
        {"aud": ["bascule", "other"], "azp": "bascule"},
        {"azp": "bascule"},
        {"exp": AT - 59},
        {"iat": AT + 60},
        {"iat": AT - 600},
        {"nbf": AT + 60},
        {"at_hash": at_hash("the access token")},
    ],
)
def test_claims_that_are_taken(claims: dict[str, Any]) -> None:
    assert read(token(**claims))["sub"] == "anna"


def test_the_access_tokens_hash_is_of_the_signatures_kind() -> None:
    long = at_hash("the access token", hashlib.sha512)
    assert read(token(ED, "Ed25519", "ed", at_hash=long))["sub"] == "anna"
    assert "at_hash" in refusal(token(ED, "Ed25519", "ed", at_hash=at_hash("the access token")))


def test_a_renewed_token_needs_no_nonce() -> None:
    renewed = Expected(ISSUER, "bascule", None, "")
    assert read(token(nonce=...), expected=renewed)["sub"] == "anna"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"[" * 20_000,
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b"",
        b'{"iss": {"a": 1}, "exp": 1e999}',
    ],
    ids=lambda payload: payload[:12].decode("latin-1"),
)
def test_a_payload_of_ill_will_is_refused_as_any_other(payload: bytes) -> None:
    """The provider's own key signed it, and still it is nobody's fault but its own."""
    text = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA, ["RS256"])
    assert "refused" in refusal(text)


@pytest.mark.parametrize("alg", [[], {}, ["RS256"], 1, True], ids=repr)
def test_an_algorithm_that_is_no_text_is_refused(alg: object) -> None:
    assert "its algorithm is" in refusal(f"{encoded({'alg': alg})}.{encoded(CLAIMS)}.c2ln")


@pytest.mark.parametrize("name", ["nonce", "at_hash"])
@pytest.mark.parametrize("said", ["\ud800", "\u00e9", "", 5, []], ids=repr)
def test_what_is_compared_may_be_any_value(name: str, said: object) -> None:
    """JSON carries half a surrogate pair, which no encoding takes."""
    payload = json.dumps({**CLAIMS, name: said}).encode()
    text = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA, ["RS256"])
    assert f"its {name} does not match" in refusal(text)


@pytest.mark.parametrize("end", [math.nan, math.inf, 10**400, -(10**400)])
def test_an_end_that_never_comes_is_none(end: float) -> None:
    payload = json.dumps({**CLAIMS, "exp": end}).encode()
    text = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA, ["RS256"])
    assert "exp is missing or not a number" in refusal(text)
