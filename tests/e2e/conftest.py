"""Fixtures of the tests on whole processes: one lab for all that only use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.lab_world import LabWorld
from tests.support.own import mark

_TOOLS = ("ip", "nft", "ssh", "ssh-keygen", "/usr/sbin/sshd")


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: the rootless lab has a test of its own"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}" if missing else ""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabWorld]:
    """A running lab, shared: leave it as you found it."""
    if why := _why_not():
        pytest.skip(why)
    world = LabWorld(mark("t"), tmp_path_factory.mktemp("lab"))
    try:
        world.must_come_up()
        yield world
    finally:
        world.down()


@pytest.fixture
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabWorld]:
    """A lab that is not up yet, for a test that brings it up and breaks it."""
    if why := _why_not():
        pytest.skip(why)
    world = LabWorld(mark("o"), tmp_path_factory.mktemp("own"))
    try:
        yield world
    finally:
        world.down()
