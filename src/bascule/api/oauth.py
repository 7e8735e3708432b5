"""Discovery and tokens, as Azure's clients ask for them.

Sources: CLIENTS 1.2 and 1.3 (observed from az, MSAL and azure-identity; Az PowerShell by
its source), OpenID Connect Discovery 1.0 section 3, RFC 6749 section 5, RFC 7517.
These routes need no token and no api-version. Every URL in them is by the name that the
request came by, and ``resourceManager`` has no slash at its end: go-azure-sdk would ask
for ``//subscriptions``.

Tokens are granted for client credentials alone. The browser and device endpoints are
named, because MSAL refuses a discovery document without them, and refuse in OAuth's form.
What is not here: whether a token is granted (``identity.token_request``).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bascule.api.origin import base_url, caller_address
from bascule.domain.times import format_utc
from bascule.identity.assertions import UsedAssertions
from bascule.identity.realm import Realm
from bascule.identity.steady import SteadyTime
from bascule.identity.token_request import (
    CLIENT_CREDENTIALS,
    Granted,
    Refused,
    TokenRequest,
    decide_by_assertion,
    decide_by_secret,
    parse_token_request,
)
from bascule.identity.tokens import ALGORITHM, LIFE, TokenIssuer
from bascule.interfaces import Clock, Reader, Store

log = structlog.get_logger("bascule.oauth")

CLOUD_NAME = "Bascule"
LIST_VERSION = "2019-05-01"  # the one api-version that answers a list of clouds
LONGEST_FORM = 16_384  # bytes; an assertion's form has about 1,000
NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1
FORM_TYPE = "application/x-www-form-urlencoded"


def router(*, store: Store, clock: Clock, tokens: TokenIssuer, realm: Realm) -> APIRouter:
    """The routes of one installation; ``OriginGate`` must stand before them."""
    routes = APIRouter(tags=["OAuth"])
    desk = _TokenDesk(store, clock, tokens, realm)

    @routes.get("/metadata/endpoints")
    async def cloud_metadata(request: Request) -> Response:
        cloud = cloud_endpoints(base_url(request), realm.tenant_id)
        is_list = request.query_params.get("api-version", "").startswith(LIST_VERSION)
        return JSONResponse([cloud] if is_list else cloud)

    @routes.get("/{tenant}/v2.0/.well-known/openid-configuration")
    async def openid_configuration(tenant: str, request: Request) -> Response:
        if not realm.is_tenant(tenant):
            return _refuse(_no_such_tenant(tenant), clock.now())
        return JSONResponse(openid_document(base_url(request), tenant, realm))

    @routes.get("/{tenant}/discovery/v2.0/keys")
    async def signing_keys(tenant: str) -> Response:
        if not realm.is_tenant(tenant):
            return _refuse(_no_such_tenant(tenant), clock.now())
        return JSONResponse(tokens.jwks())

    @routes.post("/{tenant}/oauth2/v2.0/token")
    async def token(tenant: str, request: Request) -> Response:
        return await desk.answer(tenant, request)

    @routes.post("/{tenant}/oauth2/v2.0/devicecode")
    async def device_code(tenant: str) -> Response:
        return _refuse(_not_offered(tenant, "unsupported_grant_type", realm), clock.now())

    @routes.get("/{tenant}/oauth2/v2.0/authorize")
    async def authorize(tenant: str) -> Response:
        return _refuse(_not_offered(tenant, "unsupported_response_type", realm), clock.now())

    return routes


def cloud_endpoints(base: str, tenant_id: str) -> dict[str, Any]:
    """A cloud's endpoints with the old and the new field names at once."""
    return {
        "name": CLOUD_NAME,
        "portal": base,
        "authentication": {
            "loginEndpoint": base,
            "audiences": [base, "https://management.azure.com/"],
            "tenant": tenant_id,
            "identityProvider": "AAD",
        },
        "resourceManager": base,
        "graph": f"{base}/graph/",
        "graphAudience": f"{base}/graph/",
        "microsoftGraphResourceId": f"{base}/graph/",
        "gallery": base,
        "suffixes": {},
        # Az PowerShell's -ARMEndpoint reads these (api-version 1.0 and 2015-01-01).
        "galleryEndpoint": base,
        "graphEndpoint": f"{base}/graph/",
        "portalEndpoint": base,
    }


def openid_document(base: str, tenant: str, realm: Realm) -> dict[str, Any]:
    """The discovery document; endpoints keep the tenant name that was asked by."""
    oauth = f"{base}/{tenant}/oauth2/v2.0"
    return {
        "issuer": realm.issuer(base),
        "authorization_endpoint": f"{oauth}/authorize",
        "token_endpoint": f"{oauth}/token",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
        "grant_types_supported": [CLIENT_CREDENTIALS],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["Ed25519"],
    }


class _TokenDesk:
    """The token endpoint: reads what the store knows of a client and answers it."""

    def __init__(self, store: Store, clock: Clock, tokens: TokenIssuer, realm: Realm) -> None:
        self._store, self._clock, self._tokens, self._realm = store, clock, tokens, realm
        self._steady = SteadyTime(clock)
        self._used = UsedAssertions(self._steady.now())

    async def answer(self, tenant: str, request: Request) -> Response:
        outcome = await self._decide(tenant, request)
        if isinstance(outcome, Refused):
            log.info(
                "token refused",
                error=outcome.error,
                number=outcome.number,
                address=caller_address(request),
            )
            return _refuse(outcome, self._steady.now())
        return JSONResponse(self._grant(outcome, base_url(request)), headers=NOT_KEPT)

    async def _decide(self, tenant: str, request: Request) -> Granted | Refused:
        if not self._realm.is_tenant(tenant):
            return _no_such_tenant(tenant)
        body = await _read_form(request)
        asked = body if isinstance(body, Refused) else parse_token_request(body)
        if isinstance(asked, Refused):
            return asked
        return await (self._by_assertion(asked) if asked.assertion else self._by_secret(asked))

    async def _by_secret(self, asked: TokenRequest) -> Granted | Refused:
        def look(reader: Reader) -> tuple[Any, Any]:
            return reader.service_principal(asked.client_id), reader.credentials_of(asked.client_id)

        principal, credentials = await self._store.read(look)
        return decide_by_secret(asked, principal, credentials, self._realm, self._clock.now())

    async def _by_assertion(self, asked: TokenRequest) -> Granted | Refused:
        uid = asked.client_id

        def look(reader: Reader) -> tuple[Any, Any]:
            return reader.machine_by_uid(uid), reader.enforcement_point(uid)

        machine, point = await self._store.read(look)
        return decide_by_assertion(
            asked, machine, point, self._realm, self._used, self._steady.now()
        )

    def _grant(self, granted: Granted, base: str) -> Mapping[str, Any]:
        seconds = int(LIFE[granted.kind].total_seconds())
        return {
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self._tokens.issue(
                granted.principal_id,
                granted.kind,
                granted.credential,
                self._realm.tenant_id,
                self._realm.issuer(base),
                granted.audience,
                str(uuid.uuid4()),
                self._clock.now(),
            ),
        }


async def _read_form(request: Request) -> bytes | Refused:
    """The body of a form, bounded before it is read whole."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return Refused("invalid_request", 900144, f"The Content-Type must be {FORM_TYPE}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return Refused("invalid_request", 9002313, "The form is too long.", 413)
    return body


def _no_such_tenant(tenant: str) -> Refused:
    return Refused(
        "invalid_request",
        90002,
        f"Tenant '{tenant[:60]}' not found. This server's tenant is in its admin.json; "
        "'organizations' and 'common' name it too.",
    )


def _not_offered(tenant: str, error: str, realm: Realm) -> Refused:
    if not realm.is_tenant(tenant):
        return _no_such_tenant(tenant)
    return Refused(
        error,
        70003,
        "Sign-in in a browser or with a device code is not offered; use a client id and secret.",
    )


def _refuse(refused: Refused, now: datetime) -> Response:
    """RFC 6749 section 5.2 with the fields that Entra ID adds."""
    trace_id = str(uuid.uuid4())
    content = {
        "error": refused.error,
        "error_description": f"{refused.description} Trace ID: {trace_id}",
        "error_codes": [refused.number],
        "timestamp": format_utc(now),
        "trace_id": trace_id,
        "correlation_id": trace_id,
    }
    return JSONResponse(content, refused.status, NOT_KEPT)
