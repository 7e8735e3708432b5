"""Who made a service principal, one of its credentials or an account, and who set a password.

Whoever did could act as them, so does not count as another person beside them (EDGES J5).
"""

from __future__ import annotations

from enum import StrEnum

from bascule.interfaces.approvals import MakerWrites
from bascule.services.act import Act


class Made(StrEnum):
    PRINCIPAL = "principal"
    CREDENTIAL = "credential"
    PASSWORD = "password"  # noqa: S105  # reason: the name of a kind


def note_made(tx: MakerWrites, act: Act, what: Made, made_id: str, owner_id: str) -> None:
    """Note that the actor made it for this principal; what is one's own is nobody else's."""
    maker = act.actor.principal_id
    if maker and maker != owner_id:
        tx.note_maker(what, made_id, maker, act.now)


def note_password(tx: MakerWrites, act: Act, user_id: str, *, is_first: bool) -> None:
    maker = act.actor.principal_id
    if not maker or maker == user_id:
        return
    made = [each for _, each, _, _ in tx.makers_of(Made.PRINCIPAL, [user_id])]
    tx.note_maker(Made.PASSWORD, user_id, maker, act.now, is_first=is_first and maker in made)
