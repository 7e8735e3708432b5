"""One initiate call: machines, ports, times, justification.

Source: JitNetworkAccessPolicyInitiateRequest, api-version 2020-01-01. An omitted source
means the address that the call came from, filled in at the border where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import RequestState
from bascule.domain.net import AddressPrefix
from bascule.errors import Problem

LONGEST_WARNING = timedelta(minutes=5)  # before a start; of a near one a tenth
MAXIMUM_JUSTIFICATION = 1024  # characters
MOST_REASONS = 20  # of one refusal, kept and answered
LONGEST_REASON = 500  # characters kept
MOST_KEPT = 20  # machines of a refused request, ports of those, and sources of each


@dataclass(frozen=True, slots=True)
class RequestedPort:
    number: int
    sources: tuple[AddressPrefix, ...]  # never empty
    ends_at: datetime  # aware UTC, microseconds
    ends_at_text: str  # the caller's own spelling of it, up to seven fractional digits
    is_source_list: bool = False  # written as allowedSourceAddressPrefixes on the wire
    # Asked for as a length, which counts from the opening; None: as an end, which stays.
    length: timedelta | None = None
    up_to: timedelta | None = None  # since the opening; extensions until then are approved with it


@dataclass(frozen=True, slots=True)
class RequestedMachine:
    machine_id: ResourceId
    ports: tuple[RequestedPort, ...]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A request for access: who requested what and why, and the result.

    Its state is the sum over its grants (``lifecycle.request_state``); of one that waits, or was
    refused, denied, withdrawn or lapsed, there are none.
    """

    id: str
    policy_id: ResourceId
    requestor_id: str  # principal id
    requestor: str  # for people to read
    justification: str | None
    started_at: datetime
    machines: tuple[RequestedMachine, ...]
    state: RequestState = RequestState.OPENING
    reasons: tuple[Problem, ...] = ()  # why it was refused or denied; without targets
    left_out: int = 0  # machines that were asked for and are not kept
    has_waited: bool = False  # for approval, or for its start
    is_emergency: bool = False  # needs nobody's approval, and is reviewed afterwards
    factor_age: timedelta | None = (
        None  # of the second factor, when it was asked for; None: not known
    )
    starts_at: datetime | None = None  # when it is to open; None: as soon as it may
    credential_id: str = ""  # of the secret or certificate by which a program asked (EDGES J9)

    def is_starting_soon(self, now: datetime) -> bool:
        """Is it scheduled, and so near its start that its requestor is told? At the start it is over."""
        at = self.starts_at
        if at is None or self.state is not RequestState.SCHEDULED:
            return False
        return at - min(LONGEST_WARNING, (at - self.started_at) / 10) <= now < at

    @property
    def is_refused(self) -> bool:
        return self.state is RequestState.REFUSED


def refused(request: AccessRequest, reasons: Sequence[Problem], request_id: str) -> AccessRequest:
    """The record of a refused request, of bounded size.

    Its id is new, so that sending the same form again later, when more is allowed, is a new
    request.
    """
    machines: list[RequestedMachine] = []
    room = MOST_KEPT
    for each in request.machines[:MOST_KEPT]:
        ports = tuple(replace(p, sources=p.sources[:MOST_KEPT]) for p in each.ports[:room])
        room -= len(ports)
        machines.append(replace(each, ports=ports))
    why = request.justification
    return replace(
        request,
        id=request_id,
        justification=None if why is None else why[:MAXIMUM_JUSTIFICATION],
        machines=tuple(machines),
        state=RequestState.REFUSED,
        reasons=kept_reasons(reasons),
        left_out=len(request.machines) - len(machines),
    )


def kept_reasons(reasons: Sequence[Problem]) -> tuple[Problem, ...]:
    """Reasons as they are kept: of bounded size, without targets."""
    return tuple(
        Problem(each.code, each.message[:LONGEST_REASON]) for each in reasons[:MOST_REASONS]
    )
