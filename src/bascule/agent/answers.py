"""Reading a server's answers as JSON, at a cost that a hostile server cannot raise (EDGES E4).

How long an answer is, how deep it nests and how many values it holds is judged before it is
parsed: an empty object of two bytes becomes 72 in memory. No state within Bascule's own limits
comes near these bounds (``domain.limits``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LARGEST_ANSWER = 8 * 1024 * 1024  # bytes from the wire: head, body and what frames it
DEEPEST = 32  # objects and lists within each other
LONGEST_REASON = 500  # characters of what a server gives as its reason
MOST_VALUES = 500_000  # 4 MiB of a state have about 400,000
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_object(content: bytes) -> dict[str, Any]:
    """The JSON object (RFC 8259) in ``content``; raises ValueError when it is none, or too much.

    Brackets within texts count as brackets: our server writes none there that matter.
    """
    brackets = content.translate(_ONE_KIND, _NOT_BRACKETS)
    if content.count(b",") + len(brackets) // 2 > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES} values")
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise ValueError(f"its brackets do not pair, or nest more than {DEEPEST} deep")
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError("it is not an object")  # noqa: TRY004  # reason: what was sent is wrong
    return answer


def reason_of(answer: Mapping[str, Any], otherwise: str, key: str = "message") -> str:
    """What an error envelope (CONTRACT 1.4) says; ``otherwise`` when it has another form."""
    error = answer.get("error")
    said = error.get(key) if isinstance(error, Mapping) else None
    return said[:LONGEST_REASON] if isinstance(said, str) else otherwise
