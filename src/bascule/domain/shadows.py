"""What the weaknesses of an enforcement point say together: of one port, of a machine behind it.

What is not here: what one weakness is (``weaknesses``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bascule.domain.net import Address, PortKey
from bascule.domain.weaknesses import (
    GATEWAY_S_OWN_ADDRESS,
    OF,
    Shadow,
    Weakness,
    WeaknessBehind,
)

PAST_US = (
    Shadow.ADMITS,
    Shadow.UNREAD,
)  # for which a closed port is not called closed; worst first


def enforces_nothing(weaknesses: Iterable[Weakness]) -> bool:
    """Does one of them say so?"""
    return any(each.kind is not None and each.kind.enforces_nothing for each in weaknesses)


def shadows(weaknesses: Iterable[Weakness]) -> tuple[Weakness, ...]:
    """Those that are shadows."""
    return tuple(each for each in weaknesses if each.shadow is not None)


def past_us(weaknesses: Iterable[Weakness], port: PortKey | None = None) -> Shadow | None:
    """Why nobody may say plainly *closed* of this closed port, or of any; None: they may (EDGES G7)."""
    found = {
        each.shadow
        for each in weaknesses
        if (not each.is_of_others if port is None else each.concerns(port))
    }
    return next((each for each in PAST_US if each in found), None)


def past_us_at(weaknesses: Iterable[Weakness], port: PortKey | None = None) -> tuple[str, ...]:
    """Uids of the gateways at which the port is that, in order; empty: at the machine itself."""
    worst = past_us(weaknesses := tuple(weaknesses), port)
    return tuple(
        dict.fromkeys(
            each.gateway
            for each in weaknesses
            if each.gateway and each.shadow is worst and (port is None or each.concerns(port))
        )
    )


def seen_behind(
    weaknesses: Iterable[Weakness], addresses: Collection[Address], gateway: str
) -> tuple[Weakness, ...]:
    """A gateway's weaknesses as a machine at these addresses behind it has them.

    What is about the gateway's own ports or routes, or another machine's, is left out.
    """
    here = {str(each) for each in addresses}
    found: list[Weakness] = []
    for each in weaknesses:
        port, _, address = each.arguments.get("port", "").partition(OF)
        if each.is_of(GATEWAY_S_OWN_ADDRESS) and each.arguments.get("address") not in here:
            continue
        if each.kind is None or (each.kind.shadow is None and each.kind.is_behind):
            found.append(each)
        elif address in here if port else each.kind.is_behind:
            found.append(WeaknessBehind(each.code, {**each.arguments, "port": port}, gateway))
    return tuple(found)
