"""CAP_NET_ADMIN is all that the driver needs; without it, it says so."""

from __future__ import annotations

import shutil
import time

import pytest

from bascule.domain.desired import RuleSet
from bascule.errors import ConfigurationError
from tests.netns.conftest import StartDriver
from tests.netns.network import CLIENT, PATIENCE, Network, is_alive
from tests.netns.rulesets import closed, cuts, make_so, openings, tcp

_SETPRIV = ("setpriv", "--bounding-set", "-all,{}", "--inh-caps", "-all,{}")


def _only(capabilities: str) -> tuple[str, ...]:
    """sys_admin too: the test's child has to enter the namespace; it drops it thereafter."""
    return tuple(part.format(capabilities) for part in _SETPRIV)


pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")


def test_net_admin_alone_is_enough(network: Network, start_driver: StartDriver) -> None:
    network.echo(22, 23)
    old = network.session(network.stranger, 22)
    driver = start_driver(prefix=_only("+net_admin,+sys_admin"))
    shut = closed(tcp(22), kill=[tcp(23)])
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    session = network.session(network.client, 22)
    assert is_alive(old, PATIENCE)
    make_so(driver, RuleSet(shut, {}, cuts((CLIENT, tcp(22), 60))))
    driver.tidy()
    time.sleep(0.05)
    assert driver.sessions([(tcp(22), "*")]) == [1], "the cut one is destroyed"
    assert not is_alive(session)


def test_without_it_the_error_says_what_to_do(start_driver: StartDriver) -> None:
    with pytest.raises(ConfigurationError, match="not permitted") as caught:
        start_driver(prefix=_only("+sys_admin"))
    assert "CAP_NET_ADMIN" in caught.value.advice
