"""Runs of ``bascule ssh --close``: a request is closed when the last run that uses it has ended (EDGES J14).

A run is one of its requestor's, is begun with the request, and others may join it while it has one. A use
of the same access without ``--close`` keeps it: then no run closes it any more. Whatever closes it here
ends it as time would, without cutting connections.
What runs say between (``heartbeats``) is not here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.facts.grants import AccessScheduled, AccessWaiting
from bascule.domain.lifecycle import STATES, RequestState, StatusReason
from bascule.domain.request import AccessRequest
from bascule.domain.runs import BOUND, MOST_RUNS, Run, counted_until
from bascule.errors import Conflict, NotFound
from bascule.interfaces.requests import RequestReads
from bascule.interfaces.runs import RunReads, RunWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, end_grants

MOST_AT_ONCE = 100  # that are ended by one sweep
UNHEARD = f"no run of bascule ssh --close was heard for {BOUND.total_seconds():.0f} s"
ENDED = "its last run of bascule ssh --close ended"


class RunUseWrites(RequestReads, RunWrites, Protocol):
    """Requests, and the runs that use them."""


class RunEndWrites(GrantEndWrites, RunWrites, Protocol):
    """Runs, and the grants that end with them."""


class LeaveWrites(RunEndWrites, RequestReads, Protocol):
    """The same, by their requestor."""


def begin(tx: RunUseWrites, act: Act, request: AccessRequest, run_id: str) -> None:
    """With the request itself, or the same one that waits already; empty: no run closes it.

    While it waits, for approval or for its start, its runs do not end.
    """
    begun = {
        each.request_id for each in act.facts if isinstance(each, AccessWaiting | AccessScheduled)
    }
    if _is_waiting(request) and request.id not in begun:
        if not tx.runs_of(request.id):  # somebody waits for it whose end closes nothing
            return
        if not run_id:
            tx.remove_runs(request.id)
    if run_id:
        _put(tx, _run(request, run_id, act))


def join(tx: RunUseWrites, act: Act, request_id: str, run_id: str, subject: Subject) -> Run:
    """Use a request's access beside runs that do. Raises NotFound, and Conflict where it is not live or
    no run may close it.
    """
    request = _own(tx, request_id, subject)
    _require_live(request)
    if not tx.runs_of(request_id):
        raise _not_closing()
    run = _run(request, run_id, act)
    _put(tx, run)
    return run


def leave(tx: LeaveWrites, act: Act, request_id: str, run_id: str, subject: Subject) -> None:
    """End a run; the last one closes the access. One that is not there (any more) ends nothing."""
    _own(tx, request_id, subject)
    if tx.remove_run(request_id, run_id):
        _close_if_last(tx, act, request_id, ENDED)


def keep(tx: RunUseWrites, request_id: str, subject: Subject) -> None:
    """No run closes this access any more: something else uses it."""
    _require_live(_own(tx, request_id, subject))
    tx.remove_runs(request_id)


def close_unused(tx: RunEndWrites, act: Act) -> int:
    """End the runs that were not heard, a bounded number, and close what none uses any more; how many."""
    due = tx.due_runs(act.now, MOST_AT_ONCE)
    for run in due:
        until = counted_until(run.until or act.now, act.now, act.serving_since)
        if until > act.now:
            tx.put_run(replace(run, until=until))
        elif tx.remove_run(run.request_id, run.id):
            _close_if_last(tx, act, run.request_id, UNHEARD)
    return len(due)


def _close_if_last(tx: RunEndWrites, act: Act, request_id: str, cause: str) -> None:
    if tx.runs_of(request_id):
        return
    live = [grant for grant in tx.grants_of([request_id]) if grant.is_live]
    # As by time: a revocation would cut connections that may stay for a time (EDGES J14).
    end_grants(tx, act, live, StatusReason.EXPIRED, cause)


def _is_waiting(request: AccessRequest) -> bool:
    return request.state in (RequestState.WAITING, RequestState.SCHEDULED)


def _run(request: AccessRequest, run_id: str, act: Act) -> Run:
    until = None if _is_waiting(request) else act.now + BOUND
    return Run(request.id, run_id, request.requestor_id, until)


def _put(tx: RunWrites, run: Run) -> None:
    known = tx.runs_of(run.request_id)
    if len(known) >= MOST_RUNS and run.id not in {each.id for each in known}:
        raise Conflict(
            sentence("{most} runs of bascule ssh --close use this access already.", most=MOST_RUNS),
            code="TooManyRuns",
            advice="Run bascule ssh without --close.",
        )
    tx.put_run(run)


def _own(tx: RequestReads, request_id: str, subject: Subject) -> AccessRequest:
    """Raises NotFound for other people's, as if they were not there."""
    request = tx.request(request_id)
    if request is None or request.requestor_id != subject.principal_id:
        raise NotFound(
            sentence("You have no request {request}.", request=request_id),
            advice="To see live requests: bascule status.",
        )
    return request


def _require_live(request: AccessRequest) -> None:
    if not (STATES[request.state].is_live or _is_waiting(request)):
        raise Conflict("This request has no live access. Make a new request.", code="GrantNotLive")


def _not_closing() -> Conflict:
    return Conflict(
        "No run of bascule ssh --close uses this access, so none closes it.",
        code="NotClosedByRuns",
        advice="To end it early: bascule revoke.",
    )


def goes_on(reader: RunReads, request_id: str, run_id: str, subject: Subject) -> Run | None:
    """A run of the subject's that was begun already; None: there is none."""
    run = reader.run(request_id, run_id)
    return run if run is not None and run.principal_id == subject.principal_id else None
