"""The table stays, whatever other tools do and whoever of us dies (EDGES A5)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from bascule.domain.desired import RuleSet
from bascule.domain.plan import Rebuild
from bascule.errors import EnforcementFailed
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.network import CLIENT, PATIENCE, Network, Space, hammering, is_alive, repeating
from tests.netns.rulesets import closed, cuts, make_so, openings, tcp

STORED = 8  # sockets: FileDescriptorStoreMax= of the unit
SHUT = closed(tcp(22), kill=[tcp(23)])
DESIRED = RuleSet(
    SHUT,
    openings((CLIENT, tcp(22), 600), ("10.78.0.0/24", tcp(22), 600), ("fd77:9::/64", tcp(23), 600)),
    cuts(("10.99.0.0/16", tcp(22), 600)),
)


@contextlib.contextmanager
def flushing(space: Space) -> Iterator[None]:
    """Another tool that flushes everything, as fast as it can, in two processes."""
    with (
        _looping(
            space,
            "timeout --foreground 120 sh -c 'while :; do echo flush ruleset; done' | nft -i >/dev/null 2>&1",
        ),
        _looping(
            space,
            "timeout --foreground 120 sh -c 'while :; do nft flush ruleset 2>/dev/null; done'",
        ),
    ):
        space.nft("add table inet bystander\n")
        deadline = time.monotonic() + 20
        while "bystander" in space.run("nft", "list", "tables"):
            assert time.monotonic() < deadline, "the flusher does not flush"
        yield


@contextlib.contextmanager
def _looping(space: Space, script: str) -> Iterator[None]:
    process = space.popen("sh", "-c", script, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the session that we made for it, nothing else
        process.wait()


def test_reloads_lose_no_granted_connection_and_leak_none(
    network: Network, owned: DriverProcess
) -> None:
    """100 reloads under load, while another tool flushes all the time."""
    network.echo(22)
    make_so(owned, DESIRED)
    session = network.session(network.client, 22)
    with (
        repeating(network.client, lambda: network.client.reaches(22, wait=2)) as lets_in,
        repeating(network.stranger, lambda: network.stranger.reaches(22, wait=0.05)) as leaks,
        flushing(network.host),
    ):
        for _ in range(100):
            owned.apply([Rebuild(DESIRED)])
            time.sleep(0.01)
    assert len(lets_in) > 20
    assert all(lets_in)
    assert len(leaks) > 5
    assert not any(leaks)
    assert is_alive(session, PATIENCE)
    assert owned.observe().is_intact


def test_others_cannot_write(network: Network, owned: DriverProcess) -> None:
    make_so(owned, DESIRED)
    for text in (
        "add element inet bascule g4 { 10.77.1.3 . tcp . 22 timeout 60s }",
        "delete table inet bascule",
        "add rule inet bascule granted accept",
    ):
        with pytest.raises(RuntimeError, match="Operation not permitted"):
            network.host.nft(text + "\n")
    assert owned.observe().rules.openings.keys() == DESIRED.openings.keys()


def test_a_held_socket_keeps_the_table_owned_after_kill(
    network: Network, owned: DriverProcess
) -> None:
    network.echo(22)
    make_so(owned, DESIRED)
    owned.hold()
    owned.kill()
    network.host.run("nft", "flush", "ruleset")
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)
    owned.release()
    network.host.run("nft", "flush", "ruleset")
    assert network.stranger.lets_in(22), "which is why the socket has to be held"


def test_taking_over_leaves_no_gap(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    """Killed and replaced ten times over, beside a flusher in a tight loop."""
    network.echo(22)
    network.echo(23)
    make_so(owned, DESIRED)
    owned.hold()
    current = owned
    with (
        flushing(network.host),
        hammering(network.stranger, 22) as leaks,
    ):
        for _ in range(10):
            current.kill()
            time.sleep(0.02)
            following = start_driver()
            following.take_over(current.release)
            following.hold()
            seen = following.observe()
            assert seen.is_intact, seen.drift
            assert seen.rules.closed == SHUT
            assert seen.rules.openings.keys() == DESIRED.openings.keys()
            assert seen.rules.cuts.keys() == DESIRED.cuts.keys()
            assert {each.grant_id for each in seen.rules.openings.values()} == {"grant-1"}
            current = following
    assert len(leaks) > 100
    assert not any(leaks)
    assert network.client.lets_in(22)
    assert _tables(network) == ["table inet bascule"]


def test_taking_over_does_not_lengthen(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    """The copy is written later than it was read: the time between is taken off."""
    network.echo(22)
    following = start_driver()  # which may take a second
    make_so(owned, RuleSet(SHUT, openings((CLIENT, tcp(22), 8))))
    began = time.monotonic()
    owned.hold()
    owned.kill()

    def slow_release() -> None:
        time.sleep(1)
        owned.release()
        network.host.run("nft", "flush", "ruleset")

    following.take_over(slow_release)
    assert network.client.lets_in(22)
    time.sleep(max(0.0, began + 8.1 - time.monotonic()))
    assert not network.client.reaches(22)
    assert not network.stranger.reaches(22)


def test_a_stored_socket_that_is_not_given_up_keeps_all_shut(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    network.echo(22)
    make_so(owned, RuleSet(SHUT))
    owned.hold()
    owned.kill()
    following = start_driver()
    with pytest.raises(EnforcementFailed, match="not permitted"):
        following.take_over(lambda: None)
    assert not following.observe().is_intact
    assert not network.client.reaches(22)
    following.take_over(owned.release)
    make_so(following, DESIRED)
    assert network.client.lets_in(22)
    assert _tables(network) == ["table inet bascule"]


def test_what_a_crash_in_a_hand_over_leaves_is_cleaned(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    """By the next hand-over, and by a rebuild: else the old copy would drop what we open."""
    network.echo(22)
    make_so(owned, RuleSet(SHUT))
    owned.hold()
    owned.kill()
    crashing = start_driver()
    with contextlib.suppress(EOFError):
        crashing.take_over(crashing.kill)
    assert _tables(network) == ["table inet bascule", "table inet bascule_handover"]
    following = start_driver()
    following.take_over(owned.release)
    assert _tables(network) == ["table inet bascule"]

    again = start_driver()
    following.hold()
    following.kill()

    def release_and_crash() -> None:
        following.release()
        again.kill()

    with contextlib.suppress(EOFError):
        again.take_over(release_and_crash)
    assert "table inet bascule_handover" in _tables(network)
    last = start_driver()
    make_so(last, DESIRED)
    assert network.client.lets_in(22)
    assert _tables(network) == ["table inet bascule"]


def test_an_agent_that_died_in_its_hand_over_does_not_stop_the_next(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    """Its socket was stored already and owns the second table: nobody can write that before
    both sockets are given up, and that must not be before another second table stands."""
    network.echo(22)
    make_so(owned, RuleSet(SHUT))
    owned.hold()
    owned.kill()
    dying = start_driver()
    dying.hold()
    with contextlib.suppress(EOFError):
        dying.take_over(dying.kill)
    assert "table inet bascule_handover" in _tables(network)
    following = start_driver()

    def release_both() -> None:
        assert not network.stranger.reaches(22)
        owned.release()
        dying.release()

    following.take_over(release_both)
    assert _tables(network) == ["table inet bascule"]
    make_so(following, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


def test_any_number_of_agents_that_died_in_their_hand_overs_do_not_stop_the_next(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    """Each left its socket stored and a second table that nobody else can write: as many as
    the service manager stores. There is still another name, and then one table."""
    network.echo(22)
    make_so(owned, RuleSet(SHUT))
    holding = [owned]
    owned.hold()
    owned.kill()
    for _ in range(STORED - 1):
        dying = start_driver()
        dying.hold()
        with contextlib.suppress(EOFError):
            dying.take_over(dying.kill)
        holding.append(dying)
    assert len(_tables(network)) == STORED
    following = start_driver()

    def release_all() -> None:
        assert len(_tables(network)) == STORED + 1, "the second table stands before"
        for each in holding:
            each.release()

    following.take_over(release_all)
    assert _tables(network) == ["table inet bascule"]
    make_so(following, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


@pytest.mark.parametrize("kind", ["inet_service", "inet_proto . inet_service . mark"])
def test_taking_over_another_version_keeps_its_rules(
    network: Network, start_driver: StartDriver, kind: str
) -> None:
    """What is not understood is owned as it stands; the rebuild after it replaces it."""
    network.echo(22)
    network.host.nft(
        "table inet bascule {\nflags owner, persist\n"
        f"set closed {{\ntype {kind}\n}}\n"
        "chain gate {\ntype filter hook input priority 0; policy accept;\ntcp dport 22 drop\n}\n}\n"
    )
    following = start_driver()
    following.take_over(lambda: None)
    network.host.run("nft", "flush", "ruleset")
    assert not network.client.reaches(22)
    assert not following.observe().is_intact
    make_so(following, DESIRED)
    assert network.client.lets_in(22)
    assert not network.stranger.reaches(22)


def test_a_second_agent_that_fails_to_take_over_does_no_harm(
    network: Network, owned: DriverProcess, start_driver: StartDriver
) -> None:
    network.echo(22)
    make_so(owned, RuleSet(SHUT))
    second = start_driver()
    with pytest.raises(EnforcementFailed, match="not permitted"):
        second.take_over(lambda: None)
    second.kill()
    make_so(owned, DESIRED)
    assert network.client.lets_in(22)
    third = start_driver()
    with contextlib.suppress(EOFError):
        third.take_over(third.kill)
    assert "hand-over" in owned.observe().drift, "what a crash left is seen by the owner"
    make_so(owned, DESIRED)
    assert _tables(network) == ["table inet bascule"]


def test_taking_over_what_nobody_owns_or_what_is_not_there(
    network: Network, start_driver: StartDriver
) -> None:
    first = start_driver()
    first.take_over(lambda: None)
    assert not first.observe().is_intact
    make_so(first, DESIRED)
    first.kill()
    second = start_driver()
    second.take_over(lambda: None)
    assert second.observe().is_intact
    assert second.observe().rules.openings.keys() == DESIRED.openings.keys()


def test_removing_opens_everything(network: Network, driver: DriverProcess) -> None:
    network.echo(22)
    make_so(driver, RuleSet(SHUT))
    driver.remove()
    assert network.stranger.lets_in(22)
    assert _tables(network) == []
    driver.remove()


def _tables(network: Network) -> list[str]:
    return sorted(
        line for line in network.host.run("nft", "list", "tables").splitlines() if "bascule" in line
    )
