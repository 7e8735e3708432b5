"""The rows of a form in which ports are configured: as they were typed, and as rules.

A row keeps what was typed, so that a form with mistakes is shown again as it was filled in,
each mistake at its field. What is not here: whether the rules may be set (``services``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol, parse_address, parse_port_number
from bascule.domain.policy import DEFAULT_DURATION, PortRule
from bascule.domain.times import format_duration, parse_duration
from bascule.errors import BasculeError, InvalidInput, Part, Place, Problem
from bascule.portal.forms import Form
from bascule.sentences import sentence

T = TypeVar("T")

RECOMMENDED = (22, 3389, 5985, 5986)  # Azure's four
SERVICES = {22: "SSH", 3389: "RDP", 5985: "WinRM", 5986: "WinRM (HTTPS)"}
MOST_ROWS = 64
# What may be chosen as the longest time; a stored one that is none of these is offered too.
DURATIONS = tuple(
    timedelta(minutes=minutes)
    for minutes in (5, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1080, 1440)
)
DRAINS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 30, 60))
# What is wrong with a public port, which the port's own place stands for.
_OF_PUBLIC = frozenset(
    {"NoPublicPortFree", "PublicPortHeldBack", "PublicPortNotGiven", "PublicPortTaken"}
)
_FIELDS = {Part.NUMBER: "number", Part.LONGEST: "longest", Part.SOURCES: "sources"}


@dataclass(frozen=True, slots=True)
class PortRow:
    number: str = ""
    protocol: str = "TCP"
    is_any_source: bool = True
    sources: str = ""  # separated by commas, blanks or lines
    longest: str = format_duration(DEFAULT_DURATION)
    on_expiry: str = OnExpiry.KEEP.value  # with the time of ``drain`` after it
    justification_required: bool = False
    public_port: str = ""  # empty: one is chosen
    public_address: str = ""
    errors: Mapping[str, Problem] = field(default_factory=dict)  # by field

    @property
    def service(self) -> str:
        return SERVICES.get(int(self.number), "") if self.number.isdecimal() else ""

    @property
    def durations(self) -> Sequence[timedelta]:
        """What may be chosen, with what is chosen."""
        try:
            chosen = parse_duration(self.longest)
        except InvalidInput:
            return DURATIONS
        return sorted({*DURATIONS, chosen})

    @property
    def drains(self) -> Sequence[tuple[str, timedelta]]:
        """As ``durations``, of how long connections may stay."""
        offered = {f"{OnExpiry.DRAIN} {format_duration(each)}": each for each in DRAINS}
        with suppress(InvalidInput):
            if (stay := _end(self.on_expiry)[1]) is not None:
                offered[self.on_expiry] = stay
        return sorted(offered.items(), key=lambda each: each[1])


def recommended_rows() -> list[PortRow]:
    return [PortRow(str(number)) for number in RECOMMENDED]


def rows_of(rules: Iterable[PortRule]) -> list[PortRow]:
    return [_row_of(rule) for rule in rules]


def _row_of(rule: PortRule) -> PortRow:
    sources = [str(source) for source in rule.sources]
    is_any = sources == ["*"]
    return PortRow(
        str(rule.number),
        str(rule.protocol),
        is_any,
        "" if is_any else ", ".join(sources),
        format_duration(rule.max_duration),
        _end_text(rule.on_expiry, rule.drain_for),
        rule.justification_required,
        "" if rule.public_port is None else str(rule.public_port),
        "" if rule.public_address is None else str(rule.public_address),
    )


def _end_text(end: OnExpiry, stay: timedelta | None) -> str:
    return str(end) if stay is None else f"{end} {format_duration(stay)}"


def read_rows(form: Form) -> list[PortRow]:
    """Rows in the order of the form: ``row`` names them, ``row.N.field`` is what is in one."""
    places = [each for each in form.texts("row") if each.isdecimal()]
    return [_read_row(form, f"row.{place}") for place in dict.fromkeys(places[:MOST_ROWS])]


def _read_row(form: Form, name: str) -> PortRow:
    return PortRow(
        form.text(f"{name}.number")[:10],
        form.text(f"{name}.protocol")[:10],
        form.text(f"{name}.from") != "list",
        form.raw(f"{name}.sources")[:10_000],
        form.text(f"{name}.longest")[:20],
        form.text(f"{name}.end")[:20],
        form.has(f"{name}.why"),
        form.text(f"{name}.public")[:10],
        form.text(f"{name}.at")[:50],
    )


def read_rules(rows: Sequence[PortRow]) -> tuple[list[PortRow], tuple[PortRule, ...]]:
    """The rows with their mistakes, and the rules; no rule where there is a mistake."""
    read = [_Reading(row) for row in rows]
    rules = [each.rule() for each in read]
    marked = [replace(each.row, errors=each.errors) for each in read]
    return marked, tuple(rule for rule in rules if rule is not None)


class _Reading:
    """One row being read; mistakes are noted at their field."""

    def __init__(self, row: PortRow) -> None:
        self.row = row
        self.errors: dict[str, Problem] = {}

    def rule(self) -> PortRule | None:
        row = self.row
        number = self._take("number", lambda: parse_port_number(_whole(row.number)))
        protocol = self._take("protocol", lambda: _member(RuleProtocol, row.protocol))
        sources = self._take("sources", lambda: _sources(row))
        longest = self._take("longest", lambda: parse_duration(row.longest))
        end = self._take("end", lambda: _end(row.on_expiry))
        public = self._take("public", lambda: _port_or_none(row.public_port))
        at = self._take(
            "at", lambda: parse_address(row.public_address) if row.public_address else None
        )
        if at is not None and not row.public_port:
            words = sentence("Give the public port at this address too.")
            self.errors["public"] = Problem("PublicPortRequired", words, "public")
        if number is None or protocol is None or sources is None or longest is None or end is None:
            return None
        on_expiry, drain_for = end
        return PortRule(
            number,
            protocol,
            sources,
            longest,
            on_expiry,
            row.justification_required,
            is_source_list=len(sources) > 1,
            public_port=public,
            public_address=at,
            drain_for=drain_for,
        )

    def _take(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except BasculeError as error:
            self.errors[name] = Problem(error.specific_code, error.message, name)
            return None


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise InvalidInput("Give a port number, 1 to 65535.", code="InvalidPort")
    return int(text)


def _end(text: str) -> tuple[OnExpiry, timedelta | None]:
    """``keep``, ``kill``, or ``drain`` and the time for which connections may stay."""
    kind, _, stay = text.partition(" ")
    end = _member(OnExpiry, kind)
    if (end is OnExpiry.DRAIN) is not bool(stay):
        raise InvalidInput("Choose one of the offered values.")
    return end, parse_duration(stay) if stay else None


def _port_or_none(text: str) -> int | None:
    return parse_port_number(_whole(text)) if text else None


def _member(kind: Callable[[str], T], text: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput("Choose one of the offered values.") from None


def _sources(row: PortRow) -> tuple[AddressPrefix, ...]:
    if row.is_any_source:
        return (AddressPrefix.parse("*"),)
    texts = [each for each in re.split(r"[\s,;]+", row.sources) if each]
    if not texts:
        raise InvalidInput(
            "Give at least one address or range, as in 198.51.100.0/24.", code="InvalidSource"
        )
    return tuple(dict.fromkeys(AddressPrefix.parse(each) for each in texts))


def with_problems(
    rows: Sequence[PortRow], problems: Iterable[Problem]
) -> tuple[list[PortRow], list[Problem]]:
    """Put what a use case found wrong at the fields that it is about; what is about no field
    comes back beside the rows.
    """
    errors: list[dict[str, Problem]] = [dict(row.errors) for row in rows]
    others: list[Problem] = []
    for problem in problems:
        at = problem.target
        port = at.port if isinstance(at, Place) else None
        name = _FIELDS.get(at.part) if isinstance(at, Place) else None
        if problem.code in _OF_PUBLIC and name is not None:
            name = "public"
        if port is None or name is None or not port < len(rows):
            others.append(problem)
        else:
            errors[port].setdefault(name, problem)
    marked = [replace(row, errors=each) for row, each in zip(rows, errors, strict=True)]
    return marked, list(dict.fromkeys(others))
