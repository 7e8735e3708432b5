"""Access control: users; added, disabled, their ways in, where they are signed in, deleted.

Each act asks for what the API's route asks: the action at the subscription, and in the use
case that the visitor holds all that the user holds (EDGES B4).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides, shows
from bascule.domain.actions import ASSIGNMENT_READ, USER_DELETE, USER_READ, USER_WRITE
from bascule.domain.principals import User
from bascule.errors import BasculeError
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
    read_name_query,
    require,
    show_form,
    show_tab,
    whole,
    why_not_change,
)
from bascule.portal.kept import comes_back
from bascule.portal.paging import Sheet
from bascule.portal.user_agent import browser_of
from bascule.services import assignments, own_sign_in, sign_ins, users
from bascule.services.act import Act
from bascule.services.users import UserDraft

router = APIRouter(route_class=PortalRoute)

USERS = f"{ACCESS}/users"
_WORDS = 5  # of a made password: 64 bits
_SYLLABLES = [first + vowel for first in "bdfghjklmnprstvz" for vowel in "aeiou"]


@router.get(USERS)
@shows(USER_READ)
async def list_users(visit: CurrentVisit) -> Response:
    refused = lacks(visit, USER_READ, USERS)
    if refused is not None:
        return refused
    query = read_name_query(visit, USERS)

    def look(reader: Reader) -> Sheet[User]:
        def fetch(is_backward: bool, after: Place | None, limit: int) -> Sequence[User]:
            key = str(after.value) if after else ""
            return reader.users(key, limit, part=query.part, is_descending=is_backward)

        return query.sheet(fetch, _place_of, reader.count_users(query.part))

    return show_tab(
        visit,
        USERS,
        "access_users.html",
        sheet=await visit.read(look),
        query=query,
        why_not_add=visit.why_not(USER_WRITE, whole(visit)),
    )


def _place_of(each: User) -> Place:
    return Place(each.name.casefold(), each.id)


@router.get(f"{USERS}/add")
@decides(USER_WRITE)
async def ask_to_add(visit: CurrentVisit) -> Response:
    return _add_form(visit)


@router.post(f"{USERS}/add")
@comes_back
@decides(USER_WRITE)
async def add(visit: CurrentVisit) -> Response:
    form = visit.form
    try:
        made = await perform_at(
            visit,
            USER_WRITE,
            lambda tx, act: users.create_user(
                tx, act, form.text("name"), form.text("display_name")
            ),
        )
    except BasculeError as error:
        return _add_form(visit, error)
    return visit.go(f"{USERS}/{made.id}", "user_added")


def _add_form(visit: Visit, error: BasculeError | None = None) -> Response:
    t = visit.words
    fields = (
        Field(
            *("name", t("access.user_name")),
            hint=t("access.user_name_hint"),
            is_required=True,
            longest=113,
        ),
        Field("display_name", t("access.display_name"), longest=256),
    )
    form = Form(
        t("access.user_add"),
        f"{USERS}/add",
        t("add"),
        USERS,
        fields,
        lead=t("access.user_add_lead"),
        why_not="" if error else visit.why_not(USER_WRITE, whole(visit)),
    )
    return show_form(visit, form, error)


@router.get(f"{USERS}/{{user_id}}")
@shows(USER_READ)
async def show_user(visit: CurrentVisit, user_id: str) -> Response:
    require(visit, USER_READ)
    now, place = visit.now, whole(visit)
    sees_roles = visit.may(ASSIGNMENT_READ, place)

    def look(reader: Reader) -> dict[str, Any]:
        user = users.find_user(reader, user_id)
        ids = assignments.principal_with_groups(reader, user.id, now)
        held = reader.role_assignments_of(ids) if sees_roles else ()
        return {
            "user": user,
            "standing": why_not_change(visit, reader, user.id),
            "ways": own_sign_in.ways_in(reader, user.id),
            "live": sign_ins.live_of(reader, user.id, now),
            "ports": open_ports(reader, [user.id]),
            "groups": [group for each in ids[1:] if (group := reader.group(each))],
            "roles": [assignments.view_of(reader, each) for each in held],
        }

    found = await visit.read(look)
    standing = found.pop("standing")
    is_self = found["user"].id == visit.subject.principal_id
    why_not_write = visit.why_not(USER_WRITE, place) or standing
    return show_tab(
        visit,
        USERS,
        "access_user.html",
        **found,
        sees_roles=sees_roles,
        why_not_ways=why_not_write or (visit.words("access.own_why") if is_self else ""),
        this_one=visit.visitor.session.id,
        browser_of=browser_of,
        why_not_write=why_not_write,
        why_not_delete=visit.why_not(USER_DELETE, place) or standing,
    )


# -- acts, each with a page that says what it does ------------------------------------------------


def _act_form(
    visit: Visit,
    user: User,
    act: str,
    effects: Sequence[str],
    error: BasculeError | None = None,
    *,
    action: str = USER_WRITE,
    fields: Sequence[Field] = (),
    is_destructive: bool = True,
) -> Response:
    t = visit.words
    form = Form(
        t(f"access.user_{act}", user=user.name),
        f"{USERS}/{user.id}/{act}",
        t(f"access.user_{act}_do"),
        f"{USERS}/{user.id}",
        fields,
        effects=effects,
        is_destructive=is_destructive,
        why_not="" if error else visit.why_not(action, whole(visit)),
    )
    return show_form(visit, form, error)


async def _known(visit: Visit, user_id: str) -> tuple[User, int]:
    """The user, and how many openings are his; raise NotFound, or Forbidden as the API does."""
    require(visit, USER_READ)

    def look(reader: Reader) -> tuple[User, int]:
        user = users.find_user(reader, user_id)
        return user, open_ports(reader, [user.id])

    return await visit.read(look)


async def _do(
    visit: Visit,
    user_id: str,
    work: Callable[[Transaction, Act], object],
    again: Callable[[User, int, BasculeError], Response],
    to: str,
    notice: str,
    action: str = USER_WRITE,
) -> Response:
    user, ports = await _known(visit, user_id)
    try:
        await perform_at(visit, action, work)
    except BasculeError as error:
        return again(user, ports, error)
    return visit.go(to, notice)


@router.get(f"{USERS}/{{user_id}}/disable")
@decides(USER_WRITE)
async def ask_to_disable(visit: CurrentVisit, user_id: str) -> Response:
    return _disable_form(visit, *await _known(visit, user_id))


@router.post(f"{USERS}/{{user_id}}/disable")
@decides(USER_WRITE)
async def disable(visit: CurrentVisit, user_id: str) -> Response:
    draft = UserDraft(is_enabled=False)
    return await _do(
        visit,
        user_id,
        lambda tx, act: users.change_user(tx, act, visit.subject, user_id, draft),
        lambda user, ports, error: _disable_form(visit, user, ports, error),
        f"{USERS}/{user_id}",
        "saved",
    )


def _disable_form(
    visit: Visit, user: User, ports: int, error: BasculeError | None = None
) -> Response:
    effects = [visit.words("access.signed_out_effect"), effect_on_ports(visit, ports)]
    return _act_form(visit, user, "disable", effects, error)


@router.post(f"{USERS}/{{user_id}}/enable")
@decides(USER_WRITE)
async def enable(visit: CurrentVisit, user_id: str) -> Response:
    draft = UserDraft(is_enabled=True)
    await perform_at(
        visit,
        USER_WRITE,
        lambda tx, act: users.change_user(tx, act, visit.subject, user_id, draft),
    )
    return visit.go(f"{USERS}/{user_id}", "saved")


@router.get(f"{USERS}/{{user_id}}/sign-out")
@decides(USER_WRITE)
async def ask_to_sign_out(visit: CurrentVisit, user_id: str) -> Response:
    user, _ = await _known(visit, user_id)
    return _sign_out_form(visit, user)


@router.post(f"{USERS}/{{user_id}}/sign-out")
@decides(USER_WRITE)
async def sign_out(visit: CurrentVisit, user_id: str) -> Response:
    return await _do(
        visit,
        user_id,
        lambda tx, act: sign_ins.sign_out(tx, act, visit.subject, user_id),
        lambda user, _, error: _sign_out_form(visit, user, error),
        f"{USERS}/{user_id}",
        "session_ended",
    )


def _sign_out_form(visit: Visit, user: User, error: BasculeError | None = None) -> Response:
    effects = [visit.words("access.signed_out_effect"), visit.words("access.stays_open_effect")]
    return _act_form(visit, user, "sign-out", effects, error)


@router.post(f"{USERS}/{{user_id}}/sessions/end")
@decides(USER_WRITE)
async def end_session(visit: CurrentVisit, user_id: str) -> Response:
    wanted = visit.form.text("id")
    await perform_at(
        visit,
        USER_WRITE,
        lambda tx, act: sign_ins.end_of(tx, act, visit.subject, user_id, wanted),
    )
    return visit.go(f"{USERS}/{user_id}", "session_ended")


@router.get(f"{USERS}/{{user_id}}/factors")
@decides(USER_WRITE)
async def ask_to_remove_factors(visit: CurrentVisit, user_id: str) -> Response:
    user, _ = await _known(visit, user_id)
    return _factors_form(visit, user)


@router.post(f"{USERS}/{{user_id}}/factors")
@decides(USER_WRITE)
async def remove_factors(visit: CurrentVisit, user_id: str) -> Response:
    return await _do(
        visit,
        user_id,
        lambda tx, act: own_sign_in.remove_factors_of(tx, act, visit.subject, user_id),
        lambda user, _, error: _factors_form(visit, user, error),
        f"{USERS}/{user_id}",
        "removed",
    )


def _factors_form(visit: Visit, user: User, error: BasculeError | None = None) -> Response:
    effects = [visit.words("access.factors_effect"), visit.words("access.signed_out_effect")]
    return _act_form(visit, user, "factors", effects, error)


@router.get(f"{USERS}/{{user_id}}/delete")
@decides(USER_DELETE)
async def ask_to_delete(visit: CurrentVisit, user_id: str) -> Response:
    return _delete_form(visit, *await _known(visit, user_id))


@router.post(f"{USERS}/{{user_id}}/delete")
@decides(USER_DELETE)
async def delete(visit: CurrentVisit, user_id: str) -> Response:
    return await _do(
        visit,
        user_id,
        lambda tx, act: users.delete_user(tx, act, visit.subject, user_id),
        lambda user, ports, error: _delete_form(visit, user, ports, error),
        USERS,
        "removed",
        USER_DELETE,
    )


def _delete_form(
    visit: Visit, user: User, ports: int, error: BasculeError | None = None
) -> Response:
    effects = [visit.words("access.user_delete_effect"), effect_on_ports(visit, ports)]
    return _act_form(visit, user, "delete", effects, error, action=USER_DELETE)


# -- a password ------------------------------------------------------------------------------


@router.get(f"{USERS}/{{user_id}}/password")
@decides(USER_WRITE)
async def ask_password(visit: CurrentVisit, user_id: str) -> Response:
    user, _ = await _known(visit, user_id)
    return _password_form(visit, user)


@router.post(f"{USERS}/{{user_id}}/password")
@decides(USER_WRITE)
async def set_password(visit: CurrentVisit, user_id: str) -> Response:
    """The one that was typed, or one that is made here and shown once."""
    user, _ = await _known(visit, user_id)
    typed = visit.form.raw("password")
    password = typed or made_password()
    try:
        require(visit, USER_WRITE)  # before the server takes the trouble to hash
        own_sign_in.check_password(password, user)
        hashed = await visit.state.sign_in.proofs.passwords.hash(password)
        await perform_at(
            visit,
            USER_WRITE,
            lambda tx, act: own_sign_in.set_password_of(tx, act, visit.subject, user.id, hashed),
        )
    except BasculeError as error:
        return _password_form(visit, user, error)
    if typed:
        return visit.go(f"{USERS}/{user.id}", "saved")
    t = visit.words
    return visit.show(
        "access_secret.html",
        title=t("access.user_password", user=user.name),
        label=t("access.made_password"),
        secret=password,
        lead=t("access.made_password_lead", user=user.name),
        back=f"{USERS}/{user.id}",
    )


def made_password() -> str:
    """Five made-up words, easy to read out."""
    words = ("".join(secrets.choice(_SYLLABLES) for _ in range(2)) for _ in range(_WORDS))
    return "-".join(words)


def _password_form(visit: Visit, user: User, error: BasculeError | None = None) -> Response:
    t = visit.words
    fields = (
        Field(
            *("password", t("access.new_password"), "", "password"),
            hint=t("access.new_password_hint"),
        ),
    )
    effects = [t("access.password_effect")]
    return _act_form(visit, user, "password", effects, error, fields=fields, is_destructive=False)
