"""Access control: sign-in settings: the external providers by which people sign in."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides, shows
from bascule.api.routes.providers import RETURN_PATH
from bascule.api.wire.providers import LONGEST_SECRET, check_issuer
from bascule.domain.actions import (
    IDENTITY_PROVIDER_DELETE,
    IDENTITY_PROVIDER_READ,
    IDENTITY_PROVIDER_WRITE,
)
from bascule.domain.providers import IdentityProvider
from bascule.errors import BasculeError, Conflict, InvalidInput
from bascule.identity.oidc import secret_purpose
from bascule.interfaces.store import Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    Field,
    Form,
    lacks,
    lines,
    perform_at,
    require,
    show_form,
    show_tab,
    whole,
)
from bascule.portal.kept import comes_back
from bascule.services import providers
from bascule.services.act import Act
from bascule.services.providers import ProviderDraft

router = APIRouter(route_class=PortalRoute)

PROVIDERS = f"{ACCESS}/providers"


@router.get(PROVIDERS)
@shows(IDENTITY_PROVIDER_READ)
async def list_providers(visit: CurrentVisit) -> Response:
    refused = lacks(visit, IDENTITY_PROVIDER_READ, PROVIDERS)
    if refused is not None:
        return refused
    return show_tab(
        visit,
        PROVIDERS,
        "access_providers.html",
        providers=await visit.read(lambda reader: reader.identity_providers()),
        return_to=visit.base_url + RETURN_PATH,
        why_not_write=visit.why_not(IDENTITY_PROVIDER_WRITE, whole(visit)),
        why_not_delete=visit.why_not(IDENTITY_PROVIDER_DELETE, whole(visit)),
    )


@router.get(f"{PROVIDERS}/add")
@decides(IDENTITY_PROVIDER_WRITE)
async def ask_to_add(visit: CurrentVisit) -> Response:
    return _add_form(visit)


@router.post(f"{PROVIDERS}/add")
@comes_back
@decides(IDENTITY_PROVIDER_WRITE)
async def add(visit: CurrentVisit) -> Response:
    form = visit.form
    secret, issuer = form.text("client_secret"), form.text("issuer")
    draft = ProviderDraft(
        display_name=form.text("display_name") or None,
        issuer=issuer,
        client_id=form.text("client_id"),
        client_secret=secret,
        domains=tuple(each.casefold() for each in lines(form.text("domains"))),
    )
    try:
        check_issuer(issuer)
        if len(secret) > LONGEST_SECRET:
            raise InvalidInput("The client secret is too long.", target="client_secret")
        await _write(visit, form.text("name"), draft, is_new=True)
    except BasculeError as error:
        return _add_form(visit, error)
    return visit.go(PROVIDERS, "saved")


async def _write(visit: Visit, name: str, draft: ProviderDraft, *, is_new: bool = False) -> None:
    """As the API's PUT: the visitor must hold all that the provider gives (EDGES B4)."""
    party = visit.state.relying_party

    def seal(secret: str, provider_id: str) -> str:
        return party.seal(secret, secret_purpose(provider_id))

    def work(tx: Transaction, act: Act) -> IdentityProvider:
        if is_new and tx.identity_provider_by_name(name) is not None:
            raise Conflict(
                f"There is an identity provider '{name}' already.", code="ProviderExists"
            )
        return providers.put_provider(tx, act, visit.subject, name, draft, seal)[0]

    party.forget(await perform_at(visit, IDENTITY_PROVIDER_WRITE, work))


def _add_form(visit: Visit, error: BasculeError | None = None) -> Response:
    t = visit.words
    fields = (
        Field(
            *("name", t("access.provider_name")),
            hint=t("access.provider_name_hint"),
            is_required=True,
            longest=64,
        ),
        Field("display_name", t("access.display_name"), hint=t("access.provider_label_hint")),
        Field("issuer", t("access.issuer"), kind="url", is_required=True),
        Field("client_id", t("access.client_id"), is_required=True),
        Field("client_secret", t("access.client_secret"), kind="password"),
        Field("domains", t("access.domains"), kind="textarea", hint=t("access.domains_hint")),
    )
    form = Form(
        t("access.provider_add"),
        f"{PROVIDERS}/add",
        t("add"),
        PROVIDERS,
        fields,
        lead=t("access.provider_add_lead", uri=visit.base_url + RETURN_PATH),
        why_not="" if error else visit.why_not(IDENTITY_PROVIDER_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


@router.post(f"{PROVIDERS}/{{name}}/enable")
@decides(IDENTITY_PROVIDER_WRITE)
async def enable(visit: CurrentVisit, name: str) -> Response:
    await _known(visit, name)
    await _write(visit, name, ProviderDraft(is_enabled=True))
    return visit.go(PROVIDERS, "saved")


@router.get(f"{PROVIDERS}/{{name}}/disable")
@decides(IDENTITY_PROVIDER_WRITE)
async def ask_to_disable(visit: CurrentVisit, name: str) -> Response:
    return await _end_form(visit, name, "disable")


@router.post(f"{PROVIDERS}/{{name}}/disable")
@decides(IDENTITY_PROVIDER_WRITE)
async def disable(visit: CurrentVisit, name: str) -> Response:
    await _known(visit, name)
    try:
        await _write(visit, name, ProviderDraft(is_enabled=False))
    except BasculeError as error:
        return await _end_form(visit, name, "disable", error)
    return visit.go(PROVIDERS, "saved")


@router.get(f"{PROVIDERS}/{{name}}/delete")
@decides(IDENTITY_PROVIDER_DELETE)
async def ask_to_delete(visit: CurrentVisit, name: str) -> Response:
    return await _end_form(visit, name, "delete")


@router.post(f"{PROVIDERS}/{{name}}/delete")
@decides(IDENTITY_PROVIDER_DELETE)
async def delete(visit: CurrentVisit, name: str) -> Response:
    try:
        await perform_at(
            visit,
            IDENTITY_PROVIDER_DELETE,
            lambda tx, act: providers.delete_provider(tx, act, visit.subject, name),
        )
    except BasculeError as error:
        return await _end_form(visit, name, "delete", error)
    return visit.go(PROVIDERS, "removed")


async def _known(visit: Visit, name: str) -> IdentityProvider:
    """Raise NotFound: a name that is wrong must not make a provider."""
    require(visit, IDENTITY_PROVIDER_READ)
    return await visit.read(lambda reader: providers.find_provider(reader, name))


async def _end_form(
    visit: Visit, name: str, act: str, error: BasculeError | None = None
) -> Response:
    t, provider = visit.words, await _known(visit, name)
    action = IDENTITY_PROVIDER_DELETE if act == "delete" else IDENTITY_PROVIDER_WRITE
    form = Form(
        t(f"access.provider_{act}", name=provider.display_name),
        f"{PROVIDERS}/{provider.name}/{act}",
        t(f"access.program_{act}_do"),
        PROVIDERS,
        effects=[t(f"access.provider_{act}_effect")],
        is_destructive=True,
        why_not="" if error else visit.why_not(action, whole(visit)),
    )
    return show_form(visit, form, error)
