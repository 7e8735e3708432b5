"""How a table differs from what the kernel showed right after our own last load. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.drivers.nftables.parse import Layout


def drift(wanted: Layout, found: Layout) -> str:
    """A sentence that names what differs; empty when nothing does."""
    differences = [
        *_flags(wanted, found),
        *_named("chain", wanted.chains, found.chains),
        *_named("set", wanted.sets, found.sets),
        *(f"{each} is missing" for each in wanted.others if each not in found.others),
        *(f"{each} is not ours" for each in found.others if each not in wanted.others),
    ]
    if not differences:
        return ""
    return f"The firewall table was changed by another program: {'; '.join(differences)}."


def _flags(wanted: Layout, found: Layout) -> list[str]:
    if wanted.flags == found.flags:
        return []
    shown = ", ".join(sorted(found.flags)) or "none"
    return [f"its flags are {shown} instead of {', '.join(sorted(wanted.flags)) or 'none'}"]


def _named(
    kind: str, wanted: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[str, ...]]
) -> list[str]:
    differences = []
    for name, lines in wanted.items():
        if name not in found:
            differences.append(f"{kind} {name} is missing")
        elif lines != found[name]:
            differences.append(f"{kind} {name} {_lines(lines, found[name])}")
    differences.extend(f"{kind} {name} is not ours" for name in found if name not in wanted)
    return differences


def _lines(wanted: tuple[str, ...], found: tuple[str, ...]) -> str:
    lost = [line for line in wanted if line not in found]
    added = [line for line in found if line not in wanted]
    if lost:
        return f"lacks {lost[0]!r}"
    return f"has {added[0]!r} too" if added else "has its rules in another order"
