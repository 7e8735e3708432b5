"""JSON from elsewhere: its nesting is judged before it is parsed (RFC 8259 section 9; EDGES E1).

Python's parser recurses, and so does whatever walks its result: text that nests a thousand deep
ends in a RecursionError somewhere far from where it came in. The judgement takes a few passes
over the text, each of them linear and none of them in Python. Bytes are UTF-8 (RFC 8259 section
8.1); Python alone would take UTF-16 and UTF-32 too.
"""

from __future__ import annotations

import json
import re

DEEPEST = 32  # arrays and objects within each other; ours are at most 8 deep
# Strings, whole or cut off by the end; then all that is no bracket.
_NOT_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[^][{}"]+', re.DOTALL)
_AS_SQUARE = str.maketrans("{}", "[]")


class TooDeep(ValueError):
    """The text nests deeper than DEEPEST."""


def check_depth(text: str) -> None:
    """Raise TooDeep when brackets nest deeper than DEEPEST. Other faults are the parser's."""
    if text.count("{") + text.count("[") <= DEEPEST:  # nearly always: too few to nest deeper
        return
    left = _NOT_BRACKETS.sub("", text).translate(_AS_SQUARE)
    for _ in range(DEEPEST):
        if not left:
            return
        left = left.replace("[]", "")  # takes the innermost level off every tree
    # A pair that is left is deeper; so may be what is never closed, which is no JSON anyway.
    if "[]" in left or left.count("[") > DEEPEST:
        raise TooDeep(f"It nests deeper than {DEEPEST} levels.")


def read_json(content: str | bytes) -> object:
    """The value of a JSON text; raise ValueError when it is none, or nests too deep."""
    text = content.decode() if isinstance(content, bytes) else content
    check_depth(text)
    value: object = json.loads(text)
    return value
