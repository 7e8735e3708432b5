"""The rows of a form in which stages of approval are edited: as typed, and as stages.

``stage`` names the rows, ``stage.N.field`` is what is in one. People and groups are one a line, by
name or id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from bascule.domain.stages import MOST_STAGES, Approvers, Stage
from bascule.errors import BasculeError, InvalidInput, Problem
from bascule.interfaces.store import Reader
from bascule.portal.forms import Form
from bascule.portal.rule_words import Names
from bascule.portal.spans import parse_span, show_span
from bascule.sentences import sentence

Finder = Callable[[Reader, str, str], str]  # the id of a User or Group, by name or id
NO_ERRORS: Mapping[str, Problem] = MappingProxyType({})
_LONGEST = 10_000
_FIELDS = {
    "approvers": "users",
    "needed": "needed",
    "escalateAfterMinutes": "after",
    "escalateTo": "to_users",
    "secondFactorWithin": "factor",
}


@dataclass(frozen=True, slots=True)
class StageRow:
    users: str = ""
    groups: str = ""
    by_role: bool = False
    needed: str = "1"
    after: str = ""  # empty: it does not escalate
    to_users: str = ""
    to_groups: str = ""
    to_role: bool = False
    factor: str = ""  # how old a second factor may be; empty: any
    errors: Mapping[str, Problem] = field(default_factory=dict)  # by field


def told(ids: Sequence[str], names: Names) -> str:
    """One a line, as ``read_stages`` finds them again."""
    return "\n".join(names.get(each, each) for each in ids)


def stage_rows_of(stages: Sequence[Stage], names: Names) -> tuple[StageRow, ...]:
    return tuple(_row_of(each, names) for each in stages)


def _row_of(stage: Stage, names: Names) -> StageRow:
    asked, later = stage.approvers, stage.escalate_to
    return StageRow(
        told(asked.users, names),
        told(asked.groups, names),
        asked.by_role,
        str(stage.needed),
        "" if stage.escalate_after is None else show_span(stage.escalate_after),
        told(later.users, names),
        told(later.groups, names),
        later.by_role,
        "" if stage.factor_within is None else show_span(stage.factor_within),
    )


def read_stage_rows(form: Form) -> tuple[StageRow, ...]:
    places = [each for each in form.texts("stage") if each.isdecimal()]
    return tuple(_read(form, f"stage.{each}") for each in dict.fromkeys(places[:MOST_STAGES]))


def _read(form: Form, name: str) -> StageRow:
    return StageRow(
        form.raw(f"{name}.users")[:_LONGEST],
        form.raw(f"{name}.groups")[:_LONGEST],
        form.has(f"{name}.role"),
        form.text(f"{name}.needed")[:10],
        form.text(f"{name}.after")[:20],
        form.raw(f"{name}.to_users")[:_LONGEST],
        form.raw(f"{name}.to_groups")[:_LONGEST],
        form.has(f"{name}.to_role"),
        form.text(f"{name}.factor")[:20],
    )


def changed_rows(act: str, rows: Sequence[StageRow]) -> Sequence[StageRow] | None:
    """What the buttons *Add stage* and *Delete* make of the rows; None: another button."""
    if act == "add-stage":
        return [*rows, StageRow()][:MOST_STAGES]
    if act.startswith("delete-stage-"):
        return [row for place, row in enumerate(rows) if f"delete-stage-{place}" != act]
    return None


def read_stages(
    rows: Sequence[StageRow], reader: Reader, find: Finder
) -> tuple[Sequence[StageRow], tuple[Stage, ...]]:
    """The rows with their mistakes, and the stages of those without."""
    read = [_Reading(row, reader, find) for row in rows]
    stages = [each.stage() for each in read]
    marked = [replace(each.row, errors=each.errors) for each in read]
    return marked, tuple(stage for stage in stages if stage is not None)


def with_stage_problems(
    rows: Sequence[StageRow], target: str, problem: Problem
) -> tuple[Sequence[StageRow], bool]:
    """Put a problem of ``stages[N].field`` at its row; False: it is about none."""
    place, _, rest = target.removeprefix("stages").removeprefix("[").partition("]")
    if not place.isdecimal() or int(place) >= len(rows):
        return rows, False
    name = _FIELDS.get(rest.removeprefix(".").partition(".")[0], "users")
    row = rows[int(place)]
    marked = replace(row, errors={name: problem, **row.errors})
    return [*rows[: int(place)], marked, *rows[int(place) + 1 :]], True


class _Reading:
    def __init__(self, row: StageRow, reader: Reader, find: Finder) -> None:
        self.row = row
        self.errors: dict[str, Problem] = {}
        self._reader = reader
        self._find = find

    def stage(self) -> Stage | None:
        row = self.row
        asked = Approvers(self._found("users", "User"), self._found("groups", "Group"), row.by_role)
        later = Approvers(
            self._found("to_users", "User"), self._found("to_groups", "Group"), row.to_role
        )
        needed, after, factor = self._needed(), self._after(), self._factor()
        if self.errors or needed is None:
            return None
        return Stage(asked, needed, after, later, factor)

    def _factor(self) -> timedelta | None:
        try:
            return parse_span(self.row.factor) if self.row.factor else None
        except BasculeError as error:
            self._note("factor", error)
            return None

    def _found(self, name: str, kind: str) -> tuple[str, ...]:
        text: str = getattr(self.row, name)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        try:
            found = [self._find(self._reader, kind, line) for line in lines]
        except BasculeError as error:
            self._note(name, error)
            return ()
        return tuple(dict.fromkeys(found))

    def _needed(self) -> int | None:
        text = self.row.needed
        if text.isascii() and text.isdecimal():
            return int(text)
        words = sentence("{text} is not a number.", text=repr(text))
        self._note("needed", InvalidInput(words, code="InvalidNeeded"))
        return None

    def _after(self) -> timedelta | None:
        if not self.row.after:
            return None
        try:
            span = parse_span(self.row.after)
        except BasculeError as error:
            self._note("after", error)
            return None
        if span % timedelta(minutes=1):
            words = "Give whole minutes, as in 0:15."
            self._note("after", InvalidInput(words, code="InvalidEscalation"))
        return span

    def _note(self, name: str, error: BasculeError) -> None:
        self.errors[name] = Problem(error.specific_code, error.message, name)
