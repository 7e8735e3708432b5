"""Bascule.Identity/servicePrincipals and their credentials.

The answer of the call that makes a secret is the only one that ever holds it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires
from bascule.api.envelope import CompactJson
from bascule.api.named import named_page, wanted_name
from bascule.api.paging import WantedPage
from bascule.api.routes.users import IDENTITY, Filter
from bascule.api.wire.principals import (
    CredentialBody,
    ServicePrincipalBody,
    credential_json,
    make_credential,
    service_principal_json,
)
from bascule.domain.actions import (
    SERVICE_PRINCIPAL_DELETE,
    SERVICE_PRINCIPAL_READ,
    SERVICE_PRINCIPAL_WRITE,
)
from bascule.domain.principals import ServicePrincipal
from bascule.errors import NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.services import service_principals as services
from bascule.services.act import Act

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

PRINCIPALS = f"{IDENTITY}/servicePrincipals"
PRINCIPAL = f"{PRINCIPALS}/{{principal_id}}"
CREDENTIALS = f"{PRINCIPAL}/credentials"
CREDENTIAL = f"{CREDENTIALS}/{{key_id}}"
Id = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]


@router.get(PRINCIPALS)
@requires(SERVICE_PRINCIPAL_READ)
async def list_principals(
    call: CurrentCall, wanted: WantedPage, filter_text: Filter = ""
) -> Response:
    """Ordered by id; ``name`` is the display name."""
    return await named_page(
        call,
        wanted,
        wanted_name(filter_text),
        lambda reader, after, limit: reader.service_principals(after, limit),
        lambda each: each.display_name,
        lambda each: each.id,
        lambda reader, each: _json(reader, call, each),
    )


@router.post(PRINCIPALS)
@requires(SERVICE_PRINCIPAL_WRITE)
async def create_principal(call: CurrentCall, body: ServicePrincipalBody) -> Response:
    """Create it with a credential: a generated secret, or the certificate that was sent."""
    given = body.properties
    made = make_credential(given.credential, call.now)

    def work(tx: Transaction, act: Act) -> dict[str, Any]:
        principal, credential = services.create_service_principal(
            tx, act, given.display_name or "", made.new
        )
        answer = _json(tx, call, principal)
        shown = credential_json(call.subscription, credential, made.secret)
        answer["properties"]["newCredential"] = shown["properties"]
        return answer

    return CompactJson(await call.perform(work), 201)


@router.get(PRINCIPAL)
@requires(SERVICE_PRINCIPAL_READ)
async def get_principal(call: CurrentCall, principal_id: Id) -> Response:
    return CompactJson(await call.read(lambda reader: _shown(reader, call, principal_id)))


@router.patch(PRINCIPAL)
@requires(SERVICE_PRINCIPAL_WRITE)
async def change_principal(
    call: CurrentCall, principal_id: Id, body: ServicePrincipalBody
) -> Response:
    """Rename, disable or enable. Disabling closes its open ports at once."""
    given = body.properties

    def work(tx: Transaction, act: Act) -> dict[str, Any]:
        services.change_service_principal(
            tx,
            act,
            call.subject,
            principal_id,
            display_name=given.display_name,
            is_enabled=given.account_enabled,
        )
        return _shown(tx, call, principal_id)

    return CompactJson(await call.perform(work))


@router.delete(PRINCIPAL)
@requires(SERVICE_PRINCIPAL_DELETE)
async def delete_principal(call: CurrentCall, principal_id: Id) -> Response:
    is_gone = await call.perform(
        lambda tx, act: services.delete_service_principal(tx, act, call.subject, principal_id)
    )
    return Response(status_code=200 if is_gone else 204)


@router.get(CREDENTIALS)
@requires(SERVICE_PRINCIPAL_READ)
async def list_credentials(call: CurrentCall, principal_id: Id) -> Response:
    """Oldest first, including expired ones."""

    def read(reader: Reader) -> list[dict[str, Any]]:
        principal = services.find_service_principal(reader, principal_id)
        found = reader.credentials_of(principal.id)
        return [credential_json(call.subscription, each) for each in found]

    return CompactJson({"value": await call.read(read)})


@router.post(CREDENTIALS)
@requires(SERVICE_PRINCIPAL_WRITE)
async def add_credential(
    call: CurrentCall, principal_id: Id, body: CredentialBody | None = None
) -> Response:
    """Existing credentials stay valid. To rotate: add, distribute, then delete the old one."""
    made = make_credential(body.properties if body else None, call.now)
    kept = await call.perform(
        lambda tx, act: services.add_credential(tx, act, call.subject, principal_id, made.new)
    )
    return CompactJson(credential_json(call.subscription, kept, made.secret), 201)


@router.get(CREDENTIAL)
@requires(SERVICE_PRINCIPAL_READ)
async def get_credential(call: CurrentCall, principal_id: Id, key_id: Id) -> Response:
    def read(reader: Reader) -> dict[str, Any]:
        principal = services.find_service_principal(reader, principal_id)
        found = reader.credential(key_id)
        if found is None or found.principal_id != principal.id:
            raise NotFound(
                f"'{principal.display_name}' has no credential {key_id!r}.",
                advice="To list them: bascule sp show",
            )
        return credential_json(call.subscription, found)

    return CompactJson(await call.read(read))


@router.delete(CREDENTIAL)
@requires(SERVICE_PRINCIPAL_WRITE)
async def remove_credential(call: CurrentCall, principal_id: Id, key_id: Id) -> Response:
    """Tokens obtained with it are refused from then on."""
    is_gone = await call.perform(
        lambda tx, act: services.remove_credential(tx, act, call.subject, principal_id, key_id)
    )
    return Response(status_code=200 if is_gone else 204)


def _shown(reader: Reader, call: Call, principal_id: str) -> dict[str, Any]:
    principal = services.find_service_principal(reader, principal_id)
    return _json(reader, call, principal, len(reader.live_grants_of([principal.id])))


def _json(
    reader: Reader, call: Call, principal: ServicePrincipal, live_grants: int | None = None
) -> dict[str, Any]:
    credentials = reader.credentials_of(principal.id)
    return service_principal_json(call.subscription, principal, credentials, live_grants)
