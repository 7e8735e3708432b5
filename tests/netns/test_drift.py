"""Without an owner others can write: it is found, named and healed. Old kernels have no owner."""

from __future__ import annotations

import time

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.plan import plan
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.network import CLIENT, PATIENCE, STRANGER, WAIT, Network, is_alive
from tests.netns.rulesets import SHORT, closed, cuts, make_so, openings, tcp

DESIRED = RuleSet(
    closed(tcp(22), kill=[tcp(23)]),
    openings((CLIENT, tcp(22), 60), ("10.78.0.0/24", tcp(22), 60)),
    cuts((CLIENT, tcp(23), 100)),
)

LATER_HOOK = """flush chain inet bascule published
delete chain inet bascule published
add chain inet bascule published { type filter hook prerouting priority 0; policy accept; }"""


@pytest.fixture
def driver(start_driver: StartDriver) -> DriverProcess:
    return start_driver(use_owner=False)


def test_the_weakness_is_said(driver: DriverProcess) -> None:
    found = driver.condition()
    assert not found.is_owned
    assert "flush ruleset" in found.weaknesses[0].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flush ruleset", "is missing"),
        ("delete table inet bascule", "is missing"),
        ("insert rule inet bascule granted accept", "chain granted has 'accept' too"),
        ("flush chain inet bascule granted", "chain granted lacks"),
        ("table inet bascule {\nflags dormant\n}", "its flags are dormant"),
        ("add chain inet bascule more", "chain more is not ours"),
        (
            "add set inet bascule g4_8 { type ipv4_addr . inet_proto . inet_service; }",
            "set g4_8 is not ours",
        ),
        ("add counter inet bascule mine", "counter mine is not ours"),
        (
            "add element inet bascule g4_24 { 10.1.0.0 . 1 . 22 timeout 9s }",
            "protocol 1 is not one of ours",
        ),
        (LATER_HOOK, "chain published lacks"),
    ],
)
def test_drift_is_named_and_healed(
    network: Network, driver: DriverProcess, text: str, words: str
) -> None:
    network.echo(22)
    make_so(driver, DESIRED)
    network.host.nft(text + "\n")
    seen = driver.observe()
    assert not seen.is_intact
    assert words in seen.drift
    driver.tidy()
    driver.blocked()
    make_so(driver, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


@pytest.mark.parametrize(
    "text",
    [
        "add element inet bascule g4 { 10.77.1.3 . tcp . 22 timeout 1h }",
        "delete element inet bascule closed { tcp . 22 }",
        "flush set inet bascule closed",
        "flush set inet bascule g4_24",
        "delete element inet bascule ended4 { 10.77.0.2 . tcp . 23 }",
        "add element inet bascule kill { tcp . 22 }",
        "add element inet bascule closed { tcp . 2200 }",
    ],
)
def test_an_element_that_others_change_is_an_ordinary_difference(
    network: Network, driver: DriverProcess, text: str
) -> None:
    network.echo(22)
    make_so(driver, DESIRED)
    network.host.nft(text + "\n")
    assert plan(DESIRED, driver.observe())
    make_so(driver, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


@pytest.mark.parametrize(
    "text", ["flush ruleset", "delete element inet bascule closed { tcp . 23 }"]
)
def test_healing_adopts_nothing_on_a_kill_port(
    network: Network, driver: DriverProcess, text: str
) -> None:
    """Neither whom a lease had let in, for longer than that, nor who came in the gap."""
    network.echo(23)
    desired = RuleSet(closed(kill=[tcp(23)]), openings((CLIENT, tcp(23), 60)))
    make_so(driver, desired)
    admitted = network.session(network.client, 23)
    network.host.nft(text + "\n")
    stranger = network.session(network.stranger, 23)
    make_so(driver, desired)
    assert not is_alive(stranger)
    assert is_alive(admitted, PATIENCE)
    make_so(driver, RuleSet(desired.closed, openings((CLIENT, tcp(23), SHORT))))
    time.sleep(SHORT + 0.1)
    assert not is_alive(admitted)


@pytest.mark.parametrize(
    "text", ["flush ruleset", "delete element inet bascule closed { tcp . 22 }"]
)
@pytest.mark.parametrize("is_published", [False, True])
def test_a_cut_ends_what_a_grant_admitted_before_a_healing(
    network: Network, driver: DriverProcess, text: str, *, is_published: bool
) -> None:
    """EDGES A24: that it was found on the port when that was shut again spares it nothing."""
    port = 8022 if is_published else 22
    network.echo(22, space=network.inner if is_published else network.host)
    if is_published:
        network.publish(8022, 22)
    shut = closed(tcp(port))
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(port), 60))))
    admitted = network.session(network.client, port)
    network.host.nft(text.replace("22", str(port)) + "\n")
    if is_published and text == "flush ruleset":
        network.publish(8022, 22)
    make_so(driver, RuleSet(shut))
    driver.tidy()
    assert is_alive(admitted, PATIENCE)
    ended = cuts((CLIENT, tcp(port), 120))
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(port), 60)), ended))
    driver.tidy()
    assert is_alive(admitted, PATIENCE), "another opening admits it"
    make_so(driver, RuleSet(shut, {}, ended))
    driver.tidy()
    assert not is_alive(admitted)
    assert driver.sessions([(tcp(port), "*")]) == [0]


@pytest.mark.parametrize("use_owner", [True, False])
def test_a_cut_ends_what_an_agent_of_before_found_at_a_healing(
    network: Network, driver: DriverProcess, start_driver: StartDriver, *, use_owner: bool
) -> None:
    """Its element says that it is no old acquaintance, in the hand-over's two tables too."""
    network.echo(22)
    shut = closed(tcp(22))
    old = network.session(network.stranger, 22)
    make_so(driver, RuleSet(shut, openings((CLIENT, tcp(22), 60))))
    driver.tidy()
    admitted = network.session(network.client, 22)
    network.host.nft("flush ruleset\n")
    make_so(driver, RuleSet(shut))
    driver.tidy()
    driver.kill()
    following = start_driver(use_owner=use_owner)
    following.observe()
    following.take_over(lambda: None)
    make_so(following, RuleSet(shut))
    following.tidy()
    assert is_alive(admitted, PATIENCE)
    ended = cuts((CLIENT, tcp(22), 120), (STRANGER, tcp(22), 120))
    make_so(following, RuleSet(shut, {}, ended))
    following.tidy()
    assert not is_alive(admitted)
    assert is_alive(old, PATIENCE)


@pytest.mark.parametrize("is_taken_over", [True, False])
def test_a_restart_after_a_flush_lengthens_no_session_of_a_lease(
    network: Network, driver: DriverProcess, start_driver: StartDriver, *, is_taken_over: bool
) -> None:
    """The flush came before the hand-over, or right after it: whom the lease admits is known."""
    network.echo(23)
    desired = RuleSet(closed(kill=[tcp(23)]), openings((CLIENT, tcp(23), 60)))
    make_so(driver, desired)
    admitted = network.session(network.client, 23)
    driver.kill()
    following = start_driver(use_owner=False)
    if is_taken_over:
        assert following.observe().rules.closed == desired.closed
        following.take_over(lambda: None)
    network.host.nft("flush ruleset\n")
    stranger = network.session(network.stranger, 23)
    make_so(following, desired)
    assert is_alive(admitted, PATIENCE)
    patience = WAIT if is_taken_over else PATIENCE
    is_adopted = is_alive(stranger, patience)
    assert is_adopted is not is_taken_over, "a new process does not know who was shut out"
    make_so(following, RuleSet(desired.closed, openings((CLIENT, tcp(23), SHORT))))
    time.sleep(SHORT + 0.1)
    assert not is_alive(admitted)


def test_a_table_without_an_owner_becomes_owned(
    network: Network, driver: DriverProcess, start_driver: StartDriver
) -> None:
    """An upgrade of kernel or nft: flags cannot be added, so the table is made anew."""
    network.echo(22)
    make_so(driver, DESIRED)
    driver.kill()
    for takes_over in (True, False):
        following = start_driver()
        if takes_over:
            following.take_over(lambda: None)
        make_so(following, DESIRED)
        assert following.observe().rules.openings.keys() == DESIRED.openings.keys()
        assert network.client.lets_in(22)
        assert not network.stranger.reaches(22)
        following.kill()


def test_a_table_of_another_form_is_replaced(network: Network, driver: DriverProcess) -> None:
    """An older version's: its adopted connections are kept where they are of our form."""
    network.echo(22)
    network.host.nft(
        "table inet bascule {\n"
        "set closed {\ntype inet_service\nelements = { 22 }\n}\n"
        "set adopted4 {\ntype ipv4_addr . inet_service . inet_service\nflags timeout\n"
        "elements = { 10.77.1.3 . 4444 . 22 timeout 60s }\n}\n"
        "chain gate {\ntype filter hook input priority 0; policy accept;\n"
        "tcp dport @closed drop\n}\n}\n"
    )
    assert not network.client.reaches(22)
    make_so(driver, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)
    assert "4444" in network.host.run("nft", "list", "set", "inet", "bascule", "adopted4")


def test_unused_prefix_lengths_go_with_a_later_load(
    network: Network, driver: DriverProcess
) -> None:
    make_so(driver, DESIRED)
    make_so(driver, RuleSet(DESIRED.closed, openings((CLIENT, tcp(22), 60))))
    make_so(driver, RuleSet(DESIRED.closed, openings(("10.0.0.0/9", tcp(22), 60))))
    listed = network.host.run("nft", "list", "sets", "inet")
    assert "set g4_9 " in listed
    assert "set g4_24 " not in listed
