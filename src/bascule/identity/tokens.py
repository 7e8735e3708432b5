"""Access and id tokens: signed statements of who somebody is, for an hour or ten minutes.

RFC 9068 (JWT profile for access tokens: typ ``at+jwt``) with the claims that Entra ID's
tokens carry (oid, appid, tid, idtyp; of people scp, upn, amr). RS256, because that is what
verifiers of such tokens expect. A token is taken only as this module writes it: the algorithm
is fixed, the header holds nothing but alg, typ and kid, and a key in a header is never used
(EDGES B5). An id token has another typ, so none is ever taken as a bearer token. That
somebody may still call is asked of the store on each call, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import User
from bascule.domain.tokens import SignIn
from bascule.errors import AuthenticationFailed
from bascule.identity.realm import Realm
from bascule.identity.signing_keys import ALGORITHM, SigningKeys

TOKEN_TYPE = "at+jwt"  # noqa: S105  # reason: a media type, not a secret
ID_TOKEN_TYPE = "JWT"  # noqa: S105  # reason: as above
KEPT_TOKENS = 4096  # whose signature need not be checked again
LONGEST_TOKEN = 4096  # characters; ours have about 1,200
LIFE: Mapping[PrincipalKind, timedelta] = {
    PrincipalKind.USER: timedelta(hours=1),
    PrincipalKind.SERVICE: timedelta(hours=1),
    PrincipalKind.AGENT: timedelta(minutes=10),
}
_IDTYP = {PrincipalKind.USER: "user", PrincipalKind.SERVICE: "app", PrincipalKind.AGENT: "app"}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says, its signature, issuer, audience and end checked."""

    principal_id: str
    kind: PrincipalKind
    tenant_id: str
    issuer: str
    audience: str
    credential: str  # names the secret, key or epoch that was the proof
    id: str  # jti
    key_id: str  # kid of the key that signed it
    issued_at: datetime
    expires_at: datetime
    family_id: str = ""  # a person's: the sign-in that it came of


@dataclass(frozen=True, slots=True)
class Person:
    """A user who signed in to a client: what only their tokens say."""

    user: User
    sign_in: SignIn
    client_id: str
    family_id: str

    def claims(self) -> Mapping[str, Any]:
        return {
            "name": self.user.display_name or self.user.name,
            "upn": self.user.name,
            "preferred_username": self.user.name,
            "amr": list(self.sign_in.methods),
            "auth_time": int(self.sign_in.at.timestamp()),
        }


class TokenIssuer:
    """Signs and checks tokens with the keys that live in the data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Read the signing keys, made on the first start; raise ConfigurationError."""
        self._keys = SigningKeys(data_dir)
        # A signature that was right stays right as long as its key is one of ours; whether it
        # may still be used is asked anew on each call. Only tokens that we signed are kept.
        self._said = lru_cache(maxsize=KEPT_TOKENS)(self._read)

    def jwks(self, now: datetime) -> dict[str, list[dict[str, Any]]]:
        """The public halves, RFC 7517; the one that signs is first."""
        return self._keys.public(now)

    def rotate(self, now: datetime, *, forget: bool = False) -> tuple[str, str]:
        """Sign with a new key from now on; ``SigningKeys.rotate`` says how."""
        return self._keys.rotate(now, forget=forget)

    def use(self, signing: bytes, retired: bytes | None) -> bool:
        """Sign and verify by these keys from now on; ``SigningKeys.use`` says how."""
        return self._keys.use(signing, retired)

    def names_unknown_key(self, token: str) -> bool:
        """Does it name a key that is none of ours, as far as is known here?"""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return False
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            return False
        return isinstance(kid, str) and self._keys.find(kid, _EVER) is None

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
        person: Person | None = None,
    ) -> str:
        """A token for a principal that has just proved itself; it lives LIFE[kind].

        ``credential`` names the proof, so that the token dies with it. ``person`` is given
        for a user, who acts through a client.
        """
        issued_at = int(now.timestamp())
        claims = {
            "iss": issuer,
            "aud": audience,
            "sub": principal_id,
            "oid": principal_id,
            "appid": principal_id if person is None else person.client_id,
            "tid": tenant_id,
            "idtyp": _IDTYP[kind],
            "kind": str(kind),
            "proof": credential,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(LIFE[kind].total_seconds()),
            "jti": token_id,
            "ver": "2.0",
        }
        if person is not None:
            claims |= {"scp": "user_impersonation", "sid": person.family_id, **person.claims()}
        return self._sign(TOKEN_TYPE, claims)

    def issue_id_token(
        self, person: Person, tenant_id: str, issuer: str, nonce: str, now: datetime
    ) -> str:
        """OpenID Connect Core section 2: tells the client who signed in, and opens nothing."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": issuer,
            "aud": person.client_id,
            "sub": person.user.id,
            "oid": person.user.id,
            "tid": tenant_id,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(LIFE[PrincipalKind.USER].total_seconds()),
            "ver": "2.0",
            **person.claims(),
            **({"nonce": nonce} if nonce else {}),
        }
        return self._sign(ID_TOKEN_TYPE, claims)

    def verify(
        self, token: str, realm: Realm, now: datetime, *, is_for_graph: bool = False
    ) -> AccessToken:
        """What ``token`` says; raise AuthenticationFailed unless all of it is right.

        ``is_for_graph``: it may also be one that is good for nothing but the Graph's routes.
        """
        said = self._said(token)
        self.check_key(said, now)
        if said.tenant_id != realm.tenant_id:
            raise _invalid("it is from another tenant", "InvalidAuthenticationTokenTenant")
        if not realm.is_issuer(said.issuer):
            raise _invalid("its issuer is not this server")
        is_graph = is_for_graph and realm.is_graph_audience(said.audience)
        if not (is_graph or realm.is_audience(said.audience)):
            raise _invalid("it is for another service", "InvalidAuthenticationTokenAudience")
        if said.expires_at <= now:
            raise _invalid("it has expired", "ExpiredAuthenticationToken")
        if said.issued_at > now + timedelta(minutes=5):
            raise _invalid("it was issued in the future: this server's clock went back")
        return said

    def check_key(self, said: AccessToken, now: datetime) -> None:
        """Raise AuthenticationFailed when the key of a token has been forgotten, or is over."""
        if not self.is_of_known_key(said, now):
            raise _not_ours()

    def is_of_known_key(self, said: AccessToken, now: datetime) -> bool:
        return self._keys.find(said.key_id, now) is not None

    def _sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        header = {"alg": ALGORITHM, "typ": typ, "kid": self._keys.kid}
        return jwt.encode(header, dict(claims), self._keys.signing, algorithms=[ALGORITHM])

    def _read(self, token: str) -> AccessToken:
        """What the token says, its signature checked by the one of our keys that it names."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise _not_ours()
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            key = self._keys.find(kid, _EVER)
            if key is None:
                raise _not_ours()
            decoded = jwt.decode(token, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _not_ours() from error
        if decoded.header != {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": kid}:
            raise _not_ours()
        return _claims_of(decoded.claims, str(kid))


_EVER = datetime.min.replace(tzinfo=UTC)  # before any key was retired: whether it still counts is


def _claims_of(claims: Mapping[str, Any], key_id: str) -> AccessToken:
    """The claims as a value; another kind of token that our key signed is refused."""
    try:
        kind = PrincipalKind(claims["kind"])
        if claims["idtyp"] != _IDTYP[kind] or claims["oid"] != claims["sub"]:
            raise _invalid("it is not an access token for its kind of principal")
        texts = [claims[name] for name in ("sub", "tid", "iss", "aud", "proof", "jti")]
        family_id = claims.get("sid", "")
        if not all(isinstance(text, str) and text for text in (*texts, family_id or "none")):
            raise _invalid("a claim is not a text")
        principal_id, tenant_id, issuer, audience, credential, token_id = texts
        return AccessToken(
            principal_id,
            kind,
            tenant_id,
            issuer,
            audience,
            credential,
            token_id,
            key_id,
            datetime.fromtimestamp(claims["iat"], UTC),
            datetime.fromtimestamp(claims["exp"], UTC),
            family_id,
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise _invalid("a claim is missing or malformed") from error


def _not_ours() -> AuthenticationFailed:
    return _invalid("it is not from this server")


def _invalid(why: str, code: str = "InvalidAuthenticationToken") -> AuthenticationFailed:
    return AuthenticationFailed(
        f"The access token is refused: {why}.",
        code=code,
        advice="Sign in again and repeat the call with the new token.",
    )
