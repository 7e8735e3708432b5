"""Bascule.Identity/identityProviders: through whom people sign in, and whom each of them knows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.providers import (
    LinkBody,
    ProviderBody,
    UnlinkBody,
    examination_json,
    known_json,
    provider_json,
)
from bascule.domain.actions import (
    IDENTITY_PROVIDER_DELETE,
    IDENTITY_PROVIDER_READ,
    IDENTITY_PROVIDER_WRITE,
    USER_READ,
    USER_WRITE,
)
from bascule.domain.providers import IdentityProvider
from bascule.identity.oidc import secret_purpose
from bascule.identity.provider_test import examine
from bascule.interfaces.store import Reader, Transaction
from bascule.services import identities, providers
from bascule.services.act import Act

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

PROVIDERS = f"{SUBSCRIPTION}/providers/Bascule.Identity/identityProviders"
PROVIDER = f"{PROVIDERS}/{{provider}}"
RETURN_PATH = "/signin/return"  # where a provider sends a browser back to
Name = Annotated[str, Path(max_length=64)]


@router.get(PROVIDERS)
@requires(IDENTITY_PROVIDER_READ)
async def list_providers(call: CurrentCall) -> Response:
    """Ordered by name, on one page."""
    return CompactJson(
        await call.read(
            lambda reader: {
                "value": [_shown(reader, call, each) for each in reader.identity_providers()]
            }
        )
    )


@router.get(PROVIDER)
@requires(IDENTITY_PROVIDER_READ)
async def get_provider(call: CurrentCall, provider: Name) -> Response:
    return CompactJson(
        await call.read(
            lambda reader: _shown(reader, call, providers.find_provider(reader, provider))
        )
    )


@router.put(PROVIDER)
@requires(IDENTITY_PROVIDER_WRITE)
async def put_provider(call: CurrentCall, provider: Name, body: ProviderBody) -> Response:
    """Absent settings stay unchanged. The caller must hold all rights that the provider gives."""
    draft = body.properties.draft()
    party = call.state.relying_party

    def seal(secret: str, provider_id: str) -> str:
        return party.seal(secret, secret_purpose(provider_id))

    def work(tx: Transaction, act: Act) -> tuple[IdentityProvider, dict[str, Any], bool]:
        made, is_new = providers.put_provider(tx, act, call.subject, provider, draft, seal)
        return made, _shown(tx, call, made), is_new

    made, shown, is_new = await call.perform(work)
    party.forget(made)
    return CompactJson(shown, 201 if is_new else 200)


@router.delete(PROVIDER)
@requires(IDENTITY_PROVIDER_DELETE)
async def delete_provider(call: CurrentCall, provider: Name) -> Response:
    """Everybody who signed in by it is signed out."""
    is_gone = await call.perform(
        lambda tx, act: providers.delete_provider(tx, act, call.subject, provider)
    )
    return Response(status_code=200 if is_gone else 204)


@router.post(f"{PROVIDER}/test")
@requires(IDENTITY_PROVIDER_WRITE)
async def test_provider(call: CurrentCall, provider: Name) -> Response:
    """Fetch the provider's discovery document and keys, and report what is wrong."""
    found = await call.read(lambda reader: providers.find_provider(reader, provider))
    return CompactJson(examination_json(await examine(call.state.relying_party, found)))


@router.get(f"{PROVIDER}/identities")
@requires(USER_READ)
async def list_identities(call: CurrentCall, provider: Name) -> Response:
    now = call.now
    return CompactJson(
        known_json(await call.read(lambda reader: identities.known_to(reader, provider, now)))
    )


@router.post(f"{PROVIDER}/link")
@requires(USER_WRITE)
async def link_identity(call: CurrentCall, provider: Name, body: LinkBody) -> Response:
    """Link a person at the provider to a user. The caller must hold all rights of the user."""
    is_by_subject = body.is_by_subject()

    def work(tx: Transaction, act: Act) -> tuple[dict[str, Any], bool]:
        is_new = True
        if is_by_subject:
            _, is_new = identities.link(
                tx, act, call.subject, provider, body.user, body.subject or ""
            )
        else:
            identities.invite(tx, act, call.subject, provider, body.user, body.email or "")
        return known_json(identities.known_to(tx, provider, act.now)), is_new

    known, is_new = await call.perform(work)
    return CompactJson(known, 201 if is_new else 200)


@router.post(f"{PROVIDER}/unlink")
@requires(USER_WRITE)
async def unlink_identity(call: CurrentCall, provider: Name, body: UnlinkBody) -> Response:
    """The user is signed out everywhere and loses the groups that the provider gave."""
    is_by_subject = body.is_by_subject()

    def work(tx: Transaction, act: Act) -> bool:
        if is_by_subject:
            return identities.unlink(tx, act, call.subject, provider, body.subject or "")
        return identities.withdraw(tx, act, call.subject, provider, body.email or "")

    is_gone = await call.perform(work)
    return Response(status_code=200 if is_gone else 204)


def _shown(reader: Reader, call: Call, provider: IdentityProvider) -> dict[str, Any]:
    names = {
        group.id: group.name
        for _, group_id in provider.groups
        if (group := reader.group(group_id)) is not None
    }
    subscription = call.subscription
    return provider_json(subscription, provider, names, f"{call.base_url}{RETURN_PATH}")
