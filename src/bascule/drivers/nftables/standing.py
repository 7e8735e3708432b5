"""The rules as a file that needs only ``nft``: for a host whose agent is not there. Pure.

It replaces a table that is there, admits nobody, and has no owner, so that root can delete it.
Container networks are not in it: at the next boot they may be others.
"""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.desired import RuleSet
from bascule.domain.machine import ClosedPort
from bascule.drivers.nftables import render, rules
from bascule.drivers.nftables.layout import ALWAYS, ALWAYS_BEHIND, ALWAYS_MAPPED, TABLE

TRIAL = f"{TABLE}_trial"  # never there: it is only checked


def standing_rules(closed: Collection[ClosedPort], table: str = TABLE) -> str:
    wanted = render.in_sets(rules.to_elements(RuleSet(frozenset(closed))), ())
    sets = ALWAYS
    if render.is_about_behind(wanted) or render.is_about_mapped(wanted):
        sets |= ALWAYS_BEHIND
    if render.is_about_mapped(wanted):
        sets |= ALWAYS_MAPPED
    return (
        render.ownership(table, ())
        + render.delete(table)
        + render.definition(table, sets, ())
        + render.changes(table, wanted)
    )
