"""What a machine's agent is told in addition to the leases of live grants, and its size.

An agent reads 8 MiB at most; within Bascule's own limits no state has more than 4 (EDGES E4).
"""

from __future__ import annotations

from bascule.domain.desired import told_of_ports
from bascule.interfaces.asked import AskedMachine


def told_beside(asked: AskedMachine) -> int:
    """Bytes, at most, that the machine's agent is told beside the leases of live grants."""
    return told_of_ports(asked.ports) + sum(each.told_size for each in asked.cuts)
