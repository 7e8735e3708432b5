"""A person's own choice of where they want mail, and of what.

An address counts when it is confirmed: by the code that was sent there (``mail_codes``), or because it is the
person's user name, which an administrator or the verified claim of an identity provider gave them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.users import MailChosen
from bascule.domain.mail import MailChoice, Unconfirmed, parse_mail_address
from bascule.errors import Forbidden, InvalidInput
from bascule.interfaces.mail import MailReads
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.mail_codes import CodeWrites, ask_code

LANGUAGES = ("en", "fr")


class MailChoiceWrites(CodeWrites, Protocol):
    """A choice, and its event."""


@dataclass(frozen=True, slots=True)
class ChoiceDraft:
    """What a person says; None keeps what is."""

    address: str | None = None
    language: str | None = None
    asked: bool | None = None
    own: bool | None = None
    ending: bool | None = None


class OwnMail(NamedTuple):
    """Where somebody wants mail, and the address of theirs that waits for its code."""

    choice: MailChoice | None  # None: they have chosen nothing
    waits: Unconfirmed | None


def own_mail(reader: MailReads, subject: Subject, now: datetime) -> OwnMail:
    user_id = _person(subject)
    waits = reader.unconfirmed(user_id)
    return OwnMail(
        reader.mail_choice(user_id), waits if waits is not None and now < waits.until else None
    )


def choose(tx: MailChoiceWrites, act: Act, subject: Subject, draft: ChoiceDraft) -> OwnMail:
    """Want mail, or want it otherwise. Another address waits until it is confirmed, and the one before
    stays until then; a replaced address hears too for a while (EDGES J11).
    """
    was = tx.mail_choice(_person(subject))
    now_at, waits = own_mail(tx, subject, act.now)
    is_nowhere = waits is None and (now_at is None or not now_at.address)
    if is_nowhere and draft.address is None:
        raise InvalidInput(
            "Give an address for mail.", code="MissingField", target="properties.address"
        )
    if draft.language is not None and draft.language not in LANGUAGES:
        raise InvalidInput(
            sentence(
                "There are no texts in {language}. Languages are: {languages}.",
                language=repr(draft.language[:20]),
                languages=", ".join(LANGUAGES),
            ),
            code="InvalidLanguage",
            target="properties.language",
        )
    before = was or MailChoice(subject.principal_id, "", "en", asked=True, own=True)
    made = replace(
        before,
        language=draft.language or before.language,
        asked=before.asked if draft.asked is None else draft.asked,
        own=before.own if draft.own is None else draft.own,
        ending=before.ending if draft.ending is None else draft.ending,
    )
    if draft.address is not None:
        address = parse_mail_address(draft.address, "properties.address")
        if address == before.address or _is_given(tx, subject, address):
            made = made.moved(address, act.now)
            tx.delete_unconfirmed(subject.principal_id)
        else:
            ask_code(tx, act, subject, address)
    if made != was:
        tx.put_mail_choice(made)
        old = was.address if was is not None else ""
        act.record(
            tx, MailChosen(subject.name, made.address, old, made.asked, made.own, made.ending)
        )
    return own_mail(tx, subject, act.now)


def _is_given(reader: MailChoiceWrites, subject: Subject, address: str) -> bool:
    """Is it their user name, which they cannot change themselves?"""
    user = reader.user(subject.principal_id)
    return user is not None and user.name.casefold() == address.casefold()


def want_none(tx: MailChoiceWrites, act: Act, subject: Subject) -> bool:
    """Want no mail any more; False when there was none. The address hears on for a while, as after a change."""
    was, waits = own_mail(tx, subject, act.now)
    tx.delete_unconfirmed(subject.principal_id)
    if was is None or not was.address:
        return waits is not None
    tx.put_mail_choice(was.moved("", act.now))
    act.record(tx, MailChosen(subject.name, "", was.address, is_asked=False, is_own=False))
    return True


def _person(subject: Subject) -> str:
    if subject.kind is not PrincipalKind.USER:
        raise Forbidden("Only people get mail. This caller is a program.", code="OnlyPeople")
    return subject.principal_id
