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
from bascule.errors import Conflict, InvalidInput
from bascule.identity.oidc import secret_purpose
from bascule.interfaces.store import Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    lacks,
    lines,
    perform_at,
    require,
    show_tab,
    whole,
)
from bascule.portal.plain_forms import (
    Confirmed,
    Field,
    Form,
    add_confirmed,
    add_form,
    nothing,
)
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


async def _add(visit: Visit, _: None) -> Response:
    form = visit.form
    secret, issuer = form.text("client_secret"), form.text("issuer")
    draft = ProviderDraft(
        display_name=form.text("display_name") or None,
        issuer=issuer,
        client_id=form.text("client_id"),
        client_secret=secret,
        domains=tuple(each.casefold() for each in lines(form.text("domains"))),
    )
    check_issuer(issuer)
    if len(secret) > LONGEST_SECRET:
        raise InvalidInput("The client secret is too long.", target="client_secret")
    await _write(visit, form.text("name"), draft, is_new=True)
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


def _add_form(visit: Visit, _: None) -> Form:
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
    return Form(
        t("access.provider_add"),
        t("add"),
        PROVIDERS,
        fields,
        lead=t("access.provider_add_lead", uri=visit.base_url + RETURN_PATH),
    )


add_form(
    router, f"{PROVIDERS}/add", IDENTITY_PROVIDER_WRITE, nothing, _add_form, _add, is_kept=True
)


# -- off, on, gone -----------------------------------------------------------------------------


async def _known(visit: Visit) -> IdentityProvider:
    """Raise NotFound: a name that is wrong must not make a provider."""
    await require(visit, IDENTITY_PROVIDER_READ)
    name = str(visit.request.path_params["name"])
    return await visit.read(lambda reader: providers.find_provider(reader, name))


@router.post(f"{PROVIDERS}/{{name}}/enable")
@decides(IDENTITY_PROVIDER_WRITE)
async def enable(visit: CurrentVisit) -> Response:
    return await _switch(visit, await _known(visit), is_enabled=True)


async def _switch(visit: Visit, provider: IdentityProvider, *, is_enabled: bool) -> Response:
    await _write(visit, provider.name, ProviderDraft(is_enabled=is_enabled))
    return visit.go(PROVIDERS, "saved")


def _disable_form(visit: Visit, provider: IdentityProvider) -> Form:
    t = visit.words
    return Form(
        t("access.provider_disable", name=provider.display_name),
        t("access.program_disable_do"),
        PROVIDERS,
        effects=[t("access.provider_disable_effect")],
        is_destructive=True,
    )


async def _disable(visit: Visit, provider: IdentityProvider) -> Response:
    return await _switch(visit, provider, is_enabled=False)


add_form(
    *(router, f"{PROVIDERS}/{{name}}/disable", IDENTITY_PROVIDER_WRITE),
    *(_known, _disable_form, _disable),
)
add_confirmed(
    router,
    Confirmed(
        f"{PROVIDERS}/{{name}}/delete",
        IDENTITY_PROVIDER_DELETE,
        _known,
        lambda t, provider: t("access.provider_delete", name=provider.display_name),
        "access.program_delete_do",
        lambda visit, _: [visit.words("access.provider_delete_effect")],
        lambda tx, act, subject, provider: providers.delete_provider(
            tx, act, subject, provider.name
        ),
        lambda _: PROVIDERS,
    ),
)
