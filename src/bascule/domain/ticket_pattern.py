r"""Patterns of ticket numbers: a small part of regular expressions, matched whole in linear time.

A pattern is a sequence of characters and classes, each with a count at most:
  ``CHG``  these characters;  ``\d``  a digit;  ``[A-Z0-9_-]``  one of these;  ``\.``  the character ``.``
  ``?``  ``*``  ``+``  ``{7}``  ``{4,8}``  how often what stands before it;  ``|``  either side of it

No groups, no back references, no negated classes, no ``.``: nothing that has to be tried twice. Each
character of a text moves a set of at most MOST_STEPS places, so the time is at most the product of both
lengths, whatever the pattern (docs/adr/0041-tickets.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

LONGEST_PATTERN = 200  # characters
LONGEST_TICKET = 64  # characters
MOST_STEPS = 256  # places of one pattern, with counts written out
_COUNT = re.compile(r"\{([0-9]{1,3})(?:,([0-9]{1,3}))?\}")
_SPECIAL = frozenset("\\[]{}()?*+|.^$")
_DIGITS = frozenset("0123456789")


class BadPattern(ValueError):
    """The message says what is wrong, in a sentence."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One place: a character that must be there, may be there, or may be there any number of times."""

    characters: frozenset[str]
    may_lack: bool = False
    repeats: bool = False


def matches(pattern: str, text: str) -> bool:
    """Does it match the whole text? False of a text that is longer than any ticket."""
    if len(text) > LONGEST_TICKET:
        return False
    return any(_matches(steps, text) for steps in parse(pattern))


def _matches(steps: tuple[_Step, ...], text: str) -> bool:
    at = _closed(steps, {0})
    for character in text:
        moved = set()
        for place in at:
            if place < len(steps) and character in steps[place].characters:
                moved.add(place if steps[place].repeats else place + 1)
        at = _closed(steps, moved)
    return len(steps) in at


def _closed(steps: tuple[_Step, ...], places: Iterable[int]) -> set[int]:
    """With the places behind steps that may lack."""
    found: set[int] = set()
    for each in places:
        place = each
        while place not in found:
            found.add(place)
            if place < len(steps) and steps[place].may_lack:
                place += 1
    return found


@lru_cache(maxsize=256)
def parse(pattern: str) -> tuple[tuple[_Step, ...], ...]:
    """Each side of ``|``. Raises BadPattern."""
    if not 1 <= len(pattern) <= LONGEST_PATTERN:
        raise BadPattern(f"A pattern has from 1 to {LONGEST_PATTERN} characters.")
    if not all("!" <= each <= "~" for each in pattern):
        raise BadPattern("A pattern has visible ASCII characters only, and no spaces.")
    sides: list[list[_Step]] = [[]]
    place = 0
    while place < len(pattern):
        if pattern[place] == "|":
            sides.append([])
            place += 1
            continue
        characters, place = _one(pattern, place)
        least, most, place = _count(pattern, place)
        sides[-1] += _written_out(characters, least, most)
        if sum(map(len, sides)) > MOST_STEPS:
            raise BadPattern(f"A pattern has at most {MOST_STEPS} places, with counts written out.")
    if any(all(step.may_lack for step in side) for side in sides):
        raise BadPattern("A pattern must not match the empty text.")
    return tuple(map(tuple, sides))


def _one(pattern: str, place: int) -> tuple[frozenset[str], int]:
    """The characters that one may be there, and where what follows begins."""
    first = pattern[place]
    if first == "[":
        return _class(pattern, place + 1)
    if first == "\\":
        return _escaped(pattern, place + 1)
    if first in _SPECIAL:
        raise BadPattern(
            f"{first!r} at character {place + 1} is not supported there. For the character itself "
            f"write \\{first}."
        )
    return frozenset(first), place + 1


def _escaped(pattern: str, place: int) -> tuple[frozenset[str], int]:
    escaped = pattern[place : place + 1]
    if escaped == "d":
        return _DIGITS, place + 1
    if not escaped or escaped.isalnum():
        raise BadPattern(f"\\{escaped} is not supported. Of letters, only \\d has a meaning.")
    return frozenset(escaped), place + 1


def _class(pattern: str, place: int) -> tuple[frozenset[str], int]:
    found: set[str] = set()
    end = pattern.find("]", place)
    if end <= place or pattern[place] == "^":
        raise BadPattern("A class is written [A-Z0-9_]: not empty, not negated, and closed by ].")
    while place < end:
        first = last = pattern[place]
        if pattern[place + 1] == "-" and place + 2 < end:
            last = pattern[place + 2]
        if first in "\\[" or last in "\\[" or last < first:
            raise BadPattern(f"{first}-{last} within [ ] is not supported.")
        found.update(map(chr, range(ord(first), ord(last) + 1)))
        place += 1 if last is first else 3
    return frozenset(found), end + 1


def _count(pattern: str, place: int) -> tuple[int, int | None, int]:
    """Least, most (None: any number), and where what follows begins."""
    following = pattern[place : place + 1]
    if following in ("?", "*", "+"):
        return int(following == "+"), 1 if following == "?" else None, place + 1
    if following != "{":
        return 1, 1, place
    found = _COUNT.match(pattern, place)
    if found is None:
        raise BadPattern("A count is written {7} or {4,8}.")
    least = int(found[1])
    most = least if found[2] is None else int(found[2])
    if not (least <= most and most >= 1):
        raise BadPattern(f"The count {found[0]} is not valid.")
    return least, most, found.end()


def _written_out(characters: frozenset[str], least: int, most: int | None) -> list[_Step]:
    steps = [_Step(characters)] * least
    if most is None:
        return [*steps, _Step(characters, may_lack=True, repeats=True)]
    return [*steps, *[_Step(characters, may_lack=True)] * (most - least)]
