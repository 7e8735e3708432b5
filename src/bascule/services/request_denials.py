"""A denied request: its event, and the error that the caller gets (EDGES B8, E10)."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.domain.decide import Denied
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.facts.grants import AccessDenied
from bascule.domain.ids import ResourceId
from bascule.domain.request import (
    LONGEST_REASON,
    MAXIMUM_JUSTIFICATION,
    MOST_REASONS,
    AccessRequest,
)
from bascule.errors import Problem, RequestDenied
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act


def record_denied(tx: EventWrites, act: Act, request: AccessRequest, denied: Denied) -> bool:
    """Put the denial on record; False when the subject has had its share of this minute (B8).

    One event, found at each of the first machines that were asked for (EDGES E10).
    """
    is_recorded = act.is_denial_recorded()
    if is_recorded:
        act.record(tx, _denied(request, denied), request.policy_id)
    act.record_counts(tx, act.denials)
    return is_recorded


def _denied(request: AccessRequest, denied: Denied) -> AccessDenied:
    machines = tuple(dict.fromkeys(str(each.machine_id) for each in request.machines))
    ports = [port for machine in request.machines for port in machine.ports]
    numbers = dict.fromkeys(str(port.number) for port in ports)
    sources = dict.fromkeys(str(source) for port in ports for source in port.sources)
    return AccessDenied(
        str(request.policy_id),
        _recorded(denied.reasons),
        machines[:MOST_PLACES],
        len(machines[MOST_PLACES:]),
        tuple(numbers)[:MOST_PLACES],
        tuple(sources)[:MOST_PLACES],
        # its length may be why it was denied
        (request.justification or "")[:MAXIMUM_JUSTIFICATION],
    )


def _recorded(reasons: Sequence[Problem]) -> tuple[str, ...]:
    """A request of a thousand ports may be refused for a thousand reasons."""
    told = [f"{each.code}: {each.message}" for each in reasons[:MOST_REASONS]]
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    return (*(each[:LONGEST_REASON] for each in told), *more)


def denial(denied: Denied, policy: ResourceId) -> RequestDenied:
    """The error that a face answers a denial with: the first reason speaks, MOST_REASONS of all
    are there.
    """
    first, count = denied.reasons[0], len(denied.reasons)
    shown = "see details" if count <= MOST_REASONS else f"the first {MOST_REASONS} in details"
    more = f" ({count} reasons, {shown})" if count > 1 else ""
    return RequestDenied(
        f"The given access request is not allowed by policy '{policy.name}': {first.message}{more}",
        code=first.code,
        target=first.target,
        problems=denied.reasons[:MOST_REASONS],
    )
