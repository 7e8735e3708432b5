"""Events as comma-separated values: columns that stay, and cells that no spreadsheet runs.

RFC 4180, UTF-8, a head. The columns are documented in docs/activity.md and only ever gain
ones at the end (Azure's own are not published). A cell that a spreadsheet would take for a
formula gets an apostrophe before it (OWASP, CSV injection); control characters are out.
The command line and the portal write the same lines.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bascule.domain.facts.fields import Holds
from bascule.domain.facts.kinds import fields_of
from bascule.domain.ids import is_guid
from bascule.domain.plain import clean

COLUMNS = (
    "at",
    "kind",
    "actor",
    "actorKind",
    "actorId",
    "actorAddress",
    "resourceId",
    "correlationId",
    "justification",
    "detail",
    "id",
    "position",
    "hash",
    "client",
    "operation",
    "status",
    "machine",
    "port",
    "source",
)
# Full-width forms too: some spreadsheets read them as the plain ones.
_BEGINS_FORMULA = re.compile('(^|;)(?=[\\s"]*[-=+@\uff1d\uff0b\uff0d\uff20])')
_MACHINES = (Holds.MACHINE, Holds.PLACES)
_LEFT_OUT = (*_MACHINES, Holds.POLICY, Holds.GRANT, Holds.BULK)  # other columns say it, or too long


def csv_head() -> str:
    return csv_line(COLUMNS)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of an event beside its record."""

    operation: str = ""
    status: str = ""
    machines: Sequence[str] = ()  # names
    ports: Sequence[str] = ()
    sources: Sequence[str] = ()
    gateways: Mapping[str, str] = field(default_factory=dict)  # names by uid


def csv_event(
    record: Mapping[str, Any], position: int = 0, digest: str = "", told: Told | None = None
) -> str:
    """One line, its end included, of ``domain.event.Event.record()``; ``position`` is 0 until
    it is sealed.
    """
    actor, data = record["actor"], dict(record["data"])
    told = told or Told()
    machines = told.machines or _machines(record)
    justification = data.pop("justification", "")
    return csv_line(
        (
            record["at"],
            record["kind"],
            actor["name"],
            actor["kind"],
            actor["principal_id"],
            actor["address"],
            record["resourceId"],
            record["correlationId"],
            str(justification),
            detail(record["kind"], data, gateways=told.gateways),
            record["id"],
            str(position or ""),
            digest,
            actor["client"],
            told.operation,
            told.status,
            " ".join(machines),
            " ".join(told.ports),
            " ".join(told.sources),
        )
    )


def _machines(record: Mapping[str, Any]) -> list[str]:
    """Names of the machines that an event names, or is about."""
    named = [
        each
        for name in fields_of(record["kind"], *_MACHINES)
        for each in _several(record["data"].get(name))
        if each
    ]
    if not named and "/virtualmachines/" in record["resourceId"].casefold():
        named = [record["resourceId"]]
    return list(dict.fromkeys(each.rpartition("/")[2] for each in named))


def detail(
    kind: str,
    data: Mapping[str, object],
    value: Callable[[str, str], str] = lambda _, text: text,
    *,
    gateways: Mapping[str, str],
) -> str:
    """What an event says beyond its kind and its resource, in a few words.

    ``value`` writes one for its readers, by the field's name; resources are names already. ``gateways``
    are the names of those that it has by uid; of one that is gone the uid is all there is.
    """
    left_out, points = fields_of(kind, *_LEFT_OUT), fields_of(kind, Holds.POINT)
    named = {
        "gateway" if name in points else name: (
            gateways.get(str(given), given) if name in points else given
        )
        for name, given in data.items()
        if name not in left_out and given not in ("", [], (), False, None)
    }
    return ", ".join(
        f"{name.replace('_', ' ')}: {_written(name, given, value)}" for name, given in named.items()
    )


def without_ids(data: Mapping[str, object]) -> dict[str, object]:
    """For people: without the ids whose names stand beside them."""
    return {name: given for name, given in data.items() if not _has_name(data, name)}


def _has_name(data: Mapping[str, object], name: str) -> bool:
    """Is this an id whose name stands beside it? A role assignment is told by its principal."""
    what = name.removesuffix("_id")
    if what == name or not is_guid(str(data[name])) or name == "request_id":
        return False
    return bool(data.get("principal" if what == "assignment" else what)) or (
        what == "principal" and bool(data.get("service_principal"))
    )


def _written(name: str, given: object, value: Callable[[str, str], str]) -> str:
    if isinstance(given, (list, tuple)):
        return " ".join(_written(name, each, value) for each in given)
    text = str(given)
    return text.rpartition("/")[2] if text.startswith("/subscriptions/") else value(name, text)


def _several(given: object) -> Sequence[str]:
    return given if isinstance(given, (list, tuple)) else [str(given or "")]


def csv_line(cells: Sequence[str]) -> str:
    file = io.StringIO()
    csv.writer(file).writerow([_cell(clean(cell)) for cell in cells])
    return file.getvalue()


def _cell(text: str) -> str:
    """Nothing in it is a formula: not the cell, and no part of it where semicolons separate.

    A tab or line end before the sign is a blank by now, which spreadsheets may drop. Where a
    comma is the decimal sign (French, German), Excel splits lines at semicolons.
    """
    return _BEGINS_FORMULA.sub(r"\1'", text)
