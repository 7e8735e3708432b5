"""A judge that finds nothing must be able to find something: planted bugs are reported.

The quickest to show are planted here; ``make faults`` plants all of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import bascule
from tests.faults.planted import PLANTED, is_seen, plant
from tests.faults.world import World

QUICK = ("the server opens for everybody", "a SYN passes as established")


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_seen(fresh_world: World, name: str) -> None:
    assert name in PLANTED
    findings = is_seen(fresh_world, name).findings
    assert any("got through" in finding for finding in findings), findings


def test_each_bug_can_still_be_planted(tmp_path: Path) -> None:
    """The code moves on; a bug that cannot be put into it any more proves nothing."""
    for name, bug in PLANTED.items():
        for number, change in enumerate(bug.changes):
            file = tmp_path / f"{name} {number}" / Path(change.file).name
            file.parent.mkdir()
            shutil.copyfile(Path(bascule.__file__).parent / change.file, file)
            plant(file, change)
            compile(file.read_text(), str(file), "exec")
