"""A signed restore explains what was lost, and nothing else (EDGES I6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bascule.domain.chain import ChainHead
from bascule.domain.restoration import Restoration

AT = datetime(2030, 1, 31, 17, tzinfo=UTC)
RESTORED = Restoration("tenant", 7, AT, ChainHead(10, "a"), ChainHead(13, "b"), "disk failed")


@pytest.mark.parametrize(
    ("seen", "head", "is_explained"),
    [
        (ChainHead(11, "x"), ChainHead(13, "b"), True),
        (ChainHead(11, "x"), ChainHead(20, "y"), True),
        (ChainHead(10, "x"), ChainHead(13, "b"), False),  # it was in the backup
        (ChainHead(11, "x"), ChainHead(12, "y"), False),  # the restore is not there
        (ChainHead(11, "x"), ChainHead(13, "y"), False),  # something else is where it was
    ],
)
def test_what_it_explains(seen: ChainHead, head: ChainHead, is_explained: bool) -> None:
    assert RESTORED.explains(seen, head) is is_explained


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": "other"},
        {"number": 8},
        {"at": AT.replace(hour=18)},
        {"old": ChainHead(9, "a")},
        {"old": ChainHead(10, "b")},
        {"new": ChainHead(14, "b")},
        {"new": ChainHead(13, "c")},
        {"reason": "no reason"},
    ],
)
def test_everything_is_signed(change: dict[str, object]) -> None:
    changed = replace(RESTORED, **change)  # type: ignore[arg-type]  # reason: by name
    assert changed.statement() != RESTORED.statement()
    assert replace(RESTORED, signature="s").statement() == RESTORED.statement()
