"""Access tokens: signed statements of who somebody is, for an hour or ten minutes.

RFC 9068 (JWT profile for access tokens: typ ``at+jwt``) with the claims that Entra ID's
application tokens carry (oid, appid, tid, idtyp). RS256, because that is what verifiers
of such tokens expect. A token is taken only as this module writes it: the algorithm is
fixed, the header holds nothing but alg, typ and kid, and a key in a header is never used
(EDGES B5). That somebody may still call is asked of the store on each call, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from bascule.domain.access import PrincipalKind
from bascule.errors import AuthenticationFailed, ConfigurationError
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present
from bascule.identity.realm import Realm

SIGNING_KEY = "token-signing.key"
ALGORITHM = "RS256"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # reason: a media type, not a secret
KEY_BITS = 2048
KEPT_TOKENS = 4096  # whose signature need not be checked again
LONGEST_TOKEN = 4096  # characters; ours have about 900
LIFE: Mapping[PrincipalKind, timedelta] = {
    PrincipalKind.USER: timedelta(hours=1),
    PrincipalKind.SERVICE: timedelta(hours=1),
    PrincipalKind.AGENT: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says, its signature, issuer, audience and end checked."""

    principal_id: str
    kind: PrincipalKind
    tenant_id: str
    issuer: str
    audience: str
    credential: str  # names the secret or key that was the proof
    id: str  # jti
    issued_at: datetime
    expires_at: datetime


class TokenIssuer:
    """Signs and checks tokens with a key that lives in the data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Read the signing key, made on the first start; raise ConfigurationError."""
        self._key = _read_or_make_key(data_dir / SIGNING_KEY)
        self._kid = self._key.thumbprint()
        # A signature that was right stays right; whether it may still be used is asked anew
        # on each call. Only tokens that we signed are kept.
        self._said = lru_cache(maxsize=KEPT_TOKENS)(lambda token: _claims_of(self._decode(token)))

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public half, RFC 7517."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "use": "sig", "alg": ALGORITHM}]}

    def issue(
        self,
        principal_id: str,
        kind: PrincipalKind,
        credential: str,
        tenant_id: str,
        issuer: str,
        audience: str,
        token_id: str,
        now: datetime,
    ) -> str:
        """A token for a principal that has just proved itself; it lives LIFE[kind].

        ``credential`` names the proof, so that the token dies with it.
        """
        issued_at = int(now.timestamp())
        claims = {
            "iss": issuer,
            "aud": audience,
            "sub": principal_id,
            "oid": principal_id,
            "appid": principal_id,
            "tid": tenant_id,
            "idtyp": "app",
            "kind": str(kind),
            "proof": credential,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(LIFE[kind].total_seconds()),
            "jti": token_id,
            "ver": "2.0",
        }
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self._kid}
        return jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])

    def verify(
        self, token: str, realm: Realm, now: datetime, *, is_for_graph: bool = False
    ) -> AccessToken:
        """What ``token`` says; raise AuthenticationFailed unless all of it is right.

        ``is_for_graph``: it may also be one that is good for nothing but the Graph's routes.
        """
        said = self._said(token)
        if said.tenant_id != realm.tenant_id:
            raise _invalid("it is of another tenant", "InvalidAuthenticationTokenTenant")
        if not realm.is_issuer(said.issuer):
            raise _invalid("its issuer is not this server")
        is_graph = is_for_graph and realm.is_graph_audience(said.audience)
        if not (is_graph or realm.is_audience(said.audience)):
            raise _invalid("it is for another service", "InvalidAuthenticationTokenAudience")
        if said.expires_at <= now:
            raise _invalid("it has expired", "ExpiredAuthenticationToken")
        if said.issued_at > now + timedelta(minutes=5):
            raise _invalid("it is from the future: this server's clock went back")
        return said

    def _decode(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise _invalid("it is not one of ours")
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
        except (JoseError, ValueError) as error:
            raise _invalid("it is not one of ours") from error
        if decoded.header != {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self._kid}:
            raise _invalid("it is not one of ours")
        return decoded.claims


def _claims_of(claims: Mapping[str, Any]) -> AccessToken:
    """The claims as a value; another kind of token that our key signed is refused."""
    try:
        if claims["idtyp"] != "app" or claims["oid"] != claims["sub"]:
            raise _invalid("it is not an application's access token")
        texts = [claims[name] for name in ("sub", "tid", "iss", "aud", "proof", "jti")]
        if not all(isinstance(text, str) and text for text in texts):
            raise _invalid("a claim is not a text")
        principal_id, tenant_id, issuer, audience, credential, token_id = texts
        return AccessToken(
            principal_id,
            PrincipalKind(claims["kind"]),
            tenant_id,
            issuer,
            audience,
            credential,
            token_id,
            datetime.fromtimestamp(claims["iat"], UTC),
            datetime.fromtimestamp(claims["exp"], UTC),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise _invalid("a claim is missing or malformed") from error


def _invalid(why: str, code: str = "InvalidAuthenticationToken") -> AuthenticationFailed:
    return AuthenticationFailed(
        f"The access token is refused: {why}.",
        code=code,
        advice="Sign in again and repeat the call with the new token.",
    )


def _read_or_make_key(path: Path) -> RSAKey:
    pem = read_if_present(path)
    if pem is None:
        key = RSAKey.generate_key(KEY_BITS, private=True)
        write_atomically(path, key.as_pem(private=True), PRIVATE)
        return key
    try:
        key = RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is damaged: {error}.",
            advice="Remove it: the next start makes a new one, and everybody signs in again.",
        ) from error
    if not key.is_private:
        raise ConfigurationError(
            f"{path} holds no private key.",
            advice="Remove it: the next start makes a new one, and everybody signs in again.",
        )
    return key
