"""Fixtures of the tests on the real kernel, and the reasons for which they cannot run here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.netns.driver_process import DriverProcess
from tests.netns.network import Network

HERE = Path(__file__).parent


def why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: namespaces and nftables"
    missing = [tool for tool in ("ip", "nft", "sysctl") if shutil.which(tool) is None]
    return f"needs {', '.join(missing)} on PATH" if missing else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = why_not()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.root)
            if why:
                item.add_marker(
                    pytest.mark.skip(reason=why)
                )  # reason: no root, or no nft here; said at the end


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


StartDriver = Callable[..., DriverProcess]


@pytest.fixture
def start_driver(network: Network) -> Iterator[StartDriver]:
    """Start a driver process on the host; keywords as DriverProcess has them."""
    with ExitStack() as closing:

        def start(*, use_owner: bool = True, prefix: tuple[str, ...] = ()) -> DriverProcess:
            made = DriverProcess(network.host.name, use_owner=use_owner, prefix=prefix)
            closing.callback(made.close)
            return made

        yield start


@pytest.fixture
def driver(start_driver: StartDriver) -> DriverProcess:
    return start_driver()


@pytest.fixture
def owned(driver: DriverProcess) -> DriverProcess:
    """A driver whose table other tools cannot touch; skips where the kernel is too old."""
    if not driver.condition().is_owned:
        pytest.skip("needs nftables 1.1 and kernel 6.9: the table cannot be owned")
    return driver
