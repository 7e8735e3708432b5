"""Forms as browsers send them: bounded, and with names that may stand more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request

from bascule.api.oauth.refusals import FORM_TYPE
from bascule.errors import InvalidInput
from bascule.sentences import sentence

LONGEST_FORM = 262_144  # bytes; configuring 200 machines at once has about 40,000
MOST_FIELDS = 5_000


@dataclass(frozen=True, slots=True)
class Form:
    """What was filled in, by name; blank where nothing was."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """The last value of that name, without blanks around it."""
        values = self.fields.get(name)
        return values[-1].strip() if values else default

    def raw(self, name: str) -> str:
        """The last value as it was typed: for passwords."""
        values = self.fields.get(name)
        return values[-1] if values else ""

    def texts(self, name: str) -> Sequence[str]:
        return self.fields.get(name, ())

    def has(self, name: str) -> bool:
        """Is it there at all, as a ticked box is?"""
        return name in self.fields


def form_of(text: str) -> Form:
    """Raise InvalidInput when it is no form that a page of ours sends."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise InvalidInput("The form cannot be read.", advice="Reload the page.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)


async def read_form(request: Request, longest: int = LONGEST_FORM) -> Form:
    """Raise InvalidInput for what is no form of ours, or has more bytes than ``longest``."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_TYPE:
        raise InvalidInput(
            sentence("The portal accepts forms only as {form_type}.", form_type=FORM_TYPE)
        )
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise InvalidInput("The form is too long.", advice="Split it into smaller parts.")
    try:
        return form_of(body.decode("ascii"))
    except UnicodeDecodeError:
        raise InvalidInput("The form cannot be read.", advice="Reload the page.") from None
