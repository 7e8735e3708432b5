"""From a token to a Subject, and from proof of identity to what a token may say.

A token is a memory of a proof; whether its holder may still call is asked of the store at
every call. A disabled or expired credential, a deleted machine, a secret or a key that was
replaced: each voids the tokens that came of it at once (EDGES A12, B3, B5).
What is not here: the OAuth wire (``api.oauth``), what a Subject may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.errors import AuthenticationFailed
from bascule.identity.secrets import sha256_hex
from bascule.identity.tokens import AccessToken
from bascule.interfaces import Credential, Reader

SCHEME = "Bearer"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody the store knows and lets in now."""

    id: str
    kind: PrincipalKind
    name: str
    credential: str  # a short name of the secret or key that proves it, never either itself


def service_of(credential: Credential, now: datetime) -> Principal | None:
    """The service principal of a credential that works at ``now``, else None."""
    is_over = credential.expires_at is not None and credential.expires_at <= now
    if is_over or not credential.is_enabled:
        return None
    return Principal(
        credential.client_id,
        PrincipalKind.SERVICE,
        credential.display_name,
        name_of_proof(credential.secret_hash),
    )


def agent_of(machine: Machine, point: EnforcementPoint) -> Principal:
    return Principal(
        machine.uid, PrincipalKind.AGENT, machine.id.name, name_of_proof(point.public_key)
    )


def name_of_proof(stored: str) -> str:
    """A name for a stored hash or public key: tells it from its successor, reveals nothing."""
    return sha256_hex(stored)[:16]


def find_principal(
    reader: Reader, kind: PrincipalKind, principal_id: str, now: datetime
) -> Principal | None:
    """The principal as the store knows it now; None when it may not call (any more)."""
    if kind is PrincipalKind.SERVICE:
        credential = reader.credential(principal_id)
        return None if credential is None else service_of(credential, now)
    machine = reader.machine_by_uid(principal_id)
    point = reader.enforcement_point(principal_id)
    return None if machine is None or point is None else agent_of(machine, point)


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
    if principal is None or principal.credential != token.credential:
        raise AuthenticationFailed(
            "The access token was revoked: its credential was disabled, replaced or has expired.",
            code="AgentUnknown" if _is_gone_agent(token, principal) else "RevokedToken",
            advice="Sign in again; if that fails, ask an administrator for new credentials.",
        )
    return Subject(principal.id, principal.kind, principal.name, address)


def _is_gone_agent(token: AccessToken, principal: Principal | None) -> bool:
    return token.kind is PrincipalKind.AGENT and principal is None
