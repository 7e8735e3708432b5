"""What the address of the activity log says: filters, span, place.

Everything that the page shows is in its address, so that a link to it shows the same. A
word that cannot be read is an error that says so: leaving it out would show more than was
asked for, and look as if it were the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from bascule.api.activity_filter import sorts_for
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput
from bascule.interfaces.activity import Moment
from bascule.sentences import sentence
from bascule.services.activity import WrittenFilter

PATH = "/portal/activity"
USUAL = "7d"
CUSTOM = "custom"
SPANS: Mapping[str, timedelta | None] = {
    "24h": timedelta(hours=24),
    "2d": timedelta(days=2),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "all": None,
    CUSTOM: None,
}
_LONGEST = 300
BY_REQUEST = "request"
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """As it was typed; ``asked`` reads it."""

    machine: str = ""  # a name, or an ARM id of anything
    person: str = ""  # a name or an id
    operation: str = ""  # as the API calls it
    status: str = ""
    span: str = USUAL
    since: str = ""  # a minute, UTC, as browsers write it: 2030-01-31T17:00
    until: str = ""
    after: str = ""
    by: str = ""  # request: the rows of one stand together

    @property
    def is_by_request(self) -> bool:
        return self.by == BY_REQUEST

    @property
    def is_filtered(self) -> bool:
        return bool(self.machine or self.person or self.operation or self.status)

    @property
    def is_custom(self) -> bool:
        """Do ``since`` and ``until`` count? Else they are only kept, for who chooses so again."""
        return self.span == CUSTOM

    def asked(self, now: datetime) -> WrittenFilter:
        """Raises InvalidInput for what cannot be read."""
        since, until = self._span(now)
        return WrittenFilter(
            self.machine,
            self.person,
            sorts_for(self.operation, self.status),
            since,
            None if until is None else until + _MINUTE,  # the minute that was chosen is in it
        )

    def _span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        if not self.is_custom:
            if self.span not in SPANS:
                raise InvalidInput(
                    sentence(
                        "span: there is no {span}; there is: {spans}.",
                        span=repr(self.span[:40]),
                        spans=", ".join(SPANS),
                    ),
                    code="InvalidFilter",
                    target="span",
                )
            length = SPANS[self.span]
            return None if length is None else now - length, None
        since, until = _minute(self.since, "since"), _minute(self.until, "until")
        if since is not None and until is not None and since > until:
            raise InvalidInput(
                "The time span ends before it starts.", code="InvalidDateTime", target="until"
            )
        return since, until

    def place(self) -> Moment | None:
        if not self.after:
            return None
        at, _, number = self.after.rpartition("~")
        if not (number.isascii() and number.isdigit() and 0 < int(number[:19]) < 2**63):
            raise InvalidInput(
                "after: is not a position in this list.",
                code="InvalidSkipToken",
                target="after",
                advice="Start at the first page.",
            )
        return parse_instant(at, "after"), int(number[:19])

    def beyond(self, place: Moment) -> str:
        at, number = place
        return replace(self, after=f"{format_utc(at)}~{number}").url()

    def url(self, path: str = PATH) -> str:
        """The address of this; what is as usual is left out."""
        fields = {
            name: getattr(self, name)
            for name in (
                "machine",
                "person",
                "operation",
                "status",
                "span",
                "since",
                "until",
                "by",
            )
        }
        fields["after"] = self.after
        if self.span == USUAL:
            del fields["span"]
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"{path}?{query}" if query else path

    def other_way(self) -> str:
        """The same page with the rows grouped, or not any more."""
        return replace(self, by="" if self.is_by_request else BY_REQUEST).url()

    def first(self, path: str = PATH) -> str:
        return replace(self, after="").url(path)


def read_query(params: Mapping[str, str]) -> ActivityQuery:
    def text(name: str) -> str:
        return params.get(name, "").strip()[:_LONGEST]

    return ActivityQuery(
        text("machine"),
        text("person"),
        text("operation"),
        text("status"),
        text("span") or (CUSTOM if text("since") or text("until") else USUAL),
        text("since"),
        text("until"),
        text("after"),
        BY_REQUEST if text("by") == BY_REQUEST else "",
    )


def _minute(text: str, name: str) -> datetime | None:
    if not text:
        return None
    whole = f"{text}:00Z" if len(text) == len("2030-01-31T17:00") else text
    at = parse_instant(whole if whole[-1:] in "Zz" else f"{whole}Z", name)
    if not 1971 <= at.year <= 9000:
        raise InvalidInput(
            sentence("{name}: the year {year} is out of range.", name=name, year=at.year),
            code="InvalidDateTime",
            target=name,
        )
    return at
