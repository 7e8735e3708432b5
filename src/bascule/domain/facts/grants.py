"""Requests for access and the grants that follow from them."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import (
    Bulk,
    CountIfKnown,
    EndsAt,
    Flag,
    GrantId,
    Justification,
    MachineId,
    MachineIds,
    MorePlaces,
    Number,
    Places,
    PolicyId,
    Port,
    Ports,
    RequestId,
    Sources,
    Text,
    Texts,
)
from bascule.domain.facts.kind import Activity, Category, Outcome, Severity, Variant
from bascule.domain.lifecycle import StatusReason


@fact(
    "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action",
    "Initiate JIT Network Access Policy",
    Activity.CREATE,
    category=Category.CALL,
    outcome=Outcome.ACCEPTED,
    is_call=True,
)
class AccessRequested(Fact):
    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    justification: Justification


@fact(
    "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action",
    "Initiate JIT Network Access Policy",
    Activity.CREATE,
    category=Category.CALL,
    severity=Severity.LOW,
    outcome=Outcome.BAD_REQUEST,
    is_call=True,
)
class AccessDenied(Fact):
    policy: PolicyId
    reasons: Texts
    machines: Places = ()  # requested; the first MOST_PLACES
    more_machines: MorePlaces = 0  # besides those
    ports: Ports = ()  # numbers requested; the first MOST_PLACES
    sources: Sources = ()  # likewise
    justification: Justification = ""


@fact("Bascule.Access/ticketChecks/ask/action", "Ask ticket system", Activity.OTHER)
class TicketChecked(Fact):
    """What a ticket system answered, or that it gave no answer."""

    policy: PolicyId
    ticket: Text
    answer: Text  # yes, no or unavailable
    text: Text  # the system's own words, or why it gave no answer
    asked_at: Text
    digest: Text  # of what was asked, which the answer is bound to
    asked: Bulk  # as the system was told it


@fact(
    "Bascule.Access/accessRequests/emergency/action",
    "Use emergency access",
    Activity.CREATE,
    severity=Severity.CRITICAL,
    is_call=True,
)
class EmergencyAccess(Fact):
    """Somebody opened ports without approval, as an emergency; somebody else is to review it."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    ports: Ports
    sources: Sources
    justification: Justification
    ends_at: EndsAt


@fact(
    "Bascule.Access/accessRequests/review/action",
    "Review emergency access",
    Activity.UPDATE,
    is_call=True,
)
class EmergencyReviewed(Fact):
    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    note: Text


@fact("Bascule.Access/accessRequests/wait/action", "Wait for approval", Activity.OTHER)
class AccessWaiting(Fact):
    """Nothing is open: other people are asked. Again where its rules, or what it rests on, have changed."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    asked: Texts  # for each stage, what asks for it
    pending_until: Text


@fact(
    "Bascule.Access/accessRequests/approve/action",
    "Approve access request",
    Activity.UPDATE,
    is_call=True,
)
class AccessApproved(Fact):
    """One person's yes; it opens when the last one is in."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    stage: Number  # from 1
    shortened: Text  # by it; empty: not
    note: Text


@fact(
    "Bascule.Access/accessRequests/approveOwn/action",
    "Approve own access request",
    Activity.UPDATE,
    severity=Severity.HIGH,
    is_call=True,
)
class AccessSelfApproved(Fact):
    """The policy lets people approve what they asked for themselves."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    stage: Number  # from 1
    shortened: Text
    note: Text


@fact(
    "Bascule.Access/accessRequests/deny/action",
    "Deny access request",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class AccessNotApproved(Fact):
    """Somebody who was asked said no."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    reason: Text


@fact(
    "Bascule.Access/accessRequests/judge/action",
    "Judge access request again",
    Activity.UPDATE,
    severity=Severity.LOW,
)
class AccessNotAllowed(Fact):
    """A request that waited is not allowed any more, by the policy and rights of that moment."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    reasons: Texts


@fact("Bascule.Access/accessRequests/escalate/action", "Ask others to approve too", Activity.OTHER)
class AccessEscalated(Fact):
    """Nobody met the stage in time: from now on others are asked as well."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    stage: Number  # from 1
    asked_since: Text


@fact("Bascule.Access/accessRequests/lapse/action", "Let access request lapse", Activity.UPDATE)
class AccessLapsed(Fact):
    """Nobody decided in time."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text


@fact("Bascule.Access/accessRequests/schedule/action", "Schedule access request", Activity.UPDATE)
class AccessScheduled(Fact):
    """Nothing is open: it is to open at its start."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    starts_at: Text


@fact(
    "Bascule.Access/accessRequests/warn/action",
    "Warn before access request starts",
    Activity.OTHER,
)
class AccessStartsSoon(Fact):
    """What is scheduled opens within minutes, unless it is refused then. Recorded once of each request."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    starts_at: Text


@fact("Bascule.Access/accessRequests/start/action", "Start access request", Activity.UPDATE)
class AccessStarted(Fact):
    """What was scheduled was judged again, and opens."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    starts_at: Text


@fact(
    "Bascule.Access/accessRequests/missStart/action",
    "Miss start of access request",
    Activity.UPDATE,
    severity=Severity.LOW,
)
class AccessStartMissed(Fact):
    """What was scheduled lapsed: it never opens."""

    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text
    starts_at: Text
    why: Text


@fact(
    "Bascule.Access/accessRequests/withdraw/action",
    "Withdraw access request",
    Activity.UPDATE,
    is_call=True,
)
class AccessWithdrawn(Fact):
    request_id: RequestId
    policy: PolicyId
    machines: MachineIds
    requestor: Text


@fact(
    "Bascule.Access/grants/write", "Grant access to port", Activity.CREATE, outcome=Outcome.ACCEPTED
)
class GrantCreated(Fact):
    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    port: Port
    sources: Sources
    ends_at: EndsAt


@fact("Bascule.Access/grants/open/action", "Open port", Activity.ASSIGN, category=Category.ACCESS)
class GrantOpened(Fact):
    """The enforcement point read it back as in force."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId


@fact("Bascule.Access/accessRequests/extend/action", "Extend access", Activity.UPDATE, is_call=True)
class GrantExtended(Fact):
    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    previous_end: Text
    ends_at: EndsAt


@fact("Bascule.Access/grants/shorten/action", "Shorten access", Activity.UPDATE)
class GrantShortened(Fact):
    """A policy with a shorter maximum moved its end forward."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    previous_end: Text
    ends_at: EndsAt


@fact("Bascule.Access/grants/warn/action", "Warn before access ends", Activity.OTHER)
class GrantEndsSoon(Fact):
    """Its requestor chose to be told; nothing is recorded for those who did not."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    port: Port
    ends_at: EndsAt


@fact(
    activity=Activity.REVOKE,
    category=Category.ACCESS,
    varies_by="reason",
    variants={
        StatusReason.USER_REQUESTED: Variant(
            "Bascule.Access/accessRequests/revoke/action", "Revoke access", is_call=True
        ),
        StatusReason.EXPIRED: Variant("Bascule.Access/grants/expire/action", "Expire access"),
        StatusReason.NEWER_REQUEST_INITIATED: Variant(
            "Bascule.Access/grants/supersede/action", "Supersede access by a newer request"
        ),
    },
)
class GrantEnded(Fact):
    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    reason: Text  # StatusReason
    cause: Text  # which act or rule ended it
    kills_sessions: Flag = False


@fact(
    "Bascule.Access/grants/open/action",
    "Open port",
    Activity.ASSIGN,
    category=Category.ACCESS,
    severity=Severity.MEDIUM,
    outcome=Outcome.UNAVAILABLE,
)
class GrantFailed(Fact):
    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    why: Text


@fact(
    "Bascule.Access/grants/withdraw/action",
    "Withdraw access from enforcement point",
    Activity.UPDATE,
    severity=Severity.LOW,
)
class PointWithdrawn(Fact):
    """One point in parallel is to hold a grant no longer; others may, or do."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    point: MachineId  # the gateway
    why: Text


@fact("Bascule.Access/grants/close/action", "Close access to port", Activity.DELETE)
class GrantClosed(Fact):
    """The enforcement point read it back as closed."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
    sessions_alive: CountIfKnown  # None: they could not be counted


@fact(
    "Bascule.Access/grants/cut/action",
    "End sessions of ended access",
    severity=Severity.LOW,
    is_call=True,
)
class SessionsCut(Fact):
    """Somebody ended the sessions of a grant after the grant had ended."""

    grant_id: GrantId
    request_id: RequestId
    machine: MachineId
