"""Access control: sign-in settings: the external providers by which people sign in."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides, shows
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
from bascule.sentences import sentence
from bascule.services import providers
from bascule.services.act import Act
from bascule.services.providers import ProviderDraft
from bascule.words import msgid

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
                sentence("An identity provider '{name}' already exists.", name=name),
                code="ProviderExists",
            )
        return providers.put_provider(tx, act, visit.subject, name, draft, seal)[0]

    party.forget(await perform_at(visit, IDENTITY_PROVIDER_WRITE, work))


def _add_form(visit: Visit, _: None) -> Form:
    t = visit.words
    fields = (
        Field(
            *("name", t("Short name")),
            hint=t("Letters, digits, . _ and -"),
            is_required=True,
            longest=64,
        ),
        Field("display_name", t("Display name"), hint=t("On the button of the sign-in page.")),
        Field("issuer", t("Issuer (URL)"), kind="url", is_required=True),
        Field("client_id", t("Client ID"), is_required=True),
        Field("client_secret", t("Client secret"), kind="password"),
        Field(
            "domains",
            t("E-mail domains that are yours"),
            kind="textarea",
            hint=t("One a line; needed to invite people by address."),
        ),
    )
    return Form(
        t("Add identity provider"),
        t("Add"),
        PROVIDERS,
        fields,
        lead=t(
            "Register this server there as a web application with the redirect URI {uri}",
            uri=visit.base_url + RETURN_PATH,
        ),
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
        t("Disable {name}", name=provider.display_name),
        t("Disable"),
        PROVIDERS,
        effects=[
            t(
                "Its button disappears from the sign-in page, and nobody can sign in with it "
                "until it is enabled again. Users who signed in with it are signed out "
                "everywhere, and its group memberships end: access that rests on them closes."
            )
        ],
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
        lambda t, provider: t("Delete {name}", name=provider.display_name),
        msgid("Delete"),
        lambda visit, _: [
            visit.words(
                "Users who signed in with it are signed out and can no longer use it. Its group "
                "memberships end: access that rests on them closes."
            )
        ],
        lambda tx, act, subject, provider: providers.delete_provider(
            tx, act, subject, provider.name
        ),
        lambda _: PROVIDERS,
    ),
)
