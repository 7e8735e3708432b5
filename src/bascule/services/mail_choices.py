"""A person's own choice of where they want mail, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.users import MailChosen
from bascule.domain.mail import MailChoice, parse_mail_address
from bascule.errors import Forbidden, InvalidInput
from bascule.interfaces.mail import MailReads, MailWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act

LANGUAGES = ("en", "fr")


class MailChoiceWrites(EventWrites, MailWrites, Protocol):
    """A choice, and its event."""


@dataclass(frozen=True, slots=True)
class ChoiceDraft:
    """What a person says; None keeps what is."""

    address: str | None = None
    language: str | None = None
    asked: bool | None = None
    own: bool | None = None


def own_choice(reader: MailReads, subject: Subject) -> MailChoice | None:
    """None: no mail."""
    found = reader.mail_choice(_person(subject))
    return found if found is not None and found.address else None


def choose(tx: MailChoiceWrites, act: Act, subject: Subject, draft: ChoiceDraft) -> MailChoice:
    """Want mail, or want it otherwise; a replaced address hears too for a while (EDGES J11)."""
    was = tx.mail_choice(_person(subject))
    if (was is None or not was.address) and draft.address is None:
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
    address = (
        None if draft.address is None else parse_mail_address(draft.address, "properties.address")
    )
    before = was or MailChoice(subject.principal_id, address or "", "en", asked=True, own=True)
    moved = before if address is None else before.moved(address, act.now)
    made = MailChoice(
        moved.user_id,
        moved.address,
        draft.language or moved.language,
        moved.asked if draft.asked is None else draft.asked,
        moved.own if draft.own is None else draft.own,
        moved.previous,
        moved.previous_until,
    )
    if made != was:
        tx.put_mail_choice(made)
        old = was.address if was is not None else ""
        act.record(tx, MailChosen(subject.name, made.address, old, made.asked, made.own))
    return made


def want_none(tx: MailChoiceWrites, act: Act, subject: Subject) -> bool:
    """Want no mail any more; False when there was none. The address hears on for a while, as after a change."""
    was = tx.mail_choice(_person(subject))
    if was is None or not was.address:
        return False
    tx.put_mail_choice(was.moved("", act.now))
    act.record(tx, MailChosen(subject.name, "", was.address, is_asked=False, is_own=False))
    return True


def _person(subject: Subject) -> str:
    if subject.kind is not PrincipalKind.USER:
        raise Forbidden("Only people get mail. This caller is a program.", code="OnlyPeople")
    return subject.principal_id
