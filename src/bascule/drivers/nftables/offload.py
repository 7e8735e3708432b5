"""Flow tables of other programs: what they carry passes no rule of ours (EDGES G5).

A flow table takes over a forwarded connection after its first packets. New connections are judged all
the same; but an end of a grant that should end its connections does not reach those.
"""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.net import PortKey
from bascule.domain.weaknesses import FLOW_TABLES_UNREAD, FLOWS_OFFLOADED, Weakness
from bascule.drivers.linux import ruleset

_MOST_NAMED = 3


def offloaded(closed: Collection[PortKey]) -> tuple[Weakness, ...]:
    """What is weak by them, where a port of a machine behind this host is closed."""
    if all(port.at is None for port in closed):
        return ()
    try:
        tables = ruleset.flow_tables()
    except OSError as error:
        return (FLOW_TABLES_UNREAD(problem=error.strerror or error),)
    return (FLOWS_OFFLOADED(tables=", ".join(tables[:_MOST_NAMED])),) if tables else ()
