"""Access control: service principals, the programs that sign in, and their credentials.

A secret is in the one page that made it, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fastapi import APIRouter
from starlette.responses import Response

from bascule.domain.actions import (
    SERVICE_PRINCIPAL_DELETE,
    SERVICE_PRINCIPAL_READ,
    SERVICE_PRINCIPAL_WRITE,
)
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.errors import InvalidInput, NotFound
from bascule.identity.client_certificates import read_client_certificate
from bascule.identity.secrets import sha256_hex
from bascule.portal import once
from bascule.portal.guard import PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    perform_at,
)
from bascule.portal.plain_forms import (
    Confirmed,
    Field,
    Form,
    add_confirmed,
    add_form,
    nothing,
)
from bascule.portal.principal_pages import Column, Kind, Known
from bascule.sentences import sentence
from bascule.services import service_principals as services
from bascule.services.service_principals import NewCredential
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)

DAYS = ("30", "90", "180", "365", "730")


KIND: Kind[ServicePrincipal] = Kind(
    router,
    path=f"{ACCESS}/programs",
    word="program",
    tab=msgid("Service principals"),
    picture="terminal",
    read=SERVICE_PRINCIPAL_READ,
    write=SERVICE_PRINCIPAL_WRITE,
    delete=SERVICE_PRINCIPAL_DELETE,
    find=services.find_service_principal,
    label=lambda program: program.display_name,
    rows=lambda reader, after, limit, part, *, is_descending: reader.service_principals_by_name(
        (str(after.value), after.key) if after else ("", ""),
        limit,
        part=part,
        is_descending=is_descending,
    ),
    count=lambda reader, part: reader.count_service_principals(part),
    columns=(
        Column(msgid("State"), lambda _, program: program.is_enabled, "state"),
        Column(
            msgid("Credentials"),
            lambda reader, program: reader.credentials_of(program.id),
            "credentials",
        ),
        Column(msgid("Added"), lambda _, program: program.created_at, "date"),
    ),
)
KIND.add_list()


# -- a credential as a form says it ------------------------------------------------------------


def _credential_fields(visit: Visit) -> Sequence[Field]:
    t = visit.words
    days = [(each, t.ngettext("{n} day", "{n} days", int(each))) for each in DAYS]
    return (
        Field("label", t("What the credential is for"), longest=256),
        Field("days", t("Holds for"), "365", "select", options=days),
        Field(
            *("certificate", t("Certificate (PEM), instead of a secret"), "", "textarea"),
            hint=t("Leave it empty, and a secret is made and shown once."),
        ),
    )


def _read_credential(visit: Visit) -> tuple[NewCredential, str]:
    """What is kept, and the secret that is shown once; empty for a certificate."""
    form = visit.form
    if form.text("days") not in DAYS:
        raise InvalidInput("Choose how long the credential is valid.", target="days")
    ends_at = visit.now + timedelta(days=int(form.text("days")))
    label, pem = form.text("label"), form.text("certificate")
    if pem:
        read = read_client_certificate(pem, visit.now)
        ends_at = min(ends_at, read.ends_at)
        kept = NewCredential(CredentialKind.CERTIFICATE, read.pem, label, ends_at, read.ends_at)
        return replace(kept, key_id=once.request_id(visit)), ""
    secret = once.secret(visit)
    kept = NewCredential(CredentialKind.SECRET, sha256_hex(secret), label, ends_at)
    return replace(kept, key_id=once.request_id(visit)), secret


def _secret_page(
    visit: Visit, principal: ServicePrincipal, secret: str, ends_at: datetime | None
) -> Response:
    """The secret, and what else a program needs to sign in with it."""
    t = visit.words
    if not secret:
        return visit.go(KIND.page(principal), "saved")
    return visit.show(
        "access_secret.html",
        title=t("Secret of {name}", name=principal.display_name),
        label=t("Secret"),
        secret=secret,
        lead=t("It is shown this once and kept nowhere: store it now."),
        facts=(
            (t("Client ID"), principal.id),
            (t("Tenant ID"), visit.state.installation.tenant_id),
        ),
        ends_at=ends_at,
        back=KIND.page(principal),
    )


# -- adding ------------------------------------------------------------------------------------


def _add_form(visit: Visit, _: None) -> Form:
    t = visit.words
    fields = (
        Field("name", t("Name"), is_required=True, longest=256),
        *_credential_fields(visit),
    )
    return Form(
        t("Add service principal"),
        t("Add"),
        KIND.path,
        fields,
        lead=t("For a program that signs in by itself. It can do nothing until it has a role."),
        is_once=True,
    )


async def _add(visit: Visit, _: None) -> Response:
    name = visit.form.text("name")
    new, secret = _read_credential(visit)
    made, credential = await perform_at(
        visit,
        SERVICE_PRINCIPAL_WRITE,
        lambda tx, act: services.create_service_principal(tx, act, name, new),
    )
    return _secret_page(visit, made, secret, credential.expires_at)


add_form(
    router, f"{KIND.path}/add", SERVICE_PRINCIPAL_WRITE, nothing, _add_form, _add, is_kept=True
)


# -- one ---------------------------------------------------------------------------------------


KIND.add_page(lambda _, reader, program: {"credentials": reader.credentials_of(program.id)})
KIND.add_act(
    "disable",
    [msgid("It can no longer sign in, and its tokens are refused immediately.")],
    lambda tx, act, subject, program: services.change_service_principal(
        tx, act, subject, program.id, is_enabled=False
    ),
    notice="saved",
)
KIND.add_button(
    "enable",
    lambda tx, act, visit, principal_id: services.change_service_principal(
        tx, act, visit.subject, principal_id, is_enabled=True
    ),
    "saved",
)
KIND.add_act(
    "delete",
    [
        msgid(
            "Credentials, roles and memberships are deleted permanently; the activity log is kept."
        )
    ],
    lambda tx, act, subject, program: services.delete_service_principal(
        tx, act, subject, program.id
    ),
)


# -- credentials -------------------------------------------------------------------------------


def _credential_form(visit: Visit, known: Known[ServicePrincipal]) -> Form:
    t = visit.words
    return Form(
        t("Add credential"),
        t("Add"),
        KIND.page(known.one),
        _credential_fields(visit),
        lead=t("To rotate without a gap: add, give it out, then remove the old one."),
        is_once=True,
    )


async def _add_credential(visit: Visit, known: Known[ServicePrincipal]) -> Response:
    program = known.one
    new, secret = _read_credential(visit)
    kept = await perform_at(
        visit,
        SERVICE_PRINCIPAL_WRITE,
        lambda tx, act: services.add_credential(tx, act, visit.subject, program.id, new),
    )
    return _secret_page(visit, program, secret, kept.expires_at)


add_form(
    *(router, f"{KIND.one}/credentials/add", SERVICE_PRINCIPAL_WRITE),
    *(KIND.known, _credential_form, _add_credential),
)


Held = tuple[ServicePrincipal, Credential]


async def _known_credential(visit: Visit) -> Held:
    program, key_id = (await KIND.known(visit)).one, str(visit.request.path_params["key_id"])
    credential = await visit.read(lambda reader: reader.credential(key_id))
    if credential is None or credential.principal_id != program.id:
        raise NotFound(
            sentence(
                "'{program}' has no credential {credential}.",
                program=program.display_name,
                credential=repr(key_id[:64]),
            )
        )
    return program, credential


add_confirmed(
    router,
    Confirmed(
        f"{KIND.one}/credentials/{{key_id}}/remove",
        SERVICE_PRINCIPAL_WRITE,
        _known_credential,
        lambda t, _: t("Remove credential"),
        msgid("Remove"),
        lambda visit, held: [
            visit.words(
                "{program} can no longer sign in with {name}. Tokens issued for it are refused "
                "immediately.",
                name=held[1].display_name or held[1].key_id,
                program=held[0].display_name,
            )
        ],
        lambda tx, act, subject, held: services.remove_credential(
            tx, act, subject, held[0].id, held[1].key_id
        ),
        lambda held: KIND.page(held[0]),
    ),
)
