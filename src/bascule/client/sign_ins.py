"""Where somebody is signed in, and the end of it (Bascule.Identity)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import Data, flag, number, objects, required_instant, text, texts
from bascule.client.versions import BASCULE_VERSION

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class LiveSignIn:
    """A browser or a program that is signed in."""

    id: str
    kind: str  # browser or program
    client: str  # what people call the program; empty: a browser
    user_agent: str
    methods: tuple[str, ...]
    address: str  # where it began
    began_at: datetime
    seen_at: datetime
    seen_from: str
    ends_at: datetime  # when it is not used before
    is_current: bool


def list_sign_ins(connection: Connection, user_id: str = "") -> list[LiveSignIn]:
    """One's own, or a user's; what was used last first."""
    answer = connection.get(f"{_of(connection, user_id)}/signIns", BASCULE_VERSION)
    return [_read(each) for each in objects(answer, "value")]


def end_sign_in(connection: Connection, sign_in_id: str, user_id: str = "") -> None:
    path = f"{_of(connection, user_id)}/signIns/{sign_in_id}"
    connection.call("DELETE", path, BASCULE_VERSION)


def end_other_sign_ins(connection: Connection) -> int:
    """End all of one's own but this one; say how many there were."""
    path = f"{_of(connection, '')}/signIns/endOthers"
    return number(connection.call("POST", path, BASCULE_VERSION).body, "ended")


def sign_out(connection: Connection, user_id: str) -> None:
    """Sign a user out everywhere."""
    connection.call("POST", f"{_of(connection, user_id)}/signOut", BASCULE_VERSION)


def _of(connection: Connection, user_id: str) -> str:
    whose = f"users/{user_id}" if user_id else "me"
    return f"{connection.subscription}/providers/Bascule.Identity/{whose}"


def _read(data: Data) -> LiveSignIn:
    return LiveSignIn(
        text(data, "id"),
        text(data, "kind"),
        text(data, "clientName", ""),
        text(data, "userAgent", ""),
        texts(data, "methods"),
        text(data, "address", ""),
        required_instant(data, "beganAt"),
        required_instant(data, "lastSeenAt"),
        text(data, "lastSeenFrom", ""),
        required_instant(data, "endsAt"),
        flag(data, "isCurrent"),
    )
