"""Device codes: asked for by a program, approved or refused by a person (RFC 8628).

A user code has eight letters of an alphabet of twenty without vowels, so that it spells no
word and holds nothing that looks like something else (section 6.1): 34 bits, for a quarter of
an hour. How often one may be guessed at is bounded where it is typed (``api``).

How many may wait is bounded here by client and address, and by what callers without an
identity may hold (``domain.places``, EDGES E6). A code that somebody has approved or refused
waits no more, and gives way to none.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain import places
from bascule.domain.facts import sessions as facts
from bascule.domain.places import Bounds, Room
from bascule.domain.principals import User
from bascule.domain.tokens import DEVICE_LIFE, DeviceCode, DeviceState, Origin, SignIn
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.sign_in import SignInReads
from bascule.interfaces.tokens import TokenReads, TokenWrites
from bascule.services.act import Act
from bascule.services.tokens import actor_of_user, hash_of, new_text


class DeviceReads(SignInReads, TokenReads, Protocol):
    """Device codes, and from where people have signed in."""


class DeviceWrites(EventWrites, PrincipalReads, SignInReads, TokenWrites, Protocol):
    """Device codes, and who answers them."""


ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LETTERS = 8
MOST_OF_ONE = 20  # of one client at one address
BOUNDS = Bounds(network=100, wide_network=300, in_all=1000)


@dataclass(frozen=True, slots=True)
class TooManyWaiting:
    retry_after: timedelta


def find_room(
    reader: DeviceReads, now: datetime, client_id: str, address: str
) -> Room | TooManyWaiting:
    """May this address have another code? Ask before the transaction too, which writes."""
    since = now - DEVICE_LIFE
    of_one = reader.waiting_device_codes(since, client_id, address)
    if len(of_one) >= MOST_OF_ONE:
        return TooManyWaiting(of_one[0].ends_at - now)
    room = places.find_room(reader.waiting_device_codes(since), address, BOUNDS, reader.known_among)
    return room if isinstance(room, Room) else TooManyWaiting(room.until - now)


def ask(
    tx: DeviceWrites, act: Act, client_id: str, audience: str, address: str
) -> tuple[str, DeviceCode] | TooManyWaiting:
    """A new code for a device: its text, which is given out once, and what is kept."""
    tx.forget_ended(act.now)
    room = find_room(tx, act.now, client_id, address)
    if isinstance(room, TooManyWaiting):
        return room
    if room.gives_way:
        tx.delete_device_code(room.gives_way)
    text = new_text()
    code = DeviceCode(hash_of(text), _new_user_code(tx), client_id, audience, address, act.now)
    tx.put_device_code(code)
    return text, code


def _new_user_code(tx: TokenReads) -> str:
    while True:  # of 25 thousand million, MOST_IN_ALL at most are taken
        made = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
        if tx.device_code_of(made) is None:
            return made


def typed(text: str) -> str:
    """A user code as people type it, with dashes, blanks and small letters, as it is kept."""
    return "".join(letter for letter in text[:64].upper() if letter not in "- \t")


def shown(user_code: str) -> str:
    """As people read it: BCDF-GHJK."""
    return f"{user_code[: LETTERS // 2]}-{user_code[LETTERS // 2 :]}"


def answer(
    tx: DeviceWrites,
    act: Act,
    user_code: str,
    sign_in: SignIn,
    origin: Origin,
    *,
    is_approved: bool,
) -> DeviceCode | None:
    """Approve or refuse a waiting code; None when it does not wait (any more)."""
    code = tx.device_code_of(user_code)
    user = tx.user(sign_in.user_id)
    if code is None or user is None or not code.is_waiting(act.now):
        return None
    if not sign_in.holds_for(user):
        return None
    state = DeviceState.APPROVED if is_approved else DeviceState.REFUSED
    answered = replace(code, state=state, sign_in=sign_in if is_approved else None)
    tx.put_device_code(answered)
    act.actor = actor_of_user(user, origin)
    act.record(tx, _fact(code, user, is_approved=is_approved))
    return answered


def _fact(
    code: DeviceCode, user: User, *, is_approved: bool
) -> facts.DeviceCodeApproved | facts.DeviceCodeRefused:
    kind = facts.DeviceCodeApproved if is_approved else facts.DeviceCodeRefused
    return kind(user.id, user.name, code.client_id, code.address)
