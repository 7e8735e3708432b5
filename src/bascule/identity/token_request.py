"""One request for a token: the form, and whether it is granted. Pure.

RFC 6749 sections 2.3.1, 4.4 and 5.2 (client credentials and the errors), RFC 7521
section 4.2 (a signed assertion instead of a secret). The numbers are Entra ID's AADSTS
codes, because az and MSAL print the description and people search for the number.
Unknown clients and wrong secrets get one answer; that a right secret is disabled or has
expired is told to him who holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from bascule.domain.access import PrincipalKind
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.identity.assertions import UsedAssertions, Why, check_assertion
from bascule.identity.authenticate import name_of_proof
from bascule.identity.realm import Realm
from bascule.identity.secrets import is_same_secret

CLIENT_CREDENTIALS = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MOST_FIELDS = 32
_NOBODY = "0" * 64  # compared with when the client is unknown, so that this takes as long


@dataclass(frozen=True, slots=True)
class Refused:
    """RFC 6749 section 5.2, with Entra ID's number."""

    error: str
    number: int  # AADSTS
    message: str
    status: int = 400

    @property
    def description(self) -> str:
        return f"AADSTS{self.number}: {self.message}"


@dataclass(frozen=True, slots=True)
class Granted:
    principal_id: str
    kind: PrincipalKind
    credential: str  # the name of the proof that it rests on
    audience: str


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A client_credentials request with one proof: a secret or an assertion."""

    client_id: str
    scope: str
    secret: str  # empty: there is an assertion instead
    assertion: str


_UNKNOWN = Refused(
    "invalid_client",
    7000215,
    "Invalid client id or secret provided. Send the secret's value as it was shown when it was "
    "made; an administrator can make new ones with: bascule admin recover.",
    401,
)
_UNKNOWN_AGENT = Refused(
    "invalid_client",
    700016,
    "No enrolled agent has this identity: its machine was deleted or its key replaced. "
    "Enrol again with: bascule machine enrol NAME.",
    401,
)


def parse_token_request(body: bytes) -> TokenRequest | Refused:
    """Read an application/x-www-form-urlencoded body."""
    form = _fields(body)
    if form is None:
        return Refused(
            "invalid_request", 9002313, "The form is malformed or names a parameter twice."
        )
    grant_type = form.get("grant_type", "")
    if not grant_type:
        return _missing("grant_type")
    if grant_type != CLIENT_CREDENTIALS:
        return Refused(
            "unsupported_grant_type",
            70003,
            f"This server grants tokens for grant_type={CLIENT_CREDENTIALS} only.",
        )
    for name in ("client_id", "scope"):
        if not form.get(name):
            return _missing(name)
    return _with_proof(form)


def _with_proof(form: Mapping[str, str]) -> TokenRequest | Refused:
    secret, assertion = form.get("client_secret", ""), form.get("client_assertion", "")
    if bool(secret) == bool(assertion):
        return Refused(
            "invalid_request",
            7000216,
            "Send exactly one of 'client_secret' and 'client_assertion'.",
        )
    if assertion and form.get("client_assertion_type") != ASSERTION_TYPE:
        return Refused(
            "invalid_request", 900144, f"'client_assertion_type' must be {ASSERTION_TYPE}."
        )
    return TokenRequest(form["client_id"].casefold(), form["scope"], secret, assertion)


def decide_by_secret(
    request: TokenRequest,
    principal: ServicePrincipal | None,
    credentials: Sequence[Credential],
    realm: Realm,
    now: datetime,
) -> Granted | Refused:
    """``principal`` and ``credentials`` are the stored ones of the request's client id."""
    secrets = [each for each in credentials if each.kind is CredentialKind.SECRET]
    # Each is compared, whichever fits: how long it takes tells nothing.
    fitting = [each for each in secrets if is_same_secret(request.secret, each.proof)]
    if not secrets:
        is_same_secret(request.secret, _NOBODY)
    if principal is None or not fitting:
        return _UNKNOWN
    if not principal.is_enabled:
        return Refused("invalid_client", 7000112, "This client is disabled.", 401)
    usable = [each for each in fitting if each.holds_at(now)]
    if not usable:
        return Refused("invalid_client", 7000222, "This client's secret has expired.", 401)
    return _for_audience(
        principal.id, PrincipalKind.SERVICE, name_of_proof(usable[0].proof), request.scope, realm
    )


def decide_by_assertion(
    request: TokenRequest,
    machine: Machine | None,
    point: EnforcementPoint | None,
    realm: Realm,
    used: UsedAssertions,
    now: datetime,
) -> Granted | Refused:
    """``machine`` and ``point`` are the stored ones of the request's client id, a machine uid.

    invalid_client tells an agent that its key is refused, and it shuts everything (EDGES
    A12); an assertion that is merely stale is an invalid_request, and it tries a fresh one.
    """
    if machine is None or point is None:
        return _UNKNOWN_AGENT
    refused = check_assertion(
        request.assertion, machine.uid, point.public_key, realm.is_assertion_audience, used, now
    )
    if refused is None:
        proof = name_of_proof(point.public_key)
        return _for_audience(machine.uid, PrincipalKind.AGENT, proof, request.scope, realm)
    if refused.why is Why.NOT_THE_KEY:
        return Refused("invalid_client", 700027, refused.message, 401)
    return Refused("invalid_request", 700024, refused.message)


def _for_audience(
    principal_id: str, kind: PrincipalKind, credential: str, scope: str, realm: Realm
) -> Granted | Refused:
    audience = realm.audience_of(scope)
    if audience is None:
        return Refused(
            "invalid_scope",
            70011,
            "The scope must be this server's URL, as you reach it, and /.default.",
        )
    return Granted(principal_id, kind, credential, audience)


def _missing(name: str) -> Refused:
    return Refused(
        "invalid_request",
        900144,
        f"The request body must contain the following parameter: '{name}'.",
    )


def _fields(body: bytes) -> dict[str, str] | None:
    """The form's fields; None when it is no form or repeats one (RFC 6749 section 3.2)."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None
