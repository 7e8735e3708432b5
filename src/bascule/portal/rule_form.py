"""The form in which a rule is edited: as it was typed, and as a rule.

A form keeps what was typed, so that one with mistakes is shown again as it was filled in, each
mistake at its field. People and groups are written by name or id, one a line. What is not here:
whether the rule may be written (``services``), and the stages' rows (``stage_rows``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from bascule.domain.net import AddressPrefix, parse_port_number
from bascule.domain.rules import WHOLE_DAY, Conditions, Effect, Rule, Window
from bascule.domain.times import format_duration, parse_duration
from bascule.errors import BasculeError, InvalidInput, Problem
from bascule.interfaces.store import Reader
from bascule.portal.forms import Form
from bascule.portal.rule_words import Names, clock
from bascule.portal.spans import parse_span, show_span
from bascule.portal.stage_rows import (
    NO_ERRORS,
    Finder,
    StageRow,
    read_stage_rows,
    read_stages,
    stage_rows_of,
    told,
    with_stage_problems,
)
from bascule.sentences import sentence

T = TypeVar("T")

CONFIRMED, UNCONFIRMED = "confirmed", "unconfirmed"
_LONGEST = 10_000  # characters of a field
# What a problem is about, and the field that it is shown at.
_FIELDS = {
    "name": "name",
    "effect": "effect",
    "conditions.users": "users",
    "conditions.groups": "groups",
    "conditions.tags": "tags",
    "conditions.resourceGroups": "resource_groups",
    "conditions.ports": "ports",
    "conditions.sourcesWithin": "sources",
    "conditions.times": "zone",
    "conditions.times.timeZone": "zone",
    "conditions.times.days": "days",
    "conditions.atMost": "at_most",
    "conditions.longerThan": "longer_than",
    "bascule.tickets": "ticket",
    "conditions.secondFactorOlderThan": "factor_older_than",
    "conditions.secondFactorWithin": "factor_within",
}


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule as a form has it; lists have one a line."""

    name: str = ""
    effect: str = Effect.APPROVE.value
    users: str = ""
    groups: str = ""
    tags: str = ""  # NAME=VALUE
    resource_groups: str = ""
    ports: str = ""
    sources: str = ""
    is_timed: bool = False
    zone: str = ""
    days: tuple[str, ...] = ()  # 0 is Monday
    begins: str = "00:00"
    ends: str = "24:00"
    at_most: str = ""
    longer_than: str = ""
    ticket: str = ""  # confirmed, unconfirmed; empty: it does not matter
    factor_older_than: str = ""
    factor_within: str = ""
    stages: Sequence[StageRow] = ()
    errors: Mapping[str, Problem] = field(default_factory=dict)  # by field

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors) or any(row.errors for row in self.stages)


def new_draft() -> RuleDraft:
    """A rule asks for approval unless told otherwise, and begins with one stage."""
    return RuleDraft(stages=(StageRow(),))


def draft_of(rule: Rule, names: Names) -> RuleDraft:
    want, times = rule.conditions, rule.conditions.times
    return RuleDraft(
        name=rule.name,
        effect=rule.effect.value,
        users=told(want.users, names),
        groups=told(want.groups, names),
        tags="\n".join(f"{name}={value}" for name, value in want.tags),
        resource_groups="\n".join(want.resource_groups),
        ports=", ".join(map(str, want.ports)),
        sources="\n".join(map(str, want.sources_within)),
        is_timed=times is not None,
        zone="" if times is None else times.time_zone,
        days=() if times is None else tuple(map(str, times.days)),
        begins="00:00" if times is None else clock(times.begins),
        ends="24:00" if times is None else clock(times.ends),
        at_most="" if want.at_most is None else _span_text(want.at_most),
        longer_than="" if want.longer_than is None else _span_text(want.longer_than),
        ticket={None: "", True: CONFIRMED, False: UNCONFIRMED}[want.ticket_confirmed],
        factor_older_than=""
        if want.factor_older_than is None
        else _span_text(want.factor_older_than),
        factor_within="" if want.factor_within is None else _span_text(want.factor_within),
        stages=stage_rows_of(rule.stages, names),
    )


def _span_text(span: timedelta) -> str:
    return show_span(span) if span < timedelta(days=1) else format_duration(span)


def read_draft(form: Form) -> RuleDraft:
    return RuleDraft(
        name=form.text("name")[:100],
        effect=form.text("effect")[:20],
        users=form.raw("users")[:_LONGEST],
        groups=form.raw("groups")[:_LONGEST],
        tags=form.raw("tags")[:_LONGEST],
        resource_groups=form.raw("resource_groups")[:_LONGEST],
        ports=form.text("ports")[:_LONGEST],
        sources=form.raw("sources")[:_LONGEST],
        is_timed=form.has("timed"),
        zone=form.text("zone")[:100],
        days=tuple(each for each in form.texts("day") if each in "0123456" and len(each) == 1),
        begins=form.text("from")[:10] or "00:00",
        ends=form.text("to")[:10] or "24:00",
        at_most=form.text("at_most")[:20],
        longer_than=form.text("longer_than")[:20],
        ticket=form.text("ticket")[:20],
        factor_older_than=form.text("factor_older_than")[:20],
        factor_within=form.text("factor_within")[:20],
        stages=read_stage_rows(form),
    )


def read_rule(draft: RuleDraft, reader: Reader, find: Finder) -> tuple[RuleDraft, Rule | None]:
    """The draft with its mistakes, and the rule; no rule where there is a mistake.

    ``find`` gives the id of a person or group by name or id. What an effect does not use is not
    read: the stages of a rule that asks for no approval.
    """
    reading = _Reading(draft, reader, find)
    rule = reading.rule()
    marked = replace(draft, errors=reading.errors, stages=reading.rows)
    return marked, None if marked.is_wrong else rule


def with_problems(
    draft: RuleDraft, problems: Iterable[Problem]
) -> tuple[RuleDraft, Sequence[Problem]]:
    """Put what a use case found wrong at its field; what is about no field comes back beside."""
    errors = dict(draft.errors)
    others: list[Problem] = []
    rows: Sequence[StageRow] = draft.stages
    for problem in problems:
        target = str(problem.target).removeprefix("properties.")
        name = _FIELDS.get(target.partition("[")[0])
        if target.startswith("stages"):
            rows, is_taken = with_stage_problems(rows, target, problem)
            if not is_taken:
                errors.setdefault("stages", problem)
        elif name is not None:
            errors.setdefault(name, problem)
        else:
            others.append(problem)
    return replace(draft, errors=errors, stages=rows), others


class _Reading:
    """One draft being read; mistakes are noted at their field."""

    def __init__(self, draft: RuleDraft, reader: Reader, find: Finder) -> None:
        self.draft = draft
        self.errors: dict[str, Problem] = {}
        self.rows: Sequence[StageRow] = draft.stages
        self._reader = reader
        self._find = find

    def rule(self) -> Rule | None:
        draft = self.draft
        effect = self._take("effect", lambda: _effect(draft.effect))
        conditions = Conditions(
            users=self._found("users", "User"),
            groups=self._found("groups", "Group"),
            tags=self._each("tags", draft.tags, _tag),
            resource_groups=tuple(dict.fromkeys(_words(draft.resource_groups))),
            ports=self._each("ports", draft.ports, _port),
            sources_within=self._each("sources", draft.sources, AddressPrefix.parse),
            times=self._window() if draft.is_timed else None,
            at_most=self._span("at_most", draft.at_most),
            longer_than=self._span("longer_than", draft.longer_than),
            ticket_confirmed=self._take("ticket", lambda: _ticket(draft.ticket)),
            factor_older_than=self._span("factor_older_than", draft.factor_older_than),
            factor_within=self._span("factor_within", draft.factor_within),
        )
        if effect is None:
            return None
        if effect is not Effect.APPROVE:
            self.rows = [replace(row, errors=NO_ERRORS) for row in draft.stages]
            return Rule(draft.name, effect, conditions)
        self.rows, stages = read_stages(draft.stages, self._reader, self._find)
        return Rule(draft.name, effect, conditions, stages)

    def _found(self, name: str, kind: str) -> tuple[str, ...]:
        text: str = getattr(self.draft, name)
        return self._each(name, text, lambda word: self._find(self._reader, kind, word), _lines)

    def _each(
        self,
        name: str,
        text: str,
        read: Callable[[str], T],
        split: Callable[[str], Sequence[str]] | None = None,
    ) -> tuple[T, ...]:
        found = self._take(name, lambda: [read(each) for each in (split or _words)(text)])
        return tuple(dict.fromkeys(found or ()))

    def _window(self) -> Window | None:
        draft = self.draft
        begins = self._take("begins", lambda: _minutes(draft.begins, WHOLE_DAY - 1))
        ends = self._take("ends", lambda: _minutes(draft.ends, WHOLE_DAY))
        days = tuple(sorted(int(each) for each in set(draft.days))) or tuple(range(7))
        if begins is None or ends is None:
            return None
        return Window(draft.zone, days, begins, ends)

    def _span(self, name: str, text: str) -> timedelta | None:
        if not text:
            return None
        return self._take(name, lambda: _span(text))

    def _take(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except BasculeError as error:
            self.errors[name] = Problem(error.specific_code, error.message, name)
            return None


def _ticket(text: str) -> bool | None:
    known = {"": None, CONFIRMED: True, UNCONFIRMED: False}
    if text not in known:
        raise InvalidInput("Choose one of the offered values.")
    return known[text]


def _effect(text: str) -> Effect:
    try:
        return Effect(text)
    except ValueError:
        raise InvalidInput("Choose one of the offered values.") from None


def _words(text: str) -> Sequence[str]:
    """Separated by commas, blanks or lines."""
    return text.replace(",", " ").replace(";", " ").split()


def _lines(text: str) -> Sequence[str]:
    """Names may hold blanks: one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidInput(
            sentence("{text} is not a tag such as env=production.", text=repr(text[:64])),
            code="InvalidTag",
        )
    return name, value


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5:
        raise InvalidInput("Give a port number, 1 to 65535.", code="InvalidPort")
    return parse_port_number(int(text))


def _minutes(text: str, most: int) -> int:
    """``08:00``; ``24:00`` where ``most`` allows the end of the day."""
    hours, colon, minutes = text.partition(":")
    is_clock = all(
        len(each) in (1, 2) and each.isascii() and each.isdecimal() for each in (hours, minutes)
    )
    total = 60 * int(hours) + int(minutes) if is_clock and colon else most + 1
    if total > most or (is_clock and int(minutes) > 59):
        raise InvalidInput(
            sentence("{text} is not a time of day such as 08:00.", text=repr(text[:20])),
            code="InvalidTimeOfDay",
        )
    return total


def _span(text: str) -> timedelta:
    return parse_duration(text) if text.upper().startswith("P") else parse_span(text)
