"""One request for a token: the form, and whether a program's own is granted. Pure.

RFC 6749 sections 2.3.1, 4.1.3, 4.4, 6 and 5.2, RFC 7521 section 4.2 (a signed assertion
instead of a secret), RFC 7636 (PKCE), RFC 8628. The numbers are Entra ID's AADSTS codes,
because az and MSAL print the description and people search for the number. Unknown clients
and wrong secrets get one answer; that a right secret is disabled or has expired is told to
its holder. What is not here: people's codes and tokens (``services.tokens``).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from bascule.domain.access import PrincipalKind
from bascule.domain.clients import client_name
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.identity.assertions import AssertionRefused, OneUse, Why, check_assertion
from bascule.identity.authenticate import name_of_proof
from bascule.identity.certificates import check_certificate_assertion
from bascule.identity.realm import EVERYTHING, Realm
from bascule.identity.secrets import is_same_secret

CLIENT_CREDENTIALS = "client_credentials"
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  # reason: the name of a grant
PASSWORD = "password"  # noqa: S105  # reason: as above
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SHORT_DEVICE_CODE = "device_code"  # as MSAL for JavaScript writes it
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MOST_FIELDS = 32
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1
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
    """A program's own token: it has proved itself."""

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


@dataclass(frozen=True, slots=True)
class CodeRequest:
    client_id: str
    code: str
    redirect_uri: str
    challenge: str  # made of the verifier that came


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    client_id: str
    device_code: str


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    client_id: str
    refresh_token: str
    scope: str


@dataclass(frozen=True, slots=True)
class PasswordRequest:
    client_id: str
    user_name: str
    password: str
    scope: str

    def __repr__(self) -> str:
        return f"PasswordRequest({self.client_id!r})"


Asked = TokenRequest | CodeRequest | DeviceRequest | RefreshRequest | PasswordRequest

WRONG_SCOPE = Refused(
    "invalid_scope",
    70011,
    "The scope must be this server's URL, as you reach it, and /.default; for the Graph the "
    "same with /graph/.default.",
)
_UNKNOWN = Refused(
    "invalid_client",
    7000215,
    "Invalid client id or secret provided. Send the secret's value as it was shown when it was "
    "made. An owner can make a new one: bascule sp add-secret (if no owner can sign in: bascule "
    "admin recover).",
    401,
)
_UNKNOWN_AGENT = Refused(
    "invalid_client",
    700016,
    "No enrolled agent has this identity, because its machine was deleted or its key replaced. "
    "Enrol again: bascule machine enrol NAME.",
    401,
)


def read_form(body: bytes) -> dict[str, str] | Refused:
    """The fields of an application/x-www-form-urlencoded body."""
    form = _fields(body)
    if form is None:
        return Refused(
            "invalid_request", 9002313, "The form is malformed or names a parameter twice."
        )
    return form


def parse_token_request(body: bytes) -> Asked | Refused:
    """Read the body of a call to the token endpoint."""
    form = read_form(body)
    if isinstance(form, Refused):
        return form
    grant_type = form.get("grant_type", "")
    if not grant_type:
        return missing("grant_type")
    parse = _GRANTS.get(grant_type)
    if parse is None:
        return Refused(
            "unsupported_grant_type",
            70003,
            f"This server grants tokens for grant_type={', '.join(_GRANTS)}.",
        )
    if not form.get("client_id"):
        return missing("client_id")
    if not form.get("scope") and form.get("resource"):  # of the endpoints without v2.0
        form["scope"] = form["resource"] + EVERYTHING
    return parse({**form, "client_id": form["client_id"].casefold()})


def _client_credentials(form: Mapping[str, str]) -> TokenRequest | Refused:
    return _with_proof(form) if form.get("scope") else missing("scope")


def _code(form: Mapping[str, str]) -> CodeRequest | Refused:
    for name in ("code", "redirect_uri", "code_verifier"):
        if not form.get(name):
            return missing(name)
    verifier = form["code_verifier"]
    if _VERIFIER.fullmatch(verifier) is None:
        return Refused(
            "invalid_request", 501491, "The code_verifier must have 43 to 128 plain characters."
        )
    challenge = challenge_of(verifier)
    return _public(form) or CodeRequest(
        form["client_id"], form["code"], form["redirect_uri"], challenge
    )


def challenge_of(verifier: str) -> str:
    """RFC 7636 section 4.2, S256."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _device_code(form: Mapping[str, str]) -> DeviceRequest | Refused:
    code = form.get("device_code") or form.get("code")  # MSAL sends both
    if not code:
        return missing("device_code")
    return _public(form) or DeviceRequest(form["client_id"], code)


def _refresh_token(form: Mapping[str, str]) -> RefreshRequest | Refused:
    for name in ("refresh_token", "scope"):
        if not form.get(name):
            return missing(name)
    return _public(form) or RefreshRequest(form["client_id"], form["refresh_token"], form["scope"])


def _password(form: Mapping[str, str]) -> PasswordRequest | Refused:
    for name in ("username", "password", "scope"):
        if not form.get(name):
            return missing(name)
    return _public(form) or PasswordRequest(
        form["client_id"], form["username"], form["password"], form["scope"]
    )


_GRANTS: Mapping[str, Callable[[Mapping[str, str]], Asked | Refused]] = {
    CLIENT_CREDENTIALS: _client_credentials,
    AUTHORIZATION_CODE: _code,
    DEVICE_CODE: _device_code,
    SHORT_DEVICE_CODE: _device_code,
    REFRESH_TOKEN: _refresh_token,
    PASSWORD: _password,
}


def _public(form: Mapping[str, str]) -> Refused | None:
    return None if client_name(form["client_id"]) else unknown_client(form["client_id"])


def unknown_client(client_id: str) -> Refused:
    """For a person's flow, in which only public clients take part."""
    return Refused(
        "unauthorized_client",
        700016,
        f"Application '{client_id[:60]}' is not known here. People can sign in with the Azure "
        f"CLI, the Azure SDKs with its client id, Azure PowerShell and bascule.",
    )


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
    return TokenRequest(form["client_id"], form["scope"], secret, assertion)


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
    since: datetime,
    now: datetime,
) -> tuple[Granted, OneUse] | Refused:
    """``machine`` and ``point`` are the stored ones of the request's client id, a machine uid.

    Granted if the assertion was not used before, which the caller asks the store.
    """
    if machine is None or point is None:
        return _UNKNOWN_AGENT
    checked = check_assertion(
        request.assertion, machine.uid, point.public_key, realm.is_assertion_audience, since, now
    )
    if isinstance(checked, AssertionRefused):
        return refused_assertion(checked)
    proof = name_of_proof(point.public_key)
    granted = _for_audience(machine.uid, PrincipalKind.AGENT, proof, request.scope, realm)
    return granted if isinstance(granted, Refused) else (granted, checked)


def refused_assertion(refused: AssertionRefused) -> Refused:
    """invalid_client tells an agent that its key is refused, and it closes everything (EDGES
    A12); an assertion that is merely stale is an invalid_request, and it tries a fresh one.
    """
    if refused.why is Why.NOT_THE_KEY:
        return Refused("invalid_client", 700027, refused.message, 401)
    return Refused("invalid_request", 700024, refused.message)


def decide_by_certificate(
    request: TokenRequest,
    principal: ServicePrincipal | None,
    credentials: Sequence[Credential],
    realm: Realm,
    now: datetime,
) -> Granted | Refused:
    """``principal`` and ``credentials`` are the stored ones of the request's client id.

    An assertion may come again until its end, since MSAL sends one for nine minutes.
    """
    certificates = [
        each
        for each in credentials
        if each.kind is CredentialKind.CERTIFICATE and each.holds_at(now)
    ]
    checked = check_certificate_assertion(
        request.assertion, request.client_id, certificates, realm.is_assertion_audience, now
    )
    if principal is None or isinstance(checked, str):
        why = checked if isinstance(checked, str) else "it belongs to no client here"
        return Refused("invalid_client", 700027, f"The client assertion is refused: {why}.", 401)
    if not principal.is_enabled:
        return Refused("invalid_client", 7000112, "This client is disabled.", 401)
    proof = name_of_proof(checked.proof)
    return _for_audience(principal.id, PrincipalKind.SERVICE, proof, request.scope, realm)


def _for_audience(
    principal_id: str, kind: PrincipalKind, credential: str, scope: str, realm: Realm
) -> Granted | Refused:
    audience = realm.audience_of(scope)
    if audience is None:
        return WRONG_SCOPE
    return Granted(principal_id, kind, credential, audience)


def missing(name: str) -> Refused:
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
