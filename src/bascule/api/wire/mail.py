"""A person's choice of mail on the wire."""

from __future__ import annotations

from typing import Any

from bascule.api.wire.fields import Body, Text
from bascule.domain.mail import MailChoice
from bascule.domain.times import format_utc
from bascule.services.mail_choices import ChoiceDraft


class MailProperties(Body):
    address: Text | None = None
    language: Text | None = None
    asked: bool | None = None
    own: bool | None = None


class MailBody(Body):
    properties: MailProperties

    def draft(self) -> ChoiceDraft:
        said = self.properties
        return ChoiceDraft(said.address, said.language, said.asked, said.own)


def mail_json(choice: MailChoice | None) -> dict[str, Any]:
    """``address`` null: no mail."""
    if choice is None:
        properties: dict[str, Any] = {"address": None, "asked": False, "own": False}
    else:
        until = choice.previous_until
        properties = {
            "address": choice.address,
            "language": choice.language,
            "asked": choice.asked,
            "own": choice.own,
            "previousAddress": choice.previous or None,
            "previousUntil": None if until is None else format_utc(until),
        }
    return {"name": "mail", "type": "Bascule.Identity/me/mail", "properties": properties}
