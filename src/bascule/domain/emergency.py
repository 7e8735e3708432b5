"""Emergency access: what it needs, and how long it may last (EDGES J10).

Rules, each with its neighbouring deny in the tests:
  a person alone, with a second factor shown in the last FRESH_FOR; a reason, whatever the policy
  says; at most LONGEST; and never while emergency access of theirs to that port is open, since a
  second one after the first would be its extension. No approval is needed; the policy must name
  machine and port, and the host's guard and the limits hold (``decide``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.grant import Grant
from bascule.domain.machine import Machine
from bascule.domain.request import AccessRequest, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import Forbidden, Part, Place, Problem
from bascule.sentences import sentence

LONGEST = timedelta(hours=1)
TOO_OLD = "SecondFactorTooOld"  # a code
FRESH_FOR = timedelta(minutes=15)  # inclusive


def check_person(subject: Subject, now: datetime) -> None:
    """Raise Forbidden unless it is a person with a fresh second factor."""
    if subject.kind is not PrincipalKind.USER:
        raise Forbidden(
            "Only people may use emergency access. This caller is a program.",
            code="OnlyPeopleInEmergency",
            advice="Sign in as yourself: bascule login.",
        )
    check_fresh(subject, FRESH_FOR, now)


def check_fresh(subject: Subject, within: timedelta, now: datetime) -> None:
    """Raise Forbidden unless the second factor is known and at most so old."""
    refusal = too_old(subject, within, now)
    if refusal is not None:
        raise refusal


def too_old(subject: Subject, within: timedelta, now: datetime) -> Forbidden | None:
    age = subject.factor_age(now)
    if age is not None and age <= within:
        return None
    return Forbidden(
        sentence(
            "This needs a second factor (authenticator app or passkey) that was shown in the last "
            "{minutes} minutes. Yours was shown earlier, or not in this sign-in.",
            minutes=within // timedelta(minutes=1),
        ),
        code=TOO_OLD,
        advice="Show your second factor again, then repeat this. On the command line: bascule login --again. "
        "In the portal: My account, Show your second factor again.",
    )


def check_port(
    port: RequestedPort,
    machine: Machine,
    request: AccessRequest,
    live: Iterable[Grant],
    tolerance: timedelta,
    now: datetime,
    at: Place,
) -> Iterable[Problem]:
    """Why emergency access to it is not given, beside what holds of every request."""
    if port.ends_at > now + LONGEST + tolerance:
        yield Problem(
            "EmergencyTooLong",
            sentence(
                "Emergency access lasts at most 60 minutes. Request an end no later than {latest}.",
                latest=format_utc(now + LONGEST),
            ),
            Place(Part.END, at.machine, at.port),
        )
    if not (request.justification or "").strip():
        yield Problem(
            "JustificationRequired",
            sentence("Emergency access needs a reason. Give a justification."),
            Place(Part.JUSTIFICATION),
        )
    for grant in live:
        if (
            grant.is_emergency
            and (grant.machine_uid, grant.number) == (machine.uid, port.number)
            and grant.requestor_id == request.requestor_id
        ):
            yield Problem(
                "EmergencyNotExtended",
                sentence(
                    "Your emergency access to port {port} of {machine} is open until {until}, and is not "
                    "extended. To stay longer, request access without emergency.",
                    port=port.number,
                    machine=machine.id.name,
                    until=grant.ends_at_text,
                ),
                at,
            )
            return


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody else found who looked at it."""

    principal_id: str
    name: str  # for people to read
    at: datetime
    note: str


def review_problem(requestor_id: str, subject: Subject) -> Forbidden | None:
    """Why this caller may not review it, whatever rights they hold."""
    if subject.kind is not PrincipalKind.USER:
        return Forbidden(
            "Only people review emergency access. This caller is a program.",
            code="OnlyPeopleReview",
            advice="Sign in as yourself: bascule login.",
        )
    if subject.principal_id == requestor_id:
        return Forbidden(
            "You used this emergency access yourself. Somebody else has to review it.",
            code="OwnEmergency",
        )
    return None


def longest_of(request: AccessRequest, longest: Sequence[timedelta]) -> timedelta:
    """The shortest of these that hold for it."""
    return min([*longest, LONGEST] if request.is_emergency else longest)
