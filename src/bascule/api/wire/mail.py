"""A person's choice of mail on the wire."""

from __future__ import annotations

from typing import Any

from bascule.api.wire.fields import Body, Text
from bascule.domain.times import format_utc
from bascule.services.mail_choices import ChoiceDraft, OwnMail


class MailProperties(Body):
    address: Text | None = None
    language: Text | None = None
    asked: bool | None = None
    own: bool | None = None
    ending: bool | None = None


class MailBody(Body):
    properties: MailProperties

    def draft(self) -> ChoiceDraft:
        said = self.properties
        return ChoiceDraft(said.address, said.language, said.asked, said.own, said.ending)


class CodeBody(Body):
    code: Text


def mail_json(own: OwnMail) -> dict[str, Any]:
    """``address`` null: no mail; ``waitingAddress``: until its code is given."""
    choice, waits = own
    properties: dict[str, Any] = {"address": None, "asked": False, "own": False, "ending": False}
    if choice is not None and (choice.address or waits is not None):
        until = choice.previous_until
        properties = {
            "address": choice.address or None,
            "language": choice.language,
            "asked": choice.asked,
            "own": choice.own,
            "ending": choice.ending,
            "previousAddress": choice.previous or None,
            "previousUntil": None if until is None else format_utc(until),
        }
    properties["waitingAddress"] = None if waits is None else waits.address
    properties["waitingUntil"] = None if waits is None else format_utc(waits.until)
    return {"name": "mail", "type": "Bascule.Identity/me/mail", "properties": properties}
