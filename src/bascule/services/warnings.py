"""Telling people that access of theirs starts or ends soon: once for each start, and once for each end.

An event says so, which mail and other sinks deliver. Nothing is recorded of ends whose requestor did not
choose it, so that the record does not grow by an event for each grant. Starts are recorded in any case: they
are few, and chats are told of them too.
"""

from __future__ import annotations

from typing import Protocol

from bascule.domain.facts.grants import AccessStartsSoon, GrantEndsSoon
from bascule.domain.times import format_utc
from bascule.interfaces.mail import MailWrites
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act, Services
from bascule.services.duties import SWEEPING


class WarnWrites(EventWrites, MailWrites, Protocol):
    """Grants, who was told of their end, and the record."""


def warn_requestors(tx: WarnWrites, act: Act) -> int:
    """Record of each open grant that ends soon that its requestor is told, a bounded number; how many."""
    due = tx.grants_to_warn_of(act.now)
    for grant in due:
        tx.note_warned(grant)
        act.record(
            tx,
            GrantEndsSoon(
                grant.id,
                grant.request_id,
                str(grant.machine_id),
                f"{grant.number}/{grant.protocol}",
                grant.ends_at_text,
            ),
            grant.machine_id,
        )
    return len(due)


def warn_of_starts(tx: WarnWrites, act: Act) -> int:
    """Record of each scheduled request that starts soon that this is told, a bounded number; how many."""
    due = tx.requests_to_warn_of(act.now)
    for request in due:
        tx.note_start_warned(request.id)
        assert request.starts_at is not None  # noqa: S101  # reason: nothing else is scheduled
        act.record(
            tx,
            AccessStartsSoon(
                request.id,
                str(request.policy_id),
                tuple(str(each.machine_id) for each in request.machines),
                request.requestor,
                format_utc(request.starts_at),
            ),
            request.policy_id,
        )
    return len(due)


async def warn_round(services: Services) -> None:
    """Until all are told; the database is written only where there is one."""
    now = services.clock.now()
    while await services.read(lambda reader: reader.requests_to_warn_of(now, 1)):
        if not await services.on_duty(SWEEPING, warn_of_starts, 0):
            break  # another server does it
    while await services.read(lambda reader: reader.grants_to_warn_of(now, 1)):
        if not await services.on_duty(SWEEPING, warn_requestors, 0):
            return
