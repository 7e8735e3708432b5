"""Events of the activity log as people read them: operation, resource, who, from where.

Used by the activity log's page and by a machine's own; the macro is ``event_table`` of
activity_parts.html. Names come from elsewhere and are shown without what hides in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from bascule.domain.chain import ChainHead
from bascule.domain.event import Actor, grouped
from bascule.domain.facts.kind import Kind
from bascule.domain.facts.kinds import kind_of
from bascule.domain.ids import COMPUTE, VIRTUAL_MACHINES, ResourceId
from bascule.domain.plain import clean
from bascule.errors import InvalidInput
from bascule.portal.codes import text_of
from bascule.services.activity import About, LogRow
from bascule.words import Words

# How an outcome looks: what its badge is, and its icon.
LOOKS = {
    "Succeeded": ("good", "success"),
    "Accepted": ("plain", "clock"),
    "Failed": ("bad", "error"),
}
UNKNOWN = ("bad", "warning")  # of a newer program, whatever its outcome (EDGES F2)
_MACHINE = f"{COMPUTE}/{VIRTUAL_MACHINES}".casefold()


@dataclass(frozen=True, slots=True)
class Shown:
    """One event in the words of one language."""

    sequence: int
    at: datetime
    operation: str
    resource: str  # its own name; empty: the installation
    resource_kind: str  # in words; empty where there are none for it
    resource_id: str
    machine_path: str  # of the machine's page; empty when it is about no machine
    who: str
    address: str
    status: str  # as the API says it
    status_words: str
    look: tuple[str, str]
    level: str
    place: ChainHead | None
    path: str  # of the event's own page
    about: About | None = None  # whose access it tells of
    access: str = ""  # owner · web-1 · 22/tcp from 10.0.0.7
    justification: str = ""
    is_first: bool = False  # of the rows of its request, where these stand together


def shown_rows(words: Words, rows: Sequence[LogRow]) -> list[Shown]:
    return [shown_row(words, each) for each in rows]


def shown_row(words: Words, row: LogRow) -> Shown:
    event, operation = row.event, kind_of(row.event.fact)
    kind, name, machine_path = _resource(words, event.resource_id)
    return Shown(
        row.sequence,
        event.at,
        operation_words(words, operation),
        name,
        kind,
        clean(event.resource_id),
        machine_path,
        who(words, event.actor),
        event.actor.address,
        operation.outcome.status,
        text_of(words, f"activity.status.{operation.outcome.status}"),
        UNKNOWN if operation.is_unknown else LOOKS[operation.outcome.status],
        operation.level,
        row.place,
        f"/portal/activity/events/{row.sequence}",
        row.about,
        _access(words, row.about, is_of_machine=bool(machine_path)) if row.about else "",
        clean(row.about.justification) if row.about else "",
    )


def _access(words: Words, about: About, *, is_of_machine: bool) -> str:
    """Who is let in, or wanted to be, to which ports, from where; of which machines, unless the
    row is about one.
    """
    ports, sources = clean(" ".join(about.ports)), clean(" ".join(about.sources))
    machines = "" if is_of_machine else clean(" ".join(about.machines))
    where = words("{ports} from {sources}", ports=ports, sources=sources) if sources else ports
    return " · ".join(filter(None, (clean(about.requestor), machines, where)))


def by_request(shown: Sequence[Shown]) -> list[Shown]:
    """Those of one request together, the first of them marked."""

    def request_of(each: Shown) -> str:
        return each.about.request_id if each.about else ""

    rows, last = [], ""
    for each in grouped(shown, request_of):
        request = request_of(each)
        rows.append(replace(each, is_first=bool(request) and request != last))
        last = request
    return rows


def operation_words(words: Words, kind: Kind) -> str:
    """What it is called; a denied call by what it meant, a kind of a newer program by its code."""
    if kind.is_denied_call:
        return words("Denied: {action}", action=clean(kind.action))
    if kind.is_unknown:
        return words("Unknown event {kind}", kind=clean(kind.name))
    return words.pgettext("operation", kind.display)


def who(words: Words, actor: Actor) -> str:
    if actor.kind == "System":
        return words("Bascule")
    return clean(actor.name) or actor.principal_id or words("Somebody not signed in")


def _resource(words: Words, resource_id: str) -> tuple[str, str, str]:
    """Its kind in words, its name, and the path of its page if it is a machine."""
    if not resource_id:
        return "", "", ""
    parts = clean(resource_id).strip("/").split("/")
    kind = text_of(words, f"activity.kind.{parts[-2].casefold()}" if len(parts) > 1 else "", "")
    try:
        parsed = ResourceId.parse(resource_id)
    except InvalidInput:
        return kind, parts[-1], ""
    if parsed.type.casefold() != _MACHINE:
        return kind, parsed.name, ""
    path = f"/portal/machines/{quote(parsed.resource_group, safe='')}/{quote(parsed.name, safe='')}"
    return kind, parsed.name, path
