"""Device codes: asked for by a program, approved or refused by a person (RFC 8628).

A user code has eight letters of an alphabet of twenty without vowels, so that it spells no
word and holds nothing that looks like something else (section 6.1): 34 bits, for a quarter of
an hour. How often one may be guessed at is bounded where it is typed (``api``); how many may
wait is bounded here, by client and address and in all (EDGES B7).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from bascule.domain import events as facts
from bascule.domain.principals import User
from bascule.domain.tokens import DEVICE_LIFE, DeviceCode, DeviceState, Origin, SignIn
from bascule.interfaces import Transaction
from bascule.services.act import Act
from bascule.services.tokens import actor_of_user, hash_of, new_text

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LETTERS = 8
MOST_OF_ONE = 20  # of one client from one address, in the life of a code
MOST_IN_ALL = 2000


@dataclass(frozen=True, slots=True)
class TooManyWaiting:
    retry_after: timedelta


def ask(
    tx: Transaction, act: Act, client_id: str, audience: str, address: str
) -> tuple[str, DeviceCode] | TooManyWaiting:
    """A new code for a device: its text, which is given out once, and what is kept."""
    tx.forget_ended(act.now)
    since = act.now - DEVICE_LIFE
    of_one = tx.device_codes_since(since, client_id, address)
    if of_one >= MOST_OF_ONE or tx.device_codes_since(since) >= MOST_IN_ALL:
        return TooManyWaiting(DEVICE_LIFE)
    text = new_text()
    code = DeviceCode(hash_of(text), _new_user_code(tx), client_id, audience, address, act.now)
    tx.put_device_code(code)
    return text, code


def _new_user_code(tx: Transaction) -> str:
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
    tx: Transaction, act: Act, user_code: str, sign_in: SignIn, origin: Origin, *, is_approved: bool
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
