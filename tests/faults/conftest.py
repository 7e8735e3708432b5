"""One lab for all runs of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.faults.series import fault_lab
from tests.faults.world import World
from tests.support.own import mark


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: namespaces and nftables"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    return f"needs {', '.join(missing)} on PATH" if missing else ""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A lab with its watchers; each run leaves it as it was."""
    if why := _why_not():
        pytest.skip(why)
    with fault_lab() as made:
        yield made


@pytest.fixture(scope="module")
def fresh_world() -> Iterator[World]:
    """A lab in which no source was cut in the last two minutes (EDGES A24)."""
    if why := _why_not():
        pytest.skip(why)
    with fault_lab(mark("p")) as made:
        yield made
