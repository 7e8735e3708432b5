"""The description of a kind of event, in plain strings and Azure's own words.

Azure's activity log, OCSF and CEF, filters, counts, the command line's tables and the portal's
pages are derived from it. No wire format is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, StrEnum, auto

from bascule.domain.facts.fields import Holds

_REFUSALS = ("Denied", "Refused", "Failed")  # endings of the names of kinds that tell of a failure
OF_CALLS = ("method", "path")  # the fields that show which action a call asked for


class Severity(IntEnum):
    """OCSF's severity_id; the levels of sinks are the same."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class Level(StrEnum):
    """Azure's word for how much an entry of its activity log matters."""

    INFORMATIONAL = "Informational"
    WARNING = "Warning"
    ERROR = "Error"
    CRITICAL = "Critical"


class Outcome(Enum):
    """Azure's status, and its sub-status: the word for the status of HTTP."""

    OK = ("Succeeded", "OK")
    CREATED = ("Succeeded", "Created")
    ACCEPTED = ("Accepted", "Accepted")
    BAD_REQUEST = ("Failed", "BadRequest")
    UNAUTHORIZED = ("Failed", "Unauthorized")
    FORBIDDEN = ("Failed", "Forbidden")
    UNAVAILABLE = ("Failed", "ServiceUnavailable")

    @property
    def status(self) -> str:
        return self.value[0]

    @property
    def sub_status(self) -> str:
        return self.value[1]

    @property
    def is_failure(self) -> bool:
        return self.status == "Failed"


class Category(Enum):
    ENTITY = auto()  # something was created, changed or removed
    ACCESS = auto()  # somebody gained or lost access
    CALL = auto()  # somebody called the API


class Activity(Enum):
    CREATE = auto()
    UPDATE = auto()
    DELETE = auto()
    ASSIGN = auto()  # ASSIGN and REVOKE belong to ACCESS only
    REVOKE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Variant:
    """The operation of a kind for one value of the field that its events vary by."""

    action: str
    display: str
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """The description of one kind of event."""

    name: str  # as recorded: the class's name
    action: str  # the operation as roles name it: Provider/type/verb
    display: str  # the operation in English
    activity: Activity = Activity.OTHER
    category: Category = Category.ENTITY
    severity: Severity = Severity.INFORMATIONAL
    outcome: Outcome = Outcome.OK
    level: Level = Level.INFORMATIONAL
    is_call: bool = False  # somebody called the API: a second entry has status Started
    critical_if: str = ""  # a field; an event is CRITICAL where it is true
    varies_by: str = ""  # a field; each of its values has its own operation and count
    variants: Mapping[str, Variant] = field(default_factory=dict)  # by the values of that field
    meaning: Callable[[str, str], str] | None = (
        None  # (method, path) -> the action that a call asked for
    )
    holds: Mapping[str, Holds] = field(default_factory=dict)  # by field name
    is_unknown: bool = False  # recorded by a newer program
    is_denied_call: bool = False  # ``action`` is the one that a denied call asked for

    def fields_of(self, *wanted: Holds) -> list[str]:
        return [name for name, holds in self.holds.items() if holds in wanted]

    def for_values(self, value_of: Callable[[str], object]) -> Kind:
        """The description of one event; ``value_of`` reads its fields."""
        if self.varies_by:
            return self.variant(str(value_of(self.varies_by)))
        if self.critical_if and value_of(self.critical_if):
            return replace(self, severity=Severity.CRITICAL)
        if self.meaning and (action := self.meaning(*map(str, map(value_of, OF_CALLS)))):
            return replace(
                self, action=action, display=f"Denied: {action}", is_call=True, is_denied_call=True
            )
        return self

    def variant(self, value: str) -> Kind:
        found = self.variants.get(value)
        if found is None:  # a newer program's value
            strange = unknown_kind(f"{self.name}.{value}")
            return replace(strange, category=self.category, activity=self.activity)
        return replace(
            self, action=found.action, display=found.display, is_call=found.is_call, varies_by=""
        )

    def sorts(self) -> dict[str, Kind]:
        """The names that its events are counted by, each with its description."""
        if not self.varies_by:
            return {self.name: self}
        return {f"{self.name}.{value}": self.variant(value) for value in self.variants}


def unknown_kind(name: str) -> Kind:
    """The description of a newer program's kind: severe, named by its code (EDGES F2)."""
    stem = name.partition(".")[0]
    return Kind(
        name,
        f"Bascule.Audit/{stem[:1].lower()}{stem[1:]}/action",
        f"Unknown event {name}",
        severity=Severity.HIGH,
        outcome=Outcome.FORBIDDEN if name.endswith(_REFUSALS) else Outcome.OK,
        level=Level.ERROR,
        is_unknown=True,
    )
