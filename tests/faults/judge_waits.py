"""The verdict on approvals: what opened that had to wait, what was lost of what was answered.

A part of ``judge``. What is not here: starts (``judge_starts``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from bascule.client.access import AccessRequest
from bascule.domain.lifecycle import RequestState
from tests.faults.history import Asked, History
from tests.faults.model import Model, is_allowed
from tests.faults.record import Record
from tests.faults.waits import CLOCKS, dues, given, holds_voice, is_right

_OUTCOMES = {
    RequestState.DENIED: ("AccessNotApproved", "AccessNotAllowed"),
    RequestState.LAPSED: ("AccessLapsed", "AccessStartMissed"),
    RequestState.WITHDRAWN: ("AccessWithdrawn",),
}
_SAID = {"AccessApproved": "yes", "AccessSelfApproved": "yes", "AccessNotApproved": "no"}
_ENDINGS = tuple(kind for kinds in _OUTCOMES.values() for kind in kinds)


def note_openings(history: History, record: Record) -> None:
    """Write down of each request whether it waited, and when it had its grants."""
    for asked in history.asked:
        request = record.requests.get(asked.tag) or record.unopened.get(asked.tag)
        is_put_off = request is not None and request.approval is not None
        if request is not None and (is_put_off or asked.starts_at is not None):
            asked.waits = True
            asked.opened = record.created.get(request.id)


def unapproved(history: History, record: Record) -> frozenset[str]:
    """Tags of requests that opened without the approvals that were due."""
    return frozenset(
        asked.tag
        for asked, request, at in _opened(history, record)
        if not is_right(history, asked, request.id, at)
    )


def judge_waits(history: History, model: Model, record: Record) -> list[str]:
    return [
        *_openings(history, model, record),
        *_waiting(history, record),
        *_votes(history, record),
        *_events(history, record),
        *_left_waiting(history, record),
    ]


def _opened(history: History, record: Record) -> Iterable[tuple[Asked, AccessRequest, float]]:
    for asked in history.asked:
        request = record.requests.get(asked.tag)
        at = record.created.get(request.id) if request is not None else None
        if request is not None and at is not None:
            yield asked, request, at


def _openings(history: History, model: Model, record: Record) -> Iterable[str]:
    for asked, request, at in _opened(history, record):
        moment = at - history.began
        if not is_right(history, asked, request.id, at):
            due = dues(history, asked, at - CLOCKS, at + CLOCKS)
            people = sorted(given(history, request.id, at))
            yield (
                f"{asked.tag} was granted at {moment:.3f} s without the approvals due: {due} was"
                f" asked for, and {people or 'nobody'} had said yes"
            )
        if asked.is_put_off:
            yield from (
                f"{asked.tag} was granted at {moment:.3f} s after {what}"
                for what in _against(history, model, asked, request.id, at)
            )


def _against(
    history: History, model: Model, asked: Asked, request_id: str, at: float
) -> Iterable[str]:
    """What had surely ended its waiting by then, or had taken the right to it."""
    for no in history.answers:
        if no.request_id == request_id and not no.is_yes and _is_done(no.answered, no.denied, at):
            yield f"{no.approver} had said no"
    for revoked in history.revoked:
        if revoked.request_id == request_id and _is_done(revoked.answered, revoked.denied, at):
            yield "it was withdrawn"
    if asked.is_fixed and at > asked.earliest_end + CLOCKS:
        yield "the end that was asked for"
    if model.holds_role(asked.person, at - CLOCKS, at + CLOCKS) is False:
        yield f"{asked.person} had lost the role"
    rules = model.rules_during(asked.machine, at - CLOCKS, at + CLOCKS)
    if rules is not None and not all(is_allowed(rules, p, asked.source) for p in asked.ports):
        yield f"the rules had changed to {rules}"
    for edit in model.edits(asked.machine):
        is_after = asked.answered is not None and edit.sent > asked.answered
        if edit.kind == "delete" and is_after and _is_done(edit.answered, "", at):
            yield "its machine was deleted"


def _is_done(answered: float | None, denied: str, at: float) -> bool:
    return answered is not None and not denied and answered < at - CLOCKS


def _waiting(history: History, record: Record) -> Iterable[str]:
    """What waits has to, and nothing else does."""
    for asked in history.asked:
        if asked.answered is None or asked.denied or asked.starts_at is not None:
            continue
        found = dues(history, asked, asked.sent, asked.answered)
        if asked.waits and found == {()}:
            yield f"{asked.tag} waits, and no approval was due"


def _votes(history: History, record: Record) -> Iterable[str]:
    """No yes or no that was acknowledged is lost, and none counts that was refused or not allowed."""
    done: Counter[tuple[str, str, str]] = Counter()
    maybe: Counter[tuple[str, str, str]] = Counter()
    found: Counter[tuple[str, str, str]] = Counter()
    for kind, word in _SAID.items():
        for fact in record.of(kind):
            found[fact.actor.partition("@")[0], str(fact.data["request_id"]), word] += 1
    for each in history.answers:
        key = (each.approver, each.request_id, "yes" if each.is_yes else "no")
        if each.answered is None:
            maybe[key] += 1
        elif not each.denied:
            done[key] += 1
            end = each.answered
            if each.is_yes and each.approver == each.requestor:
                yield f"{each.approver} approved what they had asked for: {each}"
            if holds_voice(history, each.approver, each.sent, end) is False:
                yield f"{each.approver} was heard without the right to approve: {each}"
    for key in done.keys() | maybe.keys() | found.keys():
        if not done[key] <= found[key] <= done[key] + maybe[key]:
            yield (
                f"{key[0]} said {key[2]} to {key[1]} {done[key]} to {done[key] + maybe[key]} times, and"
                f" {found[key]} events say so"
            )


def _may_wait_for(history: History, tag: str) -> int:
    """How often people may be asked for it: at first, and whenever what asks for them was changed."""
    (asked,) = (each for each in history.asked if each.tag == tag)
    edits = [each.lost for each in history.edited if each.machine == asked.machine]
    rules = [each.lost for each in history.ordered if each.person == asked.person]
    return 1 + sum(1 + lost for lost in (*edits, *rules))


def _events(history: History, record: Record) -> Iterable[str]:
    """Each waiting has its event, and one way in which it came to its end."""
    begun = Counter(str(fact.data["request_id"]) for fact in record.of("AccessWaiting"))
    over: dict[str, list[str]] = {}
    for kind in _ENDINGS:
        for fact in record.of(kind):
            over.setdefault(str(fact.data["request_id"]), []).append(kind)
    for tag, request in (*record.requests.items(), *record.unopened.items()):
        waited = int(request.approval is not None)
        most = waited * _may_wait_for(history, tag)
        if request.starts_at is None and not waited <= begun[request.id] <= most:
            yield f"{tag} is {request.state} and has {begun[request.id]} AccessWaiting events"
        ends = over.get(request.id, [])
        wanted = _OUTCOMES.get(RequestState(request.state), ()) if tag in record.unopened else ()
        if request.starts_at is None:
            wanted = tuple(each for each in wanted if each != "AccessStartMissed")
        if len(ends) != (tag in record.unopened) or not {*ends} <= {*wanted}:
            yield f"{tag} is {request.state} and has the events {ends}"
        if tag in record.unopened and request.id in record.created:
            yield f"{tag} is {request.state} and had grants"


def _left_waiting(history: History, record: Record) -> Iterable[str]:
    """Nobody is locked out: with the last yes it is granted, where nothing else changed."""
    for asked in history.asked:
        request = record.unopened.get(asked.tag)
        if request is None or request.state != RequestState.WITHDRAWN or asked.answered is None:
            continue
        if asked.starts_at is not None:  # ``judge_starts``
            continue
        if request.id in {
            each.request_id for each in history.revoked if each.sent < history.healed
        }:
            continue
        found = dues(history, asked, asked.sent, math.inf)
        yes = [
            each
            for each in history.answers
            if each.request_id == request.id and each.is_yes and not each.denied and each.answered
        ]
        is_quiet = not history.trusted and len(found) == 1 and not history.ruled
        for due in found if is_quiet else ():
            if due is not None and len(yes) >= sum(needed for _, needed in due):
                yield f"{asked.tag} waits on, and {[each.approver for each in yes]} have approved it"
