"""Bascule's own versions, compared: 0.1.0, and those of a development between two of them."""

from __future__ import annotations

import re

_VERSION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})([^0-9.].*|\.[^0-9].*)?")


def is_older(version: str, than: str) -> bool:
    """Is ``version`` of before ``than``? One that cannot be read is not known to be.

    0.2.0.dev1 and 0.2.0rc1 are of before 0.2.0; what follows a + (a local build) does not count.
    """
    one, other = _parsed(version), _parsed(than)
    return one is not None and other is not None and one < other


def _parsed(version: str) -> tuple[tuple[int, ...], bool, str] | None:
    found = _VERSION.fullmatch(version.strip().partition("+")[0])
    if found is None:
        return None
    numbers = tuple(map(int, found[1].split(".")))
    rest = found[2] or ""
    return (*numbers, 0, 0, 0, 0)[:4], not rest, rest
