"""Fixtures of the portal's tests: one certificate authority and signing key a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule import portal
from tests.wire.house import House


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are slow to make and no test changes them."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    made = House(data_dir, [portal.router()])
    yield made
    made.close()
