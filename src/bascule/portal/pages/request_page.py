"""One request, live: waiting, opening, open with its countdown, failed with why, closed.

Whoever may read it sees it: the requestor always, who is asked to approve it, and others with the
right at each machine. What was asked for in one form and became several requests is shown together (``and``). Extending
and closing are the API's use cases, and a button that would be refused says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import decides
from bascule.domain.actions import INITIATE, POLICY_READ, REQUEST_REVOKE
from bascule.domain.decide import Denied
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, is_guid
from bascule.domain.lifecycle import RequestState
from bascule.domain.request import AccessRequest
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.domain.times import format_utc
from bascule.domain.ways_in import is_user
from bascule.errors import BasculeError, Forbidden, NotFound, Problem
from bascule.interfaces.store import Reader, Transaction
from bascule.portal import look
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.news import named
from bascule.portal.problems import reasons_of
from bascule.portal.spans import parse_span, show_span, words_of
from bascule.portal.waiting import Recent, Waiting, recent_access, waiting_of, what_changed
from bascule.portal.ways_in import WayIn, door_of, public_of, rdp_file, way_in
from bascule.sentences import sentence
from bascule.services import live_requests
from bascule.services.act import Act
from bascule.services.approvers import may_read_as_asked
from bascule.services.emergencies import may_review
from bascule.services.hosts_said import guards_of
from bascule.services.request_rights import NEEDED_TO_ASK, sight_of
from bascule.services.rights import Needed, denial, missing_of
from bascule.services.views import RequestView, view_request

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/requests"
MOST_TOGETHER = 50
_LONGEST_USER = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """A request with what may be done to it."""

    view: RequestView
    is_own: bool
    live: tuple[Grant, ...]
    why_not_close: str  # empty: it may be closed
    why_not_extend: str  # a word of ``request.extend.not.*``; empty: it may be extended
    longest: timedelta  # that it may be extended to, from now
    ways: dict[str, WayIn]  # by grant id
    waiting: Waiting | None = None  # it waits, or waited, for approval
    recent: Sequence[Recent] = ()  # where the visitor is to answer it

    @property
    def is_waiting(self) -> bool:
        return self.view.request.state is RequestState.WAITING

    @property
    def is_scheduled(self) -> bool:
        return self.view.request.state is RequestState.SCHEDULED

    @property
    def asked_in_vain(self) -> bool:
        """Were extensions to be approved with it, and nobody had to approve it?"""
        asked = any(port.up_to for each in self.view.request.machines for port in each.ports)
        return asked and all(grant.approved_until is None for grant in self.live)

    @property
    def ends_next(self) -> datetime | None:
        return min((grant.ends_at for grant in self.live), default=None)

    @property
    def warns_at(self) -> datetime | None:
        """When its requestor is warned of the end; None: never."""
        if not self.is_own:
            return None
        return min((grant.warned_at for grant in self.live), default=None)

    @property
    def machines(self) -> tuple[ResourceId, ...]:
        """Where it opened something, or asked to."""
        granted = tuple(grant.machine_id for grant in self.view.grants)
        return granted or tuple(each.machine_id for each in self.view.request.machines)


@router.get(f"{PATH}/{{request_id}}")
@decides(POLICY_READ)
async def show_request(visit: CurrentVisit, request_id: str) -> Response:
    return await show_page(visit, request_id)


@router.get(f"{PATH}/{{request_id}}/{{grant_id}}.rdp")
@decides(POLICY_READ)
async def rdp(visit: CurrentVisit, request_id: str, grant_id: str) -> Response:
    """A file for Remote Desktop Connection."""
    view = await visit.read(lambda reader: _readable(reader, visit, request_id))
    grant = next((each for each in view.grants if each.id == grant_id), None)
    if grant is None:
        raise _no_request(grant_id)
    machine = view.machines.get(grant.machine_uid)
    public = public_of(view, grant)
    at = door_of(machine, grant, public)
    if machine is None or at is None or not way_in(machine, grant, public=public).has_file:
        raise NotFound(
            "This grant has no remote desktop to connect to.",
            advice="The request's page says how to connect.",
        )
    user = visit.request.query_params.get("user", "")[:_LONGEST_USER]
    name = f"{machine.id.name}-{grant.number}.rdp"
    headers = {**look.HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(rdp_file(at, user), headers=headers, media_type="application/x-rdp")


@router.get(f"{PATH}/{{request_id}}/extend")
@decides(POLICY_READ)
async def ask_to_extend(visit: CurrentVisit, request_id: str) -> Response:
    """By itself, beside a list in which the request stands."""
    return await _extension_page(visit, request_id)


@router.post(f"{PATH}/{{request_id}}/extend")
@decides(INITIATE, POLICY_READ)
async def extend(visit: CurrentVisit, request_id: str) -> Response:
    check_id(request_id)
    try:
        span = parse_span(visit.form.text("time"), "endTimeUtc")

        def work(tx: Transaction, act: Act) -> Denied | None:
            _readable(tx, visit, request_id)
            ends_at = act.now + span
            return live_requests.extend(
                tx, act, request_id.lower(), ends_at, format_utc(ends_at), visit.subject, span
            )

        denied = await visit.perform(work)
    except BasculeError as error:
        if not _is_from_list(visit):
            return await _refused(visit, request_id, error)
        if isinstance(error, Forbidden):
            await record_denial(visit.request, visit.subject, error)
        return await _extension_page(visit, request_id, reasons_of(error), error.http_status)
    if denied is not None:
        again = _extension_page if _is_from_list(visit) else show_page
        return await again(visit, request_id, denied.reasons, 400)
    return visit.go("/portal/open" if _is_from_list(visit) else back(visit, request_id), "extended")


def _is_from_list(visit: Visit) -> bool:
    return visit.form.text("then") == "open"


async def _extension_page(
    visit: Visit, request_id: str, reasons: Sequence[Problem] = (), status: int = 200
) -> Response:
    shown = await visit.read(
        lambda reader: _shown(reader, visit, _readable(reader, visit, request_id), "")
    )
    return visit.show(
        "request_extend.html",
        status,
        each=shown,
        reasons=reasons,
        filled_time=visit.form.text("time"),
        then="open",
        show_span=show_span,
        words_of=words_of,
        tail="",
    )


@router.post(f"{PATH}/{{request_id}}/close")
@decides(REQUEST_REVOKE)
async def close(visit: CurrentVisit, request_id: str) -> Response:
    """End the whole request, or the grants that are named."""
    return await _end(visit, request_id, kills=visit.form.has("kill"))


@router.post(f"{PATH}/{{request_id}}/cut")
@decides(REQUEST_REVOKE)
async def cut(visit: CurrentVisit, request_id: str) -> Response:
    """Cut the sessions that grants have left behind."""
    return await _end(visit, request_id, kills=True)


async def _end(visit: Visit, request_id: str, *, kills: bool) -> Response:
    check_id(request_id)
    named = frozenset(visit.form.texts("grant")) or None
    try:
        await visit.perform(
            lambda tx, act: live_requests.revoke(
                tx, act, request_id.lower(), named, kills_sessions=kills, subject=visit.subject
            )
        )
    except BasculeError as error:
        return await _refused(visit, request_id, error)
    return visit.go(back(visit, request_id), "closed_with_sessions" if kills else "closed")


async def _refused(visit: Visit, request_id: str, error: BasculeError) -> Response:
    if isinstance(error, Forbidden):
        await record_denial(visit.request, visit.subject, error)
    return await show_page(visit, request_id, reasons_of(error), status=error.http_status)


async def show_page(
    visit: Visit, request_id: str, reasons: Sequence[Problem] = (), status: int = 200
) -> Response:
    beside = visit.request.query_params.getlist("and")[: MOST_TOGETHER - 1]
    named = dict.fromkeys(each.lower() for each in (request_id, *beside))
    user = visit.request.query_params.get("user", "").strip()[:_LONGEST_USER]

    def read(reader: Reader) -> list[Shown]:
        return [_shown(reader, visit, _readable(reader, visit, each), user) for each in named]

    shown = await visit.read(read)
    return visit.show(
        "request.html",
        status,
        shown=shown,
        named_live=_named_live(shown),
        reasons=reasons,
        user=user,
        is_user_wrong=bool(user) and not is_user(user),
        beside=list(named)[1:],
        tail=_tail(visit),
        filled_time=visit.form.text("time"),
        filled={name: visit.form.text(name) for name in ("note", "reason")},
        was=visit.form.texts("seen"),
        what_changed=what_changed,
        show_span=show_span,
        words_of=words_of,
    )


def _named_live(shown: Sequence[Shown]) -> str:
    """What is open, for the title beside the time that is left; empty: nothing."""
    live = [grant for each in shown for grant in each.live]
    return named([f"{grant.machine_id.name}:{grant.number}" for grant in live])


def _readable(reader: Reader, visit: Visit, request_id: str) -> RequestView:
    """The request, by the API's own rule; raise NotFound, and Forbidden for what is hidden."""
    check_id(request_id)
    request = reader.request(request_id.lower())
    if request is None:
        raise _no_request(request_id)
    me = visit.subject.principal_id
    sees = sight_of(visit.rights, me).sees_request(request) or _is_asked(reader, visit, request)
    if not sees and not may_review(visit.rights, visit.subject, request):
        # At the subscription: a refusal must not name the machines of what may not be read.
        scope = subscription_scope(visit.subscription_id)
        raise denial(reader, visit.subject, [Needed(POLICY_READ, scope)])
    view = view_request(reader, request_id.lower(), visit.now, visit.subject)
    if view is None:
        raise _no_request(request_id)
    return view


def _is_asked(reader: Reader, visit: Visit, request: AccessRequest) -> bool:
    """Who is asked to approve it, or was, may read it (EDGES J8)."""
    pending = reader.pendings_of([request.id]).get(request.id) if request.has_waited else None
    return may_read_as_asked(reader, visit.subject.principal_id, pending, visit.now)


def _shown(reader: Reader, visit: Visit, view: RequestView, user: str) -> Shown:
    is_own = view.request.requestor_id == visit.subject.principal_id
    live = tuple(grant for grant in view.grants if grant.is_live)
    why_not_extend, longest = _extension(reader, visit, view, live, is_own=is_own)
    waiting = waiting_of(visit.words, reader, view.request, view.approval)
    is_asked = waiting is not None and waiting.is_asked
    return Shown(
        view,
        is_own,
        live,
        "" if is_own else _why_not_close(visit, view),
        why_not_extend,
        longest,
        {
            grant.id: way_in(
                view.machines.get(grant.machine_uid), grant, user, public_of(view, grant)
            )
            for grant in live
        },
        waiting,
        recent_access(visit, reader, view.request) if is_asked else (),
    )


def _why_not_close(visit: Visit, view: RequestView) -> str:
    needed = [Needed(REQUEST_REVOKE, resource_scope(m.machine_id)) for m in view.request.machines]
    missing = missing_of(visit.rights, needed)
    if not missing:
        return ""
    return visit.words(
        "You lack the right to do this here: {action}. Ask for a role that has it.",
        action=missing[0].action,
    )


def _extension(
    reader: Reader, visit: Visit, view: RequestView, live: Sequence[Grant], *, is_own: bool
) -> tuple[str, timedelta]:
    """Why it cannot be extended, or for how long from now it can: the least of its maxima."""
    nothing = timedelta()
    if not live:
        return "ended", nothing
    if not is_own:
        return "others", nothing
    if view.request.is_emergency:
        return "emergency", nothing
    machines = list(dict.fromkeys(grant.machine_id for grant in live))
    needed = [Needed(each, resource_scope(m)) for m in machines for each in NEEDED_TO_ASK]
    if missing_of(visit.rights, needed):
        return "rights", nothing
    longest = [
        rule.max_duration
        for policy, rules in reader.rules_at(machines)
        for rule in rules.ports
        if policy == view.request.policy_id
        and (rules.machine_id, rule.number) in {(g.machine_id, g.number) for g in live}
    ]
    if not longest:
        return "policy", nothing
    guards = guards_of(reader, [grant.machine_uid for grant in live]).values()
    longest += [each.max_duration for each in guards if each.max_duration is not None]
    if visit.now + min(longest) <= max(grant.ends_at for grant in live):
        return "longest", min(longest)
    approved = [grant.approved_until for grant in live if grant.approved_until is not None]
    if approved:
        longest.append(_approved_span(min(approved) - visit.now))
    if visit.now + min(longest) <= max(grant.ends_at for grant in live):
        return "approved", nothing
    return "", min(longest)


def _approved_span(left: timedelta) -> timedelta:
    """What is offered of it: a little less, for it counts from the moment at which the form is sent."""
    step = timedelta(minutes=5)
    return max(left - timedelta(minutes=1), timedelta()) // step * step


def back(visit: Visit, request_id: str) -> str:
    return f"{PATH}/{request_id.lower()}{_tail(visit)}"


def _tail(visit: Visit) -> str:
    """What a link back to this page carries: the requests beside it, and the user's name."""
    given = visit.request.query_params.multi_items()
    kept = [(key, value) for key, value in given if key in ("and", "user")]
    return f"?{urlencode(kept)}" if kept else ""


def check_id(request_id: str) -> None:
    if not is_guid(request_id):
        raise _no_request(request_id)


def _no_request(request_id: str) -> NotFound:
    return NotFound(
        sentence("Request {request} does not exist.", request=repr(request_id[:64])),
        advice="See what is open now.",
    )
