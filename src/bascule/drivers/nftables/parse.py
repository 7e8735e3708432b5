"""``nft list table`` read back: pure, no I/O. The inverse of ``render`` for what we write.

Source: nft(8) and what nft 1.0 to 1.1 print. An element that was just written may be shown
without ``expires``: then all of its timeout is left. Whatever is not understood is kept as
text and makes the layout differ; it is never dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

_BLOCK = re.compile(r"\t(set|chain|counter|\w+) (\S+) \{")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_TIME = r"[0-9dhms]+"
_ELEMENT = re.compile(
    r'(?P<key>"[^"\n]*"|[0-9A-Za-z.:]+(?: \. [0-9A-Za-z.:]+)*)'
    r"(?: limit [^{},]*)?"
    r"(?: counter packets (?P<packets>\d+) bytes \d+)?"
    rf"(?: timeout (?P<timeout>{_TIME}))?"
    rf"(?: expires (?P<expires>{_TIME}))?"
    r'(?: comment "(?P<comment>[^"\n]*)")?'
    r"(?: : (?P<data>[0-9a-f.:]+ \. \d+))?"  # where a map leads
)
_PACKETS = re.compile(r"packets (\d+) bytes \d+")
_SEPARATOR = re.compile(r"\s*,\s*")


class Unreadable(ValueError):
    """The listing is not one of a table, or holds something that is not like any of ours."""


@dataclass(frozen=True, slots=True)
class ReadElement:
    words: tuple[str, ...]  # between the dots; of a map, those of its data as well
    remaining: timedelta | None  # None: the element does not end
    comment: str = ""
    packets: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What does not change between two loads: all but elements and counts."""

    flags: frozenset[str]
    chains: Mapping[str, tuple[str, ...]]  # name -> hook line and rules, as nft prints them
    sets: Mapping[str, tuple[str, ...]]  # name -> declaration
    others: tuple[str, ...] = ()  # names of counters, and of whatever else is in the table


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    layout: Layout
    elements: Mapping[str, tuple[ReadElement, ...]] = field(default_factory=dict)  # by set
    counters: Mapping[str, int] = field(default_factory=dict)  # packets
    strange: tuple[str, ...] = ()  # elements that are not understood, as nft prints them


def duration(text: str) -> timedelta:
    """``1d2h3m4s5ms`` as nft prints it. Raises Unreadable."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise Unreadable(f"{text[:40]!r} is not a duration")
    days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    return timedelta(
        days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
    )


def table(text: str) -> Table:
    """Read one listed table. Raises Unreadable."""
    lines = text.splitlines()
    if not lines or not (head := re.match(r"table inet (\S+) \{", lines[0])):
        raise Unreadable("the listing does not begin with a table")
    flags: frozenset[str] = frozenset()
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, tuple[str, ...]] = {}
    elements: dict[str, tuple[ReadElement, ...]] = {}
    counters: dict[str, int] = {}
    others: list[str] = []
    strange: list[str] = []
    for kind, name, body in _blocks(lines[1:]):
        if kind == "flags":
            flags = frozenset(re.split(r"[,\s]+", name))
        elif kind == "chain":
            chains[name] = tuple(body)
        elif kind in ("set", "map"):
            sets[name], items, default = _set(body)
            read = [(item, _element(item, default)) for item in items]
            elements[name] = tuple(each for _, each in read if each is not None)
            strange.extend(f"{name}: {item[:120]}" for item, each in read if each is None)
        elif kind == "counter":
            counters[name] = _counter(body)
            others.append(f"counter {name}")
        else:
            others.append(f"{kind} {name}")
    layout = Layout(flags, chains, sets, tuple(sorted(others)))
    return Table(head[1], layout, elements, counters, tuple(strange))


def _blocks(lines: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (kind, name, stripped lines) of each block; flags come as a block of their own."""
    pending = iter(lines)
    for line in pending:
        if match := _BLOCK.fullmatch(line):
            body: list[str] = []
            for inner in pending:
                if inner == "\t}":
                    break
                body.append(inner.strip())
            yield match[1], match[2], [each for each in body if each]
        elif line.startswith("\tflags "):
            yield "flags", line.removeprefix("\tflags ").strip(), []
        elif line.strip() not in ("", "}"):
            yield "line", line.strip(), []


def _set(body: list[str]) -> tuple[tuple[str, ...], list[str], timedelta | None]:
    """Split a set's body: its declaration, its elements' texts, its default timeout."""
    start = next((at for at, line in enumerate(body) if line.startswith("elements = {")), len(body))
    default = next(
        (
            duration(line.removeprefix("timeout "))
            for line in body[:start]
            if line.startswith("timeout ")
        ),
        None,
    )
    text = " ".join(body[start:]).removeprefix("elements = {").removesuffix("}").strip()
    return tuple(body[:start]), _SEPARATOR.split(text) if text else [], default


def _element(text: str, default: timedelta | None) -> ReadElement | None:
    match = _ELEMENT.fullmatch(text)
    if match is None:
        return None
    shown = match["expires"] or match["timeout"]
    data = match["data"].split(" . ") if match["data"] else ()
    return ReadElement(
        words=(*match["key"].split(" . "), *data),
        remaining=duration(shown) if shown else default,
        comment=match["comment"] or "",
        packets=int(match["packets"] or 0),
    )


def _counter(body: list[str]) -> int:
    match = _PACKETS.search(" ".join(body))
    return int(match[1]) if match else 0
