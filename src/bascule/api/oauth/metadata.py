"""What a client reads before it signs in: the cloud, the issuer, the keys, the realm of a user.

Sources: CLIENTS 1.2 and 1.3, OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 7517.
``resourceManager`` has no slash at its end: go-azure-sdk would ask for ``//subscriptions``.
A discovery document names what is offered and nothing else; under ``/adfs`` and without
``v2.0`` the endpoints are spelt as clients of these expect, and there is one issuer.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bascule.api.context import AppState, state_of
from bascule.api.oauth.refusals import no_such_tenant, refuse
from bascule.api.origin import base_url
from bascule.identity.realm import ADFS, Realm
from bascule.identity.signing_keys import ALGORITHM
from bascule.identity.token_request import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    PASSWORD,
    REFRESH_TOKEN,
)

CLOUD_NAME = "Bascule"
LIST_VERSION = "2019-05-01"  # the one api-version that answers a list of clouds


router = APIRouter(tags=["OAuth"])


@router.get("/metadata/endpoints")
async def cloud_metadata(request: Request) -> Response:
    cloud = cloud_endpoints(base_url(request), state_of(request).realm.tenant_id)
    is_list = request.query_params.get("api-version", "").startswith(LIST_VERSION)
    return JSONResponse([cloud] if is_list else cloud)


@router.get("/{tenant}/v2.0/.well-known/openid-configuration")
async def openid_configuration(tenant: str, request: Request) -> Response:
    return _document(tenant, request, "/v2.0")


@router.get("/{tenant}/.well-known/openid-configuration")
async def openid_configuration_1(tenant: str, request: Request) -> Response:
    return _document(tenant, request, "")


@router.get("/{tenant}/discovery/v2.0/keys")
@router.get("/{tenant}/discovery/keys")
async def signing_keys(tenant: str, request: Request) -> Response:
    state = state_of(request)
    if not state.realm.is_tenant(tenant):
        return _unknown(tenant, state)
    return JSONResponse(state.tokens.jwks(state.services.clock.now()))


@router.get("/{tenant}/userrealm/{user}")
async def user_realm(tenant: str, user: str, request: Request) -> Response:
    """How a user signs in. The answer is the same for every name, so it does not tell who exists."""
    state = state_of(request)
    if not state.realm.is_tenant(tenant):
        return _unknown(tenant, state)
    return JSONResponse(
        {
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": user.rpartition("@")[2][:255],
            "cloud_instance_name": base_url(request).removeprefix("https://"),
            "cloud_audience_urn": base_url(request),
        }
    )


def _document(tenant: str, request: Request, version: str) -> Response:
    state = state_of(request)
    if not state.realm.is_tenant(tenant):
        return _unknown(tenant, state)
    has_password = state.allows_password_grant and tenant.casefold() == ADFS
    base = base_url(request)
    return JSONResponse(
        openid_document(base, tenant, state.realm, version, has_password=has_password)
    )


def _unknown(tenant: str, state: AppState) -> Response:
    return refuse(no_such_tenant(tenant), state.services.clock.now())


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


def openid_document(
    base: str, tenant: str, realm: Realm, version: str, *, has_password: bool
) -> dict[str, Any]:
    """The discovery document; endpoints keep the tenant name that was asked by.

    ``version`` is ``/v2.0`` or empty, for the endpoints of before it.
    """
    oauth = f"{base}/{tenant}/oauth2{version}"
    grants = [CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE]
    return {
        "issuer": realm.issuer(base),
        "authorization_endpoint": f"{oauth}/authorize",
        "token_endpoint": f"{oauth}/token",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "revocation_endpoint": f"{oauth}/revoke",
        "end_session_endpoint": f"{oauth}/logout",
        "jwks_uri": f"{base}/{tenant}/discovery{version}/keys",
        "grant_types_supported": [*grants, PASSWORD] if has_password else grants,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
        "prompt_values_supported": ["login", "select_account", "consent", "none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "iss", "aud", "sub", "oid", "tid", "iat", "exp", "nonce", "auth_time", "amr",
            "name", "upn", "preferred_username",
        ],
        "token_endpoint_auth_methods_supported": [
            "client_secret_post", "private_key_jwt", "none",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "Ed25519"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }  # fmt: skip
