"""Telling people that access of theirs ends soon: those who chose to hear of it, once for each end.

An event says so, which mail and other sinks deliver. Nothing is recorded of grants whose requestor did not
choose it, so that the record does not grow by an event for each grant.
"""

from __future__ import annotations

from typing import Protocol

from bascule.domain.facts.grants import GrantEndsSoon
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


async def warn_round(services: Services) -> None:
    """Until all are told; the database is written only where there is one."""
    now = services.clock.now()
    while await services.read(lambda reader: reader.grants_to_warn_of(now, 1)):
        if not await services.on_duty(SWEEPING, warn_requestors, 0):
            return  # another server does it
