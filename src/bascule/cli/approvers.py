"""Who may approve, from what was typed: users and groups by name, or whoever holds the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bascule.errors import InvalidInput

if TYPE_CHECKING:
    from bascule.client.connection import Connection


def principal_id(connection: Connection, kind: str, wanted: str) -> str:
    from bascule.cli.principal import find_principal  # noqa: PLC0415  # reason: only rules that name somebody need it
    from bascule.client.principals import GROUPS, USERS  # noqa: PLC0415  # reason: as above

    return find_principal(connection, {"user": USERS, "group": GROUPS}[kind], wanted).id


def stage_of(
    connection: Connection,
    approvers: Sequence[str],
    needed: int | None,
    escalate_after: timedelta | None,
    escalated: Sequence[str],
) -> dict[str, Any]:
    """One stage, as the wire has it."""
    stage: dict[str, Any] = {
        "approvers": approvers_of(connection, approvers, "--approver"),
        "needed": needed or 1,
    }
    if escalate_after is not None:
        minutes, rest = divmod(escalate_after, timedelta(minutes=1))
        if rest or minutes < 1:
            raise InvalidInput("--escalate-after takes whole minutes.", target="--escalate-after")
        stage["escalateAfterMinutes"] = minutes
        stage["escalateTo"] = approvers_of(connection, escalated, "--escalate-to")
    return stage


def approvers_of(connection: Connection, words: Iterable[str], option: str) -> dict[str, Any]:
    """``user:anna``, ``group:on-call`` and ``role``, with ids for names."""
    found: dict[str, Any] = {"users": [], "groups": [], "role": False}
    for word in words:
        kind, colon, name = word.partition(":")
        if word == "role":
            found["role"] = True
        elif colon and name and kind in ("user", "group"):
            found[f"{kind}s"].append(principal_id(connection, kind, name))
        else:
            raise InvalidInput(
                f"{word!r} is no approver. Give user:NAME, group:NAME or role.", target=option
            )
    return found
