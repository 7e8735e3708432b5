"""What a machine's agent is told in addition to the leases of live grants, and its size.

An agent reads 8 MiB at most; within Bascule's own limits no state has more than 4 (EDGES E4).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bascule.domain.desired import CUT_FOR, told_of_ports
from bascule.domain.grant import Grant
from bascule.domain.machine import EnforcementPoint
from bascule.interfaces.asked import AskedMachine
from bascule.interfaces.grants import GrantReads


def cut_grants(tx: GrantReads, point: EnforcementPoint, now: datetime) -> Iterable[Grant]:
    """Those cut lately, and those of which the point has not heard, however long it was away."""
    lately = tx.cut_grants(point.machine_uid, now - CUT_FOR)
    unheard = tx.cut_grants(point.machine_uid, point.enrolled_at, point.observed_generation)
    return {grant.id: grant for grant in (*lately, *unheard)}.values()


def told_beside(asked: AskedMachine) -> int:
    """Bytes, at most, that the machine's agent is told beside the leases of live grants."""
    return told_of_ports(asked.ports) + sum(each.told_size for each in asked.cuts)
