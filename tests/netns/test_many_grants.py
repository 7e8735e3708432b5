"""Thousands of grants at one gateway: each admits its own source for its own time, and nobody else."""

from __future__ import annotations

import time
from ipaddress import ip_address

from bascule.domain.desired import RuleSet
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, SQL, Gateway, at
from tests.netns.network import CLIENT, STRANGER, Network, hammering
from tests.netns.rulesets import closed, make_so, openings, tcp

MANY = 5_000
LONG, SOON = 300.0, 8.0  # seconds


def test_five_thousand_grants_at_one_gateway(network: Network, driver: DriverProcess) -> None:
    gateway = Gateway(network)
    network.echo(22, space=gateway.app)
    network.echo(22, space=gateway.sql)
    port, elsewhere = at(APP, tcp(22)), at(SQL, tcp(22))
    first = ip_address("198.18.0.0")
    others = [(str(first + number), port, LONG) for number in range(MANY - 2)]
    theirs = (STRANGER, elsewhere, LONG)  # a grant at another machine
    shut = closed(port, elsewhere)
    make_so(driver, RuleSet(shut, openings(*others, theirs)))
    assert not network.client.reaches(22, APP)
    wanted = RuleSet(shut, openings(*others, theirs, (CLIENT, port, SOON)))
    with hammering(network.stranger, 22, APP) as attempts:
        make_so(driver, wanted)
        until = time.monotonic() + SOON
        assert network.client.lets_in(22, APP)
        assert len(driver.observe().rules.openings) == MANY
        assert not network.client.reaches(22, SQL)
        assert network.stranger.lets_in(22, SQL)
        driver.hold()  # its end needs no process that runs
        time.sleep(max(0.0, until + 0.2 - time.monotonic()))
        assert not network.client.reaches(22, APP)
        assert network.stranger.lets_in(22, SQL)
    assert attempts
    assert not any(attempts)
    driver.release()
