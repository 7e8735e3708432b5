"""What a kernel of the lab holds, read from what nft prints and by no code of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

TABLE = ("inet", "bascule")
Ruleset = list[dict[str, Any]]  # objects of ``nft -j list ruleset``
Rulesets = dict[str, Ruleset]  # by point


@dataclass(frozen=True, slots=True)
class Element:
    """One opening as the kernel has it."""

    source: str  # an address, a prefix, "0.0.0.0/0" or "::/0"
    port: int
    remaining: float  # seconds


@dataclass(frozen=True, slots=True)
class Kernel:
    """What one kernel holds for the machine that it is, or for one behind it."""

    closed: frozenset[int]
    openings: tuple[Element, ...]
    led: tuple[tuple[int, Element], ...]  # by which public port who is led to which port
    tables: frozenset[tuple[str, str]]  # family, name


def read_kernel(objects: Sequence[dict[str, Any]], behind: Sequence[str] = ()) -> Kernel:
    """Read ``nft -j list ruleset``: the host's own part, or that of the machine at these addresses.

    Behind, a port counts as closed when it is at every address.
    """
    prefix = "behind_" if behind else ""
    closed: dict[str, set[int]] = {address: set() for address in behind or ("",)}
    openings: list[Element] = []
    led: list[tuple[int, Element]] = []
    tables: set[tuple[str, str]] = set()
    for each in objects:
        if "table" in each:
            tables.add((each["table"]["family"], each["table"]["name"]))
        found = each.get("set", each.get("map"))
        if found is None or (found["family"], found["table"]) != TABLE:
            continue
        name: str = found["name"]
        elements: list[Any] = found.get("elem", [])
        if re.fullmatch(f"{prefix}closed[46]?", name):
            for words in map(_words, elements):
                closed.get(str(words[0]) if behind else "", set()).add(words[-1])
        elif re.fullmatch(rf"{prefix}g[46](_\d+)?", name):
            openings += [
                _element(name.removeprefix(prefix), item)
                for item in elements
                if not behind or str(_words(item)[-3]) in behind
            ]
        elif re.fullmatch(r"mapped_to[46](_\d+)?", name):
            for item, to in elements:
                address, port = to["concat"]
                if address in behind:
                    seen = _element(name.removeprefix("mapped_t"), item)
                    led.append((seen.port, replace(seen, port=int(port))))
    shut = frozenset.intersection(*map(frozenset, closed.values()))
    return Kernel(shut, tuple(openings), tuple(led), frozenset(tables))


def _words(item: Any) -> list[Any]:
    value = item["elem"]["val"] if "elem" in item else item
    words: list[Any] = value["concat"]
    return words


def _element(name: str, item: dict[str, Any]) -> Element:
    """Of a set of openings: ``[source .] [address .] protocol . port``."""
    version, _, length = name[1:].partition("_")
    words = _words(item)
    address = {"4": "0.0.0.0", "6": "::"}[version] if length == "0" else words[0]
    source = f"{address}/{length}" if length else address
    return Element(source, int(words[-1]), float(item["elem"].get("expires", 0)))
