"""Confirming an address of mail by a code that is sent there (EDGES J11).

Nothing else goes to an address that a person gave for themselves until they have given the code of it. How many
codes a person may ask for in an hour, and how many go to one address in a day, is bounded, so that nobody's
mailbox is flooded by a stranger. The code is made when it is sent, and only its hash is kept: a server that dies
in between has sent none, or one that counts. Where the relay is away, another code is sent later.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Protocol

import structlog

from bascule.domain.access import Subject
from bascule.domain.delivery import PEOPLE, Answer, Form, Outcome, Sink, parse_target
from bascule.domain.facts.users import MailChosen, MailCodeAsked
from bascule.domain.mail import (
    CODE_LIFE,
    MOST_CODES_A_DAY,
    MOST_CODES_A_DAY_OF_ONE,
    MOST_CODES_AN_HOUR,
    MOST_TRIES,
    MailChoice,
    Unconfirmed,
)
from bascule.errors import BasculeError, InvalidInput, TooManyRequests
from bascule.interfaces.delivery import Parcel
from bascule.interfaces.mail import MailWrites
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act, Services, new_id
from bascule.services.chat import one_line
from bascule.services.delivery import WayOut
from bascule.services.devices import ALPHABET, LETTERS
from bascule.services.duties import DELIVERING
from bascule.services.mail import envelope, html_page
from bascule.services.tokens import hash_of
from bascule.words import Words, msgid

log = structlog.get_logger("bascule.delivery")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOK_SECONDS = 1.0
RETRY_SECONDS = 15.0  # after a relay that is away
_TITLE = msgid("Confirm your mail address in Bascule")
_WHO = msgid("User")
_CODE = msgid("Code")
_HOW = msgid("Enter the code within an hour on this page, or by bascule mail confirm CODE")
_NOT_YOU = msgid("If you did not ask for this, do nothing: no other mail comes to this address.")


class CodeWrites(EventWrites, MailWrites, PrincipalReads, Protocol):
    """Addresses, their codes, and the record."""


@dataclass(frozen=True, slots=True)
class CodeLetter:
    """A code that is to be sent now."""

    to: Unconfirmed  # as it is kept
    code: str
    user: str  # the name of who gave the address
    language: str


def ask_code(tx: CodeWrites, act: Act, subject: Subject, address: str) -> Unconfirmed:
    """Keep the address until it is confirmed, in the place of another one that waits."""
    user_id, folded = subject.principal_id, address.casefold()
    tx.forget_codes_asked(act.now - DAY)
    if tx.codes_asked(act.now - HOUR, user_id=user_id) >= MOST_CODES_AN_HOUR:
        raise TooManyRequests(
            sentence(
                "You have asked for {most} codes within an hour. Wait until an hour after the first of them.",
                most=MOST_CODES_AN_HOUR,
            ),
            code="TooManyMailCodes",
            retry_after=int(HOUR.total_seconds()),
        )
    own = tx.codes_asked(act.now - DAY, user_id=user_id, address=folded)
    if own >= MOST_CODES_A_DAY_OF_ONE:
        raise TooManyRequests(
            sentence(
                "You have asked for {most} codes for this address within a day. Use the last one, or wait a day.",
                most=MOST_CODES_A_DAY_OF_ONE,
            ),
            code="TooManyMailCodes",
            retry_after=int(DAY.total_seconds()),
        )
    if tx.codes_asked(act.now - DAY, address=folded) >= MOST_CODES_A_DAY:
        raise TooManyRequests(
            sentence(
                "{most} codes were sent to this address within a day. Use the last one, or wait a day.",
                most=MOST_CODES_A_DAY,
            ),
            code="TooManyMailCodes",
            retry_after=int(DAY.total_seconds()),
        )
    tx.note_code_asked(new_id(), user_id, folded, act.now)
    made = Unconfirmed(user_id, address, act.now)
    tx.put_unconfirmed(made)
    act.record(tx, MailCodeAsked(subject.name, address))
    return made


def confirm(tx: CodeWrites, act: Act, subject: Subject, code: str) -> MailChoice | BasculeError:
    """Take the address whose code this is; what is wrong is returned, as a wrong try is counted."""
    found = tx.unconfirmed(subject.principal_id)
    if found is None or found.until <= act.now or not found.code_hash:
        return InvalidInput(
            "No address of yours waits for a code.",
            code="NoMailCode",
            advice="Give the address again: bascule mail ADDRESS",
        )
    if found.tries >= MOST_TRIES:
        return TooManyRequests(
            sentence("This code does not count after {most} wrong tries.", most=MOST_TRIES),
            code="MailCodeUsedUp",
            advice="Give the address again for another code: bascule mail ADDRESS",
        )
    if not hmac.compare_digest(_hash(found.user_id, code), found.code_hash):
        tx.put_unconfirmed(replace(found, tries=found.tries + 1))
        return InvalidInput(
            "The code is not the one of the newest mail.", code="WrongMailCode", target="code"
        )
    was = tx.mail_choice(found.user_id) or MailChoice(found.user_id, "", "en", True, True)
    made = was.moved(found.address, act.now)
    tx.put_mail_choice(made)
    tx.delete_unconfirmed(found.user_id)
    act.record(
        tx,
        MailChosen(subject.name, made.address, was.address, made.asked, made.own, made.ending),
    )
    return made


def take_code(tx: CodeWrites, act: Act) -> CodeLetter | None:
    """Make the code of the next address that waits for one; None: none does."""
    found = tx.next_unsent(act.now - CODE_LIFE)
    if found is None:
        return None
    user, choice = tx.user(found.user_id), tx.mail_choice(found.user_id)
    if user is None or not user.is_enabled:
        tx.delete_unconfirmed(found.user_id)
        return None
    code = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    sent = replace(found, code_hash=_hash(found.user_id, code), tries=0)
    tx.put_unconfirmed(sent)
    return CodeLetter(sent, code, user.name, "en" if choice is None else choice.language)


def put_back(tx: CodeWrites, letter: CodeLetter) -> None:
    """It was not sent; another code is made later, unless the address is another one by now."""
    if tx.unconfirmed(letter.to.user_id) == letter.to:
        tx.put_unconfirmed(replace(letter.to, code_hash=""))


async def send_codes(services: Services, way_out: WayOut) -> None:
    """Send codes until cancelled, while no other server does; nothing where this server sends no mail."""
    while way_out.mail_from:
        try:
            is_done = await send_next(services, way_out)
        except BasculeError as error:
            is_done = False
            log.error("codes of mail cannot be sent", why=error.message)
        except Exception:  # nobody would start this anew
            is_done = False
            log.exception("codes of mail cannot be sent")
        await asyncio.sleep(LOOK_SECONDS if is_done else RETRY_SECONDS)


async def send_next(services: Services, way_out: WayOut) -> bool:
    """Send one code, if one waits; False where the relay did not take it."""
    since = services.clock.now() - CODE_LIFE
    if await services.read(lambda reader: reader.next_unsent(since)) is None:
        return True
    letter = await services.on_duty(DELIVERING, take_code, None)
    if letter is None:
        return True
    sink = Sink("mail-codes", "mail-codes", parse_target(PEOPLE), Form.MAIL, letter.to.asked_at)
    outcome = Outcome(Answer.LATER, "it was not tried")
    try:
        outcome = await way_out.carrier.carry(
            sink, Parcel((code_message(letter, way_out).as_bytes(),))
        )
    finally:
        await way_out.carrier.forget(sink.id)
        if outcome.answer is not Answer.TAKEN:
            await services.perform(lambda tx, _: put_back(tx, letter))
    if outcome.answer is not Answer.TAKEN:
        log.warning("a code of mail was not sent", why=outcome.said)
    return outcome.answer is Answer.TAKEN


def code_message(letter: CodeLetter, way_out: WayOut) -> EmailMessage:
    """The link leads to a page with a button: following it confirms nothing."""
    words = Words(letter.language)
    shown = f"{letter.code[: LETTERS // 2]}-{letter.code[LETTERS // 2 :]}"
    url = f"{way_out.portal}/portal/account/mail?code={shown}"
    made = envelope(
        letter.to.address, way_out.mail_from, words(_TITLE), letter.to.asked_at, letter.to.code_hash
    )
    facts = [(words(_WHO), one_line(letter.user)), (words(_CODE), shown)]
    lines = [words(_TITLE), "", *(f"{label}: {text}" for label, text in facts)]
    made.set_content("\n".join([*lines, "", f"{words(_HOW)}:", url, "", words(_NOT_YOU), ""]))
    made.add_alternative(
        html_page(words, words(_TITLE), facts, url, words(_HOW), words(_NOT_YOU)), subtype="html"
    )
    return made


def _hash(user_id: str, code: str) -> str:
    letters = "".join(each for each in code.upper() if each.isalnum())
    return hash_of(f"mail code of {user_id}: {letters}")
