"""Access control: service principals, the programs that sign in, and their credentials.

A secret is in the one page that made it, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides, shows
from bascule.domain.actions import (
    ASSIGNMENT_READ,
    SERVICE_PRINCIPAL_DELETE,
    SERVICE_PRINCIPAL_READ,
    SERVICE_PRINCIPAL_WRITE,
)
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.errors import BasculeError, InvalidInput, NotFound
from bascule.identity.client_certificates import read_client_certificate
from bascule.identity.secrets import new_secret, sha256_hex
from bascule.interfaces.listing import Place
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    Field,
    Form,
    effect_on_ports,
    lacks,
    open_ports,
    perform_at,
    programs_named,
    read_name_query,
    require,
    show_form,
    show_tab,
    whole,
    why_not_change,
)
from bascule.portal.kept import comes_back
from bascule.portal.paging import Sheet
from bascule.services import assignments
from bascule.services import service_principals as services
from bascule.services.act import Act
from bascule.services.service_principals import NewCredential

router = APIRouter(route_class=PortalRoute)

PROGRAMS = f"{ACCESS}/programs"
DAYS = ("30", "90", "180", "365", "730")


@router.get(PROGRAMS)
@shows(SERVICE_PRINCIPAL_READ)
async def list_programs(visit: CurrentVisit) -> Response:
    refused = lacks(visit, SERVICE_PRINCIPAL_READ, PROGRAMS)
    if refused is not None:
        return refused
    query = read_name_query(visit, PROGRAMS)

    def look(reader: Reader) -> tuple[Sheet[ServicePrincipal], list[Sequence[Credential]]]:
        known = programs_named(reader, query.part)

        def fetch(is_backward: bool, after: Place | None, limit: int) -> list[ServicePrincipal]:
            rows = known[::-1] if is_backward else known
            return [each for each in rows if _is_beyond(each, after, is_backward)][:limit]

        sheet = query.sheet(fetch, _place_of, len(known))
        return sheet, [reader.credentials_of(each.id) for each in sheet.rows]

    sheet, credentials = await visit.read(look)
    return show_tab(
        visit,
        PROGRAMS,
        "access_programs.html",
        sheet=sheet,
        query=query,
        programs=list(zip(sheet.rows, credentials, strict=True)),
        soon=visit.now + timedelta(days=14),
        why_not_add=visit.why_not(SERVICE_PRINCIPAL_WRITE, whole(visit)),
    )


def _place_of(each: ServicePrincipal) -> Place:
    return Place(each.display_name.casefold(), each.id)


def _is_beyond(each: ServicePrincipal, after: Place | None, is_backward: bool) -> bool:
    if after is None:
        return True
    here, there = _place_of(each), (str(after.value), after.key)
    place = (str(here.value), here.key)
    return place < there if is_backward else place > there


# -- a credential as a form says it ------------------------------------------------------------


def _credential_fields(visit: Visit) -> Sequence[Field]:
    t = visit.words
    days = [(each, t.count("access.days", int(each))) for each in DAYS]
    return (
        Field("label", t("access.credential_name"), longest=256),
        Field("days", t("access.expiry"), "365", "select", options=days),
        Field(
            *("certificate", t("access.certificate"), "", "textarea"),
            hint=t("access.certificate_hint"),
        ),
    )


def _read_credential(visit: Visit) -> tuple[NewCredential, str]:
    """What is kept, and the secret that is shown once; empty for a certificate."""
    form = visit.form
    if form.text("days") not in DAYS:
        raise InvalidInput("Choose how long the credential holds.", target="days")
    ends_at = visit.now + timedelta(days=int(form.text("days")))
    label, pem = form.text("label"), form.text("certificate")
    if pem:
        read = read_client_certificate(pem, visit.now)
        ends_at = min(ends_at, read.ends_at)
        kept = NewCredential(CredentialKind.CERTIFICATE, read.pem, label, ends_at, read.ends_at)
        return kept, ""
    secret = new_secret()
    return NewCredential(CredentialKind.SECRET, sha256_hex(secret), label, ends_at), secret


def _secret_page(
    visit: Visit, principal: ServicePrincipal, secret: str, ends_at: datetime | None
) -> Response:
    """The secret, and what else a program needs to sign in with it."""
    t = visit.words
    if not secret:
        return visit.go(f"{PROGRAMS}/{principal.id}", "saved")
    return visit.show(
        "access_secret.html",
        title=t("access.secret_title", name=principal.display_name),
        label=t("access.secret"),
        secret=secret,
        lead=t("access.secret_lead"),
        facts=(
            (t("access.client_id"), principal.id),
            (t("access.tenant_id"), visit.state.installation.tenant_id),
        ),
        ends_at=ends_at,
        back=f"{PROGRAMS}/{principal.id}",
    )


# -- adding ------------------------------------------------------------------------------------


@router.get(f"{PROGRAMS}/add")
@decides(SERVICE_PRINCIPAL_WRITE)
async def ask_to_add(visit: CurrentVisit) -> Response:
    return _add_form(visit)


@router.post(f"{PROGRAMS}/add")
@comes_back
@decides(SERVICE_PRINCIPAL_WRITE)
async def add(visit: CurrentVisit) -> Response:
    name = visit.form.text("name")
    try:
        new, secret = _read_credential(visit)
        made, credential = await perform_at(
            visit,
            SERVICE_PRINCIPAL_WRITE,
            lambda tx, act: services.create_service_principal(tx, act, name, new),
        )
    except BasculeError as error:
        return _add_form(visit, error)
    return _secret_page(visit, made, secret, credential.expires_at)


def _add_form(visit: Visit, error: BasculeError | None = None) -> Response:
    t = visit.words
    form = Form(
        t("access.program_add"),
        f"{PROGRAMS}/add",
        t("add"),
        PROGRAMS,
        (
            Field("name", t("access.name"), is_required=True, longest=256),
            *_credential_fields(visit),
        ),
        lead=t("access.program_add_lead"),
        why_not="" if error else visit.why_not(SERVICE_PRINCIPAL_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


@router.get(f"{PROGRAMS}/{{principal_id}}")
@shows(SERVICE_PRINCIPAL_READ)
async def show_program(visit: CurrentVisit, principal_id: str) -> Response:
    require(visit, SERVICE_PRINCIPAL_READ)
    now, place = visit.now, whole(visit)
    sees_roles = visit.may(ASSIGNMENT_READ, place)

    def look(reader: Reader) -> dict[str, Any]:
        program = services.find_service_principal(reader, principal_id)
        ids = assignments.principal_with_groups(reader, program.id, now)
        held = reader.role_assignments_of(ids) if sees_roles else ()
        return {
            "program": program,
            "standing": why_not_change(visit, reader, program.id),
            "credentials": reader.credentials_of(program.id),
            "ports": open_ports(reader, [program.id]),
            "groups": [group for each in ids[1:] if (group := reader.group(each))],
            "roles": [assignments.view_of(reader, each) for each in held],
        }

    found = await visit.read(look)
    standing = found.pop("standing")
    return show_tab(
        visit,
        PROGRAMS,
        "access_program.html",
        **found,
        sees_roles=sees_roles,
        soon=now + timedelta(days=14),
        why_not_write=visit.why_not(SERVICE_PRINCIPAL_WRITE, place) or standing,
        why_not_delete=visit.why_not(SERVICE_PRINCIPAL_DELETE, place) or standing,
    )


async def _known(visit: Visit, principal_id: str) -> tuple[ServicePrincipal, int]:
    require(visit, SERVICE_PRINCIPAL_READ)

    def look(reader: Reader) -> tuple[ServicePrincipal, int]:
        program = services.find_service_principal(reader, principal_id)
        return program, open_ports(reader, [program.id])

    return await visit.read(look)


# -- credentials -------------------------------------------------------------------------------


@router.get(f"{PROGRAMS}/{{principal_id}}/credentials/add")
@decides(SERVICE_PRINCIPAL_WRITE)
async def ask_to_add_credential(visit: CurrentVisit, principal_id: str) -> Response:
    return _credential_form(visit, (await _known(visit, principal_id))[0])


@router.post(f"{PROGRAMS}/{{principal_id}}/credentials/add")
@decides(SERVICE_PRINCIPAL_WRITE)
async def add_credential(visit: CurrentVisit, principal_id: str) -> Response:
    program, _ = await _known(visit, principal_id)
    try:
        new, secret = _read_credential(visit)
        kept = await perform_at(
            visit,
            SERVICE_PRINCIPAL_WRITE,
            lambda tx, act: services.add_credential(tx, act, visit.subject, program.id, new),
        )
    except BasculeError as error:
        return _credential_form(visit, program, error)
    return _secret_page(visit, program, secret, kept.expires_at)


def _credential_form(
    visit: Visit, program: ServicePrincipal, error: BasculeError | None = None
) -> Response:
    t = visit.words
    form = Form(
        t("access.credential_add"),
        f"{PROGRAMS}/{program.id}/credentials/add",
        t("add"),
        f"{PROGRAMS}/{program.id}",
        _credential_fields(visit),
        lead=t("access.credential_add_lead"),
        why_not="" if error else visit.why_not(SERVICE_PRINCIPAL_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


@router.get(f"{PROGRAMS}/{{principal_id}}/credentials/{{key_id}}/remove")
@decides(SERVICE_PRINCIPAL_WRITE)
async def ask_to_remove_credential(visit: CurrentVisit, principal_id: str, key_id: str) -> Response:
    return await _credential_removal(visit, principal_id, key_id)


@router.post(f"{PROGRAMS}/{{principal_id}}/credentials/{{key_id}}/remove")
@decides(SERVICE_PRINCIPAL_WRITE)
async def remove_credential(visit: CurrentVisit, principal_id: str, key_id: str) -> Response:
    try:
        await perform_at(
            visit,
            SERVICE_PRINCIPAL_WRITE,
            lambda tx, act: services.remove_credential(
                tx, act, visit.subject, principal_id, key_id
            ),
        )
    except BasculeError as error:
        return await _credential_removal(visit, principal_id, key_id, error)
    return visit.go(f"{PROGRAMS}/{principal_id}", "removed")


async def _credential_removal(
    visit: Visit, principal_id: str, key_id: str, error: BasculeError | None = None
) -> Response:
    t, (program, _) = visit.words, await _known(visit, principal_id)
    credential = await visit.read(lambda reader: reader.credential(key_id))
    if credential is None or credential.principal_id != program.id:
        raise NotFound(f"'{program.display_name}' has no credential {key_id[:64]!r}.")
    form = Form(
        t("access.credential_remove"),
        f"{PROGRAMS}/{program.id}/credentials/{credential.key_id}/remove",
        t("remove"),
        f"{PROGRAMS}/{program.id}",
        effects=[
            t(
                "access.credential_remove_effect",
                name=credential.display_name or credential.key_id,
                program=program.display_name,
            )
        ],
        is_destructive=True,
        why_not="" if error else visit.why_not(SERVICE_PRINCIPAL_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


# -- on, off, gone -----------------------------------------------------------------------------


@router.get(f"{PROGRAMS}/{{principal_id}}/disable")
@decides(SERVICE_PRINCIPAL_WRITE)
async def ask_to_disable(visit: CurrentVisit, principal_id: str) -> Response:
    return await _end_form(visit, principal_id, "disable")


@router.post(f"{PROGRAMS}/{{principal_id}}/disable")
@decides(SERVICE_PRINCIPAL_WRITE)
async def disable(visit: CurrentVisit, principal_id: str) -> Response:
    try:
        await _switch(visit, principal_id, is_enabled=False)
    except BasculeError as error:
        return await _end_form(visit, principal_id, "disable", error)
    return visit.go(f"{PROGRAMS}/{principal_id}", "saved")


@router.post(f"{PROGRAMS}/{{principal_id}}/enable")
@decides(SERVICE_PRINCIPAL_WRITE)
async def enable(visit: CurrentVisit, principal_id: str) -> Response:
    await _switch(visit, principal_id, is_enabled=True)
    return visit.go(f"{PROGRAMS}/{principal_id}", "saved")


async def _switch(visit: Visit, principal_id: str, *, is_enabled: bool) -> None:
    def work(tx: Transaction, act: Act) -> None:
        services.change_service_principal(
            tx, act, visit.subject, principal_id, is_enabled=is_enabled
        )

    await perform_at(visit, SERVICE_PRINCIPAL_WRITE, work)


@router.get(f"{PROGRAMS}/{{principal_id}}/delete")
@decides(SERVICE_PRINCIPAL_DELETE)
async def ask_to_delete(visit: CurrentVisit, principal_id: str) -> Response:
    return await _end_form(visit, principal_id, "delete")


@router.post(f"{PROGRAMS}/{{principal_id}}/delete")
@decides(SERVICE_PRINCIPAL_DELETE)
async def delete(visit: CurrentVisit, principal_id: str) -> Response:
    try:
        await perform_at(
            visit,
            SERVICE_PRINCIPAL_DELETE,
            lambda tx, act: services.delete_service_principal(tx, act, visit.subject, principal_id),
        )
    except BasculeError as error:
        return await _end_form(visit, principal_id, "delete", error)
    return visit.go(PROGRAMS, "removed")


async def _end_form(
    visit: Visit, principal_id: str, act: str, error: BasculeError | None = None
) -> Response:
    t, (program, ports) = visit.words, await _known(visit, principal_id)
    action = SERVICE_PRINCIPAL_DELETE if act == "delete" else SERVICE_PRINCIPAL_WRITE
    form = Form(
        t(f"access.program_{act}", name=program.display_name),
        f"{PROGRAMS}/{program.id}/{act}",
        t(f"access.program_{act}_do"),
        f"{PROGRAMS}/{program.id}",
        effects=[t(f"access.program_{act}_effect"), effect_on_ports(visit, ports)],
        is_destructive=True,
        why_not="" if error else visit.why_not(action, whole(visit)),
    )
    return show_form(visit, form, error)
