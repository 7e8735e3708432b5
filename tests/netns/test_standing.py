"""The rules without an agent, on a real kernel: a file that nft alone loads (EDGES I4)."""

from __future__ import annotations

import shlex
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent.install import KEEP_MARK, RULE_FILE, unit_text
from bascule.domain.desired import RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PublicPort
from bascule.domain.plan import plan
from bascule.drivers.nftables.host import NftablesHost
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.network import CLIENT, Network
from tests.netns.rulesets import closed, make_so, openings, tcp

NEEDS = NftablesHost.needs


def load(network: Network, folder: Path, wanted: frozenset[ClosedPort]) -> None:
    file = folder / "closed.nft"
    file.write_text(NftablesHost().standing(wanted))
    network.host.run(*NEEDS.unit.load, str(file))


def test_what_was_closed_is_closed_by_nft_alone_and_opened_by_root(
    network: Network, tmp_path: Path
) -> None:
    """At a boot there is no table; nothing else is closed by it."""
    network.echo(22, 80)
    assert network.client.lets_in(22)
    load(network, tmp_path, closed(tcp(22)))
    assert not network.client.reaches(22)
    assert network.client.lets_in(80), "no other port"
    load(network, tmp_path, closed(tcp(22)))  # twice is as once
    assert not network.client.reaches(22)
    network.host.run(*NEEDS.release)
    assert network.client.lets_in(22)


def test_what_was_open_in_a_table_that_stood_is_not_carried_over(
    network: Network, start_driver: StartDriver, tmp_path: Path
) -> None:
    network.echo(22)
    driver = start_driver(use_owner=False)
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), 60))))
    assert network.client.lets_in(22)
    driver.close()
    load(network, tmp_path, closed(tcp(22)))
    assert not network.client.reaches(22)


def test_an_agent_takes_over_what_stands(
    network: Network, driver: DriverProcess, tmp_path: Path
) -> None:
    """It finds the port closed, keeps it so while it becomes the owner, and can open it."""
    network.echo(22)
    load(network, tmp_path, closed(tcp(22), kill=[tcp(23)]))
    found = driver.observe().rules
    assert found.closed == closed(tcp(22), kill=[tcp(23)])
    assert not found.openings
    wanted = RuleSet(found.closed, openings((CLIENT, tcp(22), 60)))
    make_so(driver, wanted)
    assert network.client.lets_in(22)
    assert not plan(wanted, driver.observe())


def test_an_agent_that_knows_nothing_finds_what_the_file_closes(
    network: Network, driver: DriverProcess, tmp_path: Path
) -> None:
    """Its unit loads the file where another tool, or a boot, took the table away."""
    network.echo(22)
    file = tmp_path / "closed.rules"
    text = unit_text(("bascule",), tmp_path, NEEDS.unit)
    (line,) = (each for each in text.splitlines() if each.startswith("ExecStartPre=+-"))
    line = line.replace(str(RULE_FILE), str(file)).replace(str(KEEP_MARK), str(tmp_path / "mark"))
    command = shlex.split(line.removeprefix("ExecStartPre=+-"))
    network.host.run(*command)
    assert network.client.lets_in(22), "there is no file"
    file.write_text(NftablesHost().standing(closed(tcp(22))))
    network.host.run(*command)
    assert not network.client.reaches(22)
    assert driver.observe().rules.closed == closed(tcp(22))
    make_so(driver, RuleSet(closed(tcp(22)), openings((CLIENT, tcp(22), 60))))
    network.host.run(*command)
    assert network.client.lets_in(22), "rules that are there stay"
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("use_owner", [False, True])
def test_what_would_be_loaded_is_tried_without_a_change(
    network: Network, start_driver: StartDriver, *, use_owner: bool
) -> None:
    """Also while an agent owns its rules."""
    driver = start_driver(use_owner=use_owner)
    make_so(driver, RuleSet(closed(tcp(22))))
    before = network.host.run("nft", "list", "ruleset")
    machine = tcp(22).behind(ip_address("10.1.0.10"))
    trial = NftablesHost().standing(closed(tcp(22), machine), is_trial=True)
    network.host.run(*NEEDS.check, text=trial)
    assert network.host.run("nft", "list", "ruleset") == before
    with pytest.raises(RuntimeError, match="syntax error"):
        network.host.run(*NEEDS.check, text=trial.replace("tcp", "tcq"))


@pytest.mark.parametrize("is_mapped", [False, True])
def test_what_is_closed_behind_a_gateway_is_loaded_too(
    network: Network, driver: DriverProcess, tmp_path: Path, *, is_mapped: bool
) -> None:
    machine = tcp(22).behind(ip_address("10.1.0.10"))
    public = tcp(22).mapped(PublicPort(ip_address("198.51.100.7"), 2222), None)
    wanted = closed(tcp(22), machine, *([public] if is_mapped else []))
    load(network, tmp_path, wanted)
    assert {each.port for each in driver.observe().rules.closed} == {each.port for each in wanted}
