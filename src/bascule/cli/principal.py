"""What ``user``, ``group`` and ``sp`` have in common: finding by name, what ends, JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bascule.cli.printing import note, say
from bascule.client import principals
from bascule.client.principals import GROUPS, SERVICES, USERS, Credential, Principal
from bascule.domain.ids import is_guid
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from datetime import datetime

    from bascule.client.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = {USERS: "user", GROUPS: "group", SERVICES: "service principal"}
_LISTS = {USERS: "user", GROUPS: "group", SERVICES: "sp"}


def find_principal(connection: Connection, kind: str, wanted: str) -> Principal:
    """By name or id; raises NotFound, and InvalidInput with the ids when a name is ambiguous."""
    if is_guid(wanted):
        return principals.get_principal(connection, kind, wanted.lower())
    found = list(principals.list_principals(connection, kind, wanted))
    if not found:
        raise NotFound(
            f"There is no {_WORDS[kind]} {wanted!r}.", advice=f"See: bascule {_LISTS[kind]} list"
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} are called {wanted!r}. Give the id instead:",
            code="AmbiguousPrincipal",
            problems=[Problem("Candidate", each.id) for each in found],
        )
    return principals.get_principal(connection, kind, found[0].id)


def find_member(connection: Connection, wanted: str) -> Principal:
    """A user or service principal; a user's name goes before a program's."""
    for kind in (USERS, SERVICES):
        try:
            return find_principal(connection, kind, wanted)
        except NotFound:
            continue
    raise NotFound(
        f"There is no user or service principal {wanted!r}.",
        advice="See: bascule user list, bascule sp list",
    )


def ends_words(live_grants: int) -> str:
    """What ending somebody's rights does to what is open."""
    if not live_grants:
        return "It has no open ports."
    ports = "1 open port closes" if live_grants == 1 else f"{live_grants} open ports close"
    return f"{ports} at once."


def may_end_words(live_grants: int) -> str:
    """The same where something may be held by another way too."""
    if not live_grants:
        return "It has no open ports."
    ports = "1 open port closes" if live_grants == 1 else f"Up to {live_grants} open ports close"
    return f"{ports} at once, unless another right still allows the access."


def read_password(*, is_from_stdin: bool, what: str = "New password") -> str:
    """One line of stdin, or asked for twice on the terminal."""
    if is_from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput(
            "There is no terminal to ask for the password.",
            advice="To read it from stdin: --password-stdin",
        )
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=True, err=True)
    return answer


def tell_secret(credential: Credential) -> None:
    """Say the secret on stdout, and beside it what to do about it."""
    if not credential.secret:
        return
    say(credential.secret)  # a line to itself: a program may read it
    note("This is the secret. It is shown only once and not stored: save it now.")


def principal_json(principal: Principal) -> dict[str, object]:
    return {
        "id": principal.id,
        "name": principal.name,
        "displayName": principal.display_name,
        "enabled": principal.is_enabled,
        "createdAt": _instant(principal.created_at),
        "liveGrants": principal.live_grants,
    }


def credential_json(credential: Credential) -> dict[str, object]:
    shown: dict[str, object] = {
        "keyId": credential.key_id,
        "kind": credential.kind,
        "displayName": credential.display_name,
        "createdAt": _instant(credential.created_at),
        "expiresAt": _instant(credential.expires_at),
    }
    return {**shown, "secret": credential.secret} if credential.secret else shown


def state_words(principal: Principal) -> str:
    return "enabled" if principal.is_enabled else "disabled"


def no_one_words(kind: str, added: Sequence[str]) -> str:
    return f"There is no {_WORDS[kind]} yet. Add one: bascule {_LISTS[kind]} {' '.join(added)}"


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_utc(at)
