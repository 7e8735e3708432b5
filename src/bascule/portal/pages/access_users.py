"""Access control: users; added, disabled, their ways in, where they are signed in, deleted."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bascule.domain.actions import USER_DELETE, USER_READ, USER_WRITE
from bascule.domain.principals import User
from bascule.interfaces.store import Reader
from bascule.portal.guard import PortalRoute, Visit
from bascule.portal.iam import ACCESS, perform_at, require
from bascule.portal.plain_forms import Field, Form, add_form, nothing
from bascule.portal.principal_pages import Column, Kind, Known
from bascule.portal.user_agent import browser_of
from bascule.services import own_sign_in, sign_ins, users
from bascule.services.users import UserDraft
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)

_WORDS = 5  # of a made password: 64 bits
_SYLLABLES = [first + vowel for first in "bdfghjklmnprstvz" for vowel in "aeiou"]

KIND: Kind[User] = Kind(
    router,
    path=f"{ACCESS}/users",
    word="user",
    tab=msgid("Users"),
    picture="person",
    read=USER_READ,
    write=USER_WRITE,
    delete=USER_DELETE,
    find=users.find_user,
    label=lambda user: user.name,
    rows=lambda reader, after, limit, part, *, is_descending: reader.users(
        str(after.value) if after else "", limit, part=part, is_descending=is_descending
    ),
    count=lambda reader, part: reader.count_users(part),
    columns=(
        Column(msgid("Display name"), lambda _, user: user.display_name),
        Column(msgid("State"), lambda _, user: user.is_enabled, "state"),
        Column(msgid("Added"), lambda _, user: user.created_at, "date"),
    ),
    heading=msgid("User name"),
)
KIND.add_list()


# -- adding ------------------------------------------------------------------------------------


def _add_form(visit: Visit, _: None) -> Form:
    t = visit.words
    fields = (
        Field(
            *("name", t("User name")),
            hint=t("Best an e-mail address."),
            is_required=True,
            longest=113,
        ),
        Field("display_name", t("Display name"), longest=256),
    )
    return Form(
        t("Add user"),
        t("Add"),
        KIND.path,
        fields,
        lead=t("The user may do nothing yet: set a password next, and give a role or a group."),
    )


async def _add(visit: Visit, _: None) -> Response:
    name, display_name = visit.form.text("name"), visit.form.text("display_name")
    made = await perform_at(
        visit, USER_WRITE, lambda tx, act: users.create_user(tx, act, name, display_name)
    )
    return visit.go(KIND.page(made), "user_added")


add_form(router, f"{KIND.path}/add", USER_WRITE, nothing, _add_form, _add, is_kept=True)


# -- one ---------------------------------------------------------------------------------------


def _more(visit: Visit, reader: Reader, user: User) -> dict[str, Any]:
    is_self = user.id == visit.subject.principal_id
    return {
        "ways": own_sign_in.ways_in(reader, user.id),
        "live": sign_ins.live_of(reader, user.id, visit.now),
        "own_why": visit.words(
            "Your own password and factors are changed at My account, with a fresh proof."
        )
        if is_self
        else "",
        "this_one": visit.visitor.session.id,
        "browser_of": browser_of,
    }


KIND.add_page(_more)
KIND.add_act(
    "disable",
    [msgid("Every browser and program is signed out immediately.")],
    lambda tx, act, subject, user: users.change_user(
        tx, act, subject, user.id, UserDraft(is_enabled=False)
    ),
    notice="saved",
)
KIND.add_button(
    "enable",
    lambda tx, act, visit, user_id: users.change_user(
        tx, act, visit.subject, user_id, UserDraft(is_enabled=True)
    ),
    "saved",
)
KIND.add_act(
    "sign-out",
    [
        msgid("Every browser and program is signed out immediately."),
        msgid("What is open stays open; signing in again is possible."),
    ],
    lambda tx, act, subject, user: sign_ins.sign_out(tx, act, subject, user.id),
    notice="session_ended",
    tells_ports=False,
)
KIND.add_button(
    "sessions/end",
    lambda tx, act, visit, user_id: sign_ins.end_of(
        tx, act, visit.subject, user_id, visit.form.text("id")
    ),
    "session_ended",
)
KIND.add_act(
    "factors",
    [
        msgid(
            "Authenticator app, passkeys and recovery codes are removed: the password alone signs"
            " in until a factor is enrolled again."
        ),
        msgid("Every browser and program is signed out immediately."),
    ],
    lambda tx, act, subject, user: own_sign_in.remove_factors_of(tx, act, subject, user.id),
    tells_ports=False,
)
KIND.add_act(
    "delete",
    [
        msgid(
            "Roles, memberships and ways to sign in are deleted permanently; the activity log is "
            "kept."
        )
    ],
    lambda tx, act, subject, user: users.delete_user(tx, act, subject, user.id),
)


# -- a password ------------------------------------------------------------------------------


def _password_form(visit: Visit, known: Known[User]) -> Form:
    t, user = visit.words, known.one
    field = Field(
        *("password", t("New password"), "", "password"),
        hint=t("Leave it empty, and one is made and shown once."),
    )
    return Form(
        t("Set a password for {user}", user=user.name),
        t("Set password"),
        KIND.page(user),
        [field],
        effects=[t("Everybody who is signed in with the current password is signed out.")],
    )


async def _set_password(visit: Visit, known: Known[User]) -> Response:
    """The one that was typed, or one that is made here and shown once."""
    t, user = visit.words, known.one
    typed = visit.form.raw("password")
    password = typed or made_password()
    await require(visit, USER_WRITE)  # before the server takes the trouble to hash
    own_sign_in.check_password(password, user)
    hashed = await visit.state.sign_in.proofs.passwords.hash(password)
    await perform_at(
        visit,
        USER_WRITE,
        lambda tx, act: own_sign_in.set_password_of(tx, act, visit.subject, user.id, hashed),
    )
    if typed:
        return visit.go(KIND.page(user), "saved")
    return visit.show(
        "access_secret.html",
        title=t("Set a password for {user}", user=user.name),
        label=t("Password"),
        secret=password,
        lead=t(
            "It is shown this once. Give it to {user}, who should change it at My account.",
            user=user.name,
        ),
        back=KIND.page(user),
    )


def made_password() -> str:
    """Five made-up words, easy to read out."""
    words = ("".join(secrets.choice(_SYLLABLES) for _ in range(2)) for _ in range(_WORDS))
    return "-".join(words)


add_form(router, f"{KIND.one}/password", USER_WRITE, KIND.known, _password_form, _set_password)
