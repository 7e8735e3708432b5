"""What is told of a kind of event, in plain strings and Azure's own words.

Azure's activity log, OCSF and CEF, lists of operations, counts, tables of the command line
and pages of the portal derive theirs from it. What is not here: any wire format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, StrEnum, auto

from bascule.domain.facts.fields import Holds

_REFUSALS = ("Denied", "Refused", "Failed")  # ends of the names of what did not come about
OF_CALLS = ("method", "path")  # fields by which a call tells what it meant


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
    ENTITY = auto()  # something is managed
    ACCESS = auto()  # somebody is let in, or no longer
    CALL = auto()  # somebody called the API


class Activity(Enum):
    CREATE = auto()
    UPDATE = auto()
    DELETE = auto()
    ASSIGN = auto()  # of ACCESS alone, as REVOKE
    REVOKE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Variant:
    """What a kind is called for one value of the field that tells its events apart."""

    action: str
    display: str
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What is told of all events of one kind."""

    name: str  # as it is recorded: the name of the class
    action: str  # the operation as roles name it: Provider/type/verb
    display: str  # the operation in English
    activity: Activity = Activity.OTHER
    category: Category = Category.ENTITY
    severity: Severity = Severity.INFORMATIONAL
    outcome: Outcome = Outcome.OK
    level: Level = Level.INFORMATIONAL
    is_call: bool = False  # somebody's call: it has a beginning too, status Started
    critical_if: str = ""  # the field whose truth makes an event CRITICAL
    varies_by: str = ""  # the field by which events are told apart and counted
    variants: Mapping[str, Variant] = field(default_factory=dict)  # by that field's values
    meaning: Callable[[str, str], str] | None = None  # which action a call meant
    holds: Mapping[str, Holds] = field(default_factory=dict)  # by the names of its fields
    is_unknown: bool = False  # of a newer program
    is_meant: bool = False  # ``action`` is what a denied call meant

    def fields_of(self, *wanted: Holds) -> list[str]:
        return [name for name, holds in self.holds.items() if holds in wanted]

    def for_values(self, value_of: Callable[[str], object]) -> Kind:
        """What is told of one event, whose fields ``value_of`` reads."""
        if self.varies_by:
            return self.variant(str(value_of(self.varies_by)))
        if self.critical_if and value_of(self.critical_if):
            return replace(self, severity=Severity.CRITICAL)
        if self.meaning and (action := self.meaning(*map(str, map(value_of, OF_CALLS)))):
            return replace(
                self, action=action, display=f"Denied: {action}", is_call=True, is_meant=True
            )
        return self

    def variant(self, value: str) -> Kind:
        found = self.variants.get(value)
        if found is None:  # a value of a newer program
            strange = unknown_kind(f"{self.name}.{value}")
            return replace(strange, category=self.category, activity=self.activity)
        return replace(
            self, action=found.action, display=found.display, is_call=found.is_call, varies_by=""
        )

    def sorts(self) -> dict[str, Kind]:
        """What its events are counted as, each with what is told of those."""
        if not self.varies_by:
            return {self.name: self}
        return {f"{self.name}.{value}": self.variant(value) for value in self.variants}


def unknown_kind(name: str) -> Kind:
    """A kind of a newer program: severe, and told by its code (EDGES F2)."""
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
