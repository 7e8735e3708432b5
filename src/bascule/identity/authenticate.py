"""From a token to a Subject, and from proof of identity to what a token may say.

A token is a memory of a proof; whether its holder may still call is asked of the store at
every call. A disabled or expired credential, a deleted machine, a secret or a key that was
replaced: each voids the tokens that came of it at once (EDGES A12, B3, B5).
What is not here: the OAuth wire (``api.oauth``), what a Subject may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.principals import Credential, User
from bascule.errors import AuthenticationFailed
from bascule.identity.secrets import sha256_hex
from bascule.identity.tokens import AccessToken
from bascule.interfaces.callers import CallerReads

SCHEME = "Bearer"
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody the store knows and lets in now."""

    id: str
    kind: PrincipalKind
    name: str
    # Short names of the secrets, keys or epochs that prove it now, never any of themselves.
    proofs: frozenset[str]
    factor_at: datetime | None = None  # of a person: of the sign-in that the token came of
    credentials: Mapping[str, Credential] = field(default_factory=dict)  # a program's, by proof


def agent_of(machine: Machine, point: EnforcementPoint) -> Principal:
    proofs = frozenset({name_of_proof(point.public_key)})
    return Principal(machine.uid, PrincipalKind.AGENT, machine.id.name, proofs)


def name_of_proof(stored: str) -> str:
    """A name for a stored hash or public key: tells it from its successor, reveals nothing."""
    return sha256_hex(stored)[:16]


def find_principal(
    reader: CallerReads, kind: PrincipalKind, principal_id: str, now: datetime, family_id: str = ""
) -> Principal | None:
    """The principal as the store knows it now; None when it may not call (any more).

    ``family_id`` is of a person's token: the sign-in that it came of, which may be over.
    """
    if kind is PrincipalKind.SERVICE:
        return _find_service(reader, principal_id, now)
    if kind is PrincipalKind.USER:
        return _find_user(reader, principal_id, now, family_id)
    known = reader.agent_caller(principal_id)
    return None if known is None else agent_of(*known)


def _find_service(reader: CallerReads, principal_id: str, now: datetime) -> Principal | None:
    known = reader.service_caller(principal_id)
    if known is None or not known[0].is_enabled:
        return None
    service, credentials = known
    holding = [each for each in credentials if each.holds_at(now)]
    # Of a certificate that was added twice, the one that ends first counts.
    holding.sort(key=lambda each: each.expires_at or _NEVER, reverse=True)
    by_proof = {name_of_proof(each.proof): each for each in holding}
    return Principal(
        service.id,
        PrincipalKind.SERVICE,
        service.display_name,
        frozenset(by_proof),
        credentials=by_proof,
    )


def _find_user(
    reader: CallerReads, principal_id: str, now: datetime, family_id: str
) -> Principal | None:
    known = reader.user_caller(principal_id, family_id)
    if known is None or not known[0].is_enabled:
        return None
    user, family = known
    if family_id and (family is None or not family.holds(user, now)):
        return None
    factor_at = None if family is None else family.sign_in.factor_at
    return Principal(user.id, PrincipalKind.USER, user.name, frozenset({proof_of(user)}), factor_at)


def proof_of(user: User) -> str:
    """The name of a user's present epoch: raising it voids what was signed before."""
    return name_of_proof(f"{user.id}/{user.epoch}")


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header (RFC 6750 section 2.1)."""
    if not authorization:
        raise AuthenticationFailed(
            "Authentication failed. The 'Authorization' header is missing.",
            advice="Sign in and send the access token: Authorization: Bearer TOKEN.",
        )
    scheme, _, token = authorization.partition(" ")
    if scheme.casefold() != SCHEME.casefold() or not token.strip():
        raise AuthenticationFailed(
            "Authentication failed. The 'Authorization' header holds no bearer token.",
            code="InvalidAuthenticationToken",
            advice="Send the access token as: Authorization: Bearer TOKEN.",
        )
    return token.strip()


def subject_of(token: AccessToken, principal: Principal | None, address: str) -> Subject:
    """The Subject of a valid token whose principal is still known by the same proof."""
    if principal is None or token.credential not in principal.proofs:
        raise AuthenticationFailed(
            "The access token was revoked: its credential was disabled, replaced or has expired.",
            code="AgentUnknown" if _is_gone_agent(token, principal) else "RevokedToken",
            advice="Sign in again; if that fails, ask an administrator for new credentials.",
        )
    by = principal.credentials.get(token.credential)
    return Subject(
        principal.id,
        principal.kind,
        principal.name,
        address,
        factor_at=principal.factor_at,
        credential_id="" if by is None else by.key_id,
        credential_ends_at=None if by is None else by.expires_at,
    )


def _is_gone_agent(token: AccessToken, principal: Principal | None) -> bool:
    return token.kind is PrincipalKind.AGENT and principal is None
