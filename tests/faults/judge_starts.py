"""The verdict on starts: nothing opens before its start or long after it, and what is right opens at it.

A part of ``judge``. Packets before a start are no grant's (``model``); what was withdrawn, denied or not
approved opens neither at its start (``judge_waits``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from bascule.client.access import AccessRequest
from tests.faults.history import Asked, History
from tests.faults.model import Model, is_allowed
from tests.faults.record import Record
from tests.faults.schedule import BEHIND
from tests.faults.waits import CLOCKS, dues


def judge_starts(history: History, model: Model, record: Record) -> Iterable[str]:
    begun = Counter(str(fact.data["request_id"]) for fact in record.of("AccessStarted"))
    said = Counter(
        str(fact.data["request_id"])
        for kind in ("AccessWaiting", "AccessScheduled")
        for fact in record.of(kind)
    )
    for asked in history.asked:
        request = record.requests.get(asked.tag) or record.unopened.get(asked.tag)
        start = asked.starts_at
        if request is None:
            continue
        wanted = int(start is not None and asked.tag in record.requests)
        if begun[request.id] != wanted:
            yield f"{asked.tag} is {request.state} and has {begun[request.id]} AccessStarted events"
        if start is None:
            continue
        kept = None if request.starts_at is None else record.moment(request.starts_at)
        if kept is None or abs(kept - start) > CLOCKS:
            yield f"{asked.tag} was to open at {start - history.began:.3f} s, which the record lacks"
        if not said[request.id]:
            yield f"{asked.tag} waited for its start, and no event says so"
        yield from _times(history, asked, start, record.created.get(request.id))
        yield from _not_opened(history, model, record, asked, start, request)


def _times(history: History, asked: Asked, start: float, at: float | None) -> Iterable[str]:
    if at is not None and at < start - CLOCKS:
        yield (
            f"{asked.tag} was granted at {at - history.began:.3f} s, before its start at"
            f" {start - history.began:.3f} s"
        )
    if at is not None and at > asked.latest + CLOCKS:
        yield (
            f"{asked.tag} was granted at {at - history.began:.3f} s, more than five minutes after its"
            f" start at {start - history.began:.3f} s"
        )


def _not_opened(
    history: History,
    model: Model,
    record: Record,
    asked: Asked,
    start: float,
    request: AccessRequest,
) -> Iterable[str]:
    """Where nothing was disturbed it is open as soon as a decision of that moment would be."""
    ways = BEHIND.get(asked.machine, ("",))
    by = min(model.reached_by(start, asked.machine, way) for way in ways)
    if not _is_right_until(history, model, asked, start, request.id, by):
        return
    opened = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantOpened")}
    over: dict[str, float] = {}
    for fact in (*record.of("GrantEnded"), *record.of("GrantFailed")):
        over.setdefault(str(fact.data["grant_id"]), fact.at)
    late = {
        port.number
        for _, port in request.ports()
        if min(opened.get(port.grant_id, math.inf), over.get(port.grant_id, math.inf)) > by
    }
    if late:
        yield (
            f"{asked.tag} was to open at {start - history.began:.3f} s, and {asked.machine} ports"
            f" {sorted(late)} were not open by {by - history.began:.3f} s although nothing was in its way:"
            f" it is {request.state}"
        )


def _is_right_until(
    history: History, model: Model, asked: Asked, start: float, request_id: str, by: float
) -> bool:
    """Was it surely allowed and approved from its asking until then, and wanted?"""
    if asked.is_fixed and asked.earliest_end <= by:
        return False
    if any(each.request_id == request_id and each.sent < by for each in history.revoked):
        return False
    rules = model.rules_during(asked.machine, asked.sent, by)
    if rules is None or not all(is_allowed(rules, port, asked.source) for port in asked.ports):
        return False
    if model.holds_role(asked.person, asked.sent, by) is not True:
        return False
    return _is_approved_at(history, asked, start, request_id, by)


def _is_approved_at(
    history: History, asked: Asked, start: float, request_id: str, by: float
) -> bool:
    """Was all that may have been due surely there before its start, and never void?"""
    found = dues(history, asked, asked.sent, by)
    answers = [each for each in history.answers if each.request_id == request_id]
    if any(not each.is_yes and not each.denied for each in answers):
        return False
    if found == {()}:
        return True
    due = next(iter(found))
    if len(found) > 1 or due is None or history.trusted or history.ruled:
        return False
    yes = [
        each
        for each in answers
        if each.is_yes
        and not each.denied
        and each.answered is not None
        and each.answered < start - CLOCKS
    ]
    return len(yes) >= sum(needed for _, needed in due)
