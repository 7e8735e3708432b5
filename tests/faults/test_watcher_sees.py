"""A judge that finds nothing must be able to find something: planted bugs are reported.

The quickest to show are planted here; ``make faults`` plants all of them.
"""

from __future__ import annotations

import pytest

from tests.faults.planted import PLANTED, is_seen
from tests.faults.world import World

QUICK = ("the server opens for everybody", "a SYN passes as established")


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_seen(world: World, name: str) -> None:
    assert name in PLANTED
    findings = is_seen(world, name).findings
    assert any("got through" in finding for finding in findings), findings
