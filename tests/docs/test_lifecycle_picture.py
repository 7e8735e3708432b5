"""ARCHITECTURE.md's picture of a grant's life is drawn from the table of states."""

from __future__ import annotations

import re
from pathlib import Path

from bascule.domain.lifecycle import (
    GRANT_BEGINNINGS,
    GRANT_TRANSITIONS,
    STATES,
    GrantState,
    Row,
    Status,
)

PAGE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()


def _wire(row: Row) -> str:
    reason = f" / {row.reason}" if row.reason and row.status is Status.REVOKED else ""
    return f"({row.status}{reason})"


def picture() -> str:
    """The text between the fences."""
    lines = ["stateDiagram-v2"]
    lines += [f"  [*] --> {each}: decided {_wire(STATES[each])}" for each in GRANT_BEGINNINGS]
    lines += [
        f"  {was} --> {move.to}: {move.why} {_wire(STATES[move.to])}"
        for was in GrantState
        for move in STATES[was].grant_next
    ]
    return "\n".join(lines) + "\n"


def test_the_picture_is_the_table() -> None:
    """Where this fails, put ``picture()`` between the fences."""
    drawn = re.findall(r"```mermaid\n(stateDiagram-v2\n.*?)```", PAGE, re.DOTALL)
    assert drawn == [picture()]
    assert picture().count(" --> ") == len(GRANT_BEGINNINGS) + len(GRANT_TRANSITIONS)


def test_what_is_shown_and_never_stored_is_told_in_words() -> None:
    """A reader who meets one of these words in an answer finds it beside the picture."""
    for row in STATES.values():
        if row.shown_for is not None:
            assert f"*{row.name}*" in PAGE
