"""Copies of this host's rules, for a namespace of their own: read here, loaded there.

nftables' tables are what nft lists; what iptables-nft wrote is taken from its own save command, since
nft shows its extensions and does not read them; the old iptables' tables likewise, where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bascule.drivers.linux.legacy import legacy_tables
from bascule.drivers.linux.scratch import CannotTry, Space, run

_TABLE = re.compile(r"^table (\w+) (\S+)", re.MULTILINE)
_OWNED = re.compile(r"^\s*flags [^\n]*\b(?:owner|persist)\b[^\n]*\n", re.MULTILINE)
_HAS_EXTENSIONS = re.compile(r"\bxt (?:match|target)\b|^\s*#\s*xt_", re.MULTILINE)
_IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}
_FAMILIES = {2: "ip", 10: "ip6"}


@dataclass(frozen=True, slots=True)
class CopiedRules:
    """What is loaded: (the command that reads it, its text)."""

    parts: tuple[tuple[tuple[str, ...], str], ...]

    def load(self, space: Space) -> None:
        """Raises CannotTry where something cannot be loaded: without it nothing is shown."""
        for command, text in self.parts:
            space.run(*command, text=text)


def copied(is_left_out: Callable[[str, str], bool]) -> CopiedRules:
    """All tables but those left out, by family and name. Raises CannotTry."""
    parts: list[tuple[tuple[str, ...], str]] = []
    for family, name in _TABLE.findall(run("nft", "list", "tables")):
        if is_left_out(family, name):
            continue
        listed = run("nft", "list", "table", family, name)
        if family in _IPTABLES and _HAS_EXTENSIONS.search(listed):
            program = f"{_IPTABLES[family]}-nft"
            parts.append(((f"{program}-restore", "-n"), run(f"{program}-save", "-t", name)))
        else:
            parts.append((("nft", "-f", "-"), _OWNED.sub("", listed)))
    try:
        legacy = legacy_tables()
    except OSError as error:
        raise CannotTry("the tables of iptables-legacy cannot be read") from error
    for number, name in legacy:
        program = f"{_IPTABLES[_FAMILIES[number]]}-legacy"
        parts.append(((f"{program}-restore", "-n"), run(f"{program}-save", "-t", name)))
    return CopiedRules(tuple(parts))
