"""A lease ends when it should, whoever delays, stops, replays or turns a clock (EDGES A8, A9)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.client import access
from tests.e2e.lab_world import until
from tests.e2e.slow_proxy import PORT, SlowProxy
from tests.e2e.small_world import SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.network import INNER, repeating

pytestmark = [pytest.mark.root, pytest.mark.leak]

_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(22)
        yield made


@pytest.fixture
def proxy(world: SmallWorld) -> Iterator[SlowProxy]:
    """Between server and agent, from the agent's first word on."""
    world.start_server()
    world.add_machine()
    world.set_rules(rule(22))
    with SlowProxy(world.network.inner, world.data, 8443) as made:
        world.start_agent(server=f"https://{INNER}:{PORT}")
        world.wait_enforced()
        yield made


def _open_from_to(world: SmallWorld, seconds: float) -> tuple[float, float]:
    """When a knocking client was first and last let in, within ``seconds``; monotonic."""
    times: list[float] = []

    def knock() -> None:
        began = time.monotonic()
        if world.network.client.reaches(22, wait=0.1):
            times.append(began)
        time.sleep(0.01)

    with repeating(world.network.client, knock):
        time.sleep(seconds)
    assert times, "never let in"
    return times[0], times[-1]


def test_news_that_is_held_back_never_moves_the_end(world: SmallWorld, proxy: SlowProxy) -> None:
    """A push is read four seconds late, and ends on time: it counts from when its nonce was sent."""
    time.sleep(11.0)  # until a beat was echoed
    proxy.drops_hints = True
    proxy.news_delay = proxy.state_delay = 4.0  # should it happen to ask meanwhile
    began = time.monotonic()
    end = world.end_of(world.request(22, 9, wait=0))
    first, last = _open_from_to(world, 10.5)
    assert first - began > 3.0
    assert last < end + 0.25
    assert proxy.pushes


def test_a_replayed_push_lengthens_nothing(world: SmallWorld, proxy: SlowProxy) -> None:
    """Said again ten times, and again to a new line of the same agent."""
    time.sleep(11.0)
    proxy.drops_hints = True
    end = world.end_of(world.request(22, 6))
    (push,) = proxy.pushes
    for _ in range(10):
        time.sleep(0.2)
        proxy.line.send(push)
    line = proxy.line
    line.close()
    assert until(lambda: proxy.line is not line, 20)
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    proxy.line.send(push)
    assert not until(lambda: world.lets_in(22), 1.0)


def test_a_line_that_is_cut_off_is_made_again_and_ends_are_kept(
    world: SmallWorld, proxy: SlowProxy
) -> None:
    """Held back altogether, both ends give it up; what is open ends by itself meanwhile."""
    end = world.end_of(world.request(22, 5))
    assert world.lets_in(22)
    proxy.news_delay = 60.0
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    proxy.news_delay = 0.0
    made = world.request(22, 600, wait=0)
    assert until(lambda: world.lets_in(22), 45), world.logs()
    assert world.port_of(made).state in ("opening", "open")


def test_a_slow_answer_is_counted_from_the_question(world: SmallWorld, proxy: SlowProxy) -> None:
    time.sleep(1.0)  # until no older question is on its way
    proxy.hints_only = True
    proxy.state_delay = 3.0
    began = time.monotonic()
    end = world.end_of(world.request(22, 9, wait=0))
    first, last = _open_from_to(world, 10.5)
    assert first - began > 2.0
    assert last < end + 0.25


def test_an_answer_that_took_half_a_minute_opens_nothing(
    world: SmallWorld, proxy: SlowProxy
) -> None:
    """It is not even waited for: an answer has twenty seconds in all, however it drips."""
    proxy.hints_only = True
    proxy.drip = 31.0
    made = world.request(22, 600, wait=0)
    before = proxy.states
    assert not until(lambda: world.lets_in(22), 22), "nothing of it opens anything"
    assert proxy.states == before, "it was given up"
    proxy.drip = 0.0
    assert until(lambda: world.lets_in(22), 35), "the next answer is fresh"
    assert world.port_of(made).state in ("opening", "open")


def test_replayed_states_open_and_lengthen_nothing(world: SmallWorld, proxy: SlowProxy) -> None:
    """Of the same generation: it does not lengthen. Of an older one: it does not open again."""
    proxy.hints_only = True
    end = world.end_of(world.request(22, 5))
    proxy.replay = proxy.last_state
    assert proxy.replay["leases"]
    old = proxy.replay
    for _ in range(4):
        _hears_again(world, proxy)
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    proxy.replay = None
    made = world.request(22, 600)
    assert world.lets_in(22)
    proxy.replay = proxy.last_state
    world.ask(lambda c: access.revoke(c, made, kill=False))
    assert world.lets_in(22, wait=0.05), "they may hold a revocation back, until the lease's end"
    proxy.replay = None
    world.wait_state(made, "closed", 30)
    proxy.replay = old
    _hears_again(world, proxy)
    assert not until(lambda: world.lets_in(22), 0.5), "an older generation"


def _hears_again(world: SmallWorld, proxy: SlowProxy) -> None:
    """A new agent, which asks at once, has its answer."""
    world.restart_agent(server=f"https://{INNER}:{PORT}")
    before = proxy.states
    assert until(lambda: proxy.states > before, 20), world.logs()


def test_a_server_whose_clock_is_set_back_an_hour(world: SmallWorld) -> None:
    if _FAKETIME is None:
        pytest.skip("needs libfaketime (Debian package faketime)")
    clock = world.folder / "clock"
    clock.write_text("+0\n")
    world.start_server(
        environment={
            "LD_PRELOAD": str(_FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    world.add_machine()
    world.set_rules(rule(22))
    world.start_agent()
    world.wait_enforced()
    made = world.request(22, 15)
    end = world.end_of(made)
    changed = clock.with_suffix(".new")  # libfaketime ends the program that reads half a file
    changed.write_text("-1h\n")
    changed.replace(clock)
    world.set_rules(rule(22), rule(2222))  # a new generation: the agent hears an hour more
    assert world.lets_in(22)
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    world.forget_connection()  # its token is from the future now
    assert until(world.is_served, 10)
    world.wait_state(made, "closed", 20)
    assert not world.lets_in(22)
    assert until(lambda: "clock differs by" in str(world.events("AgentReported")), 30)
    end = world.end_of(world.request(22, 10)) + 3600  # the server says it in its own time
    assert world.lets_in(22)
    sleep_until(end + 0.25)
    assert not world.lets_in(22), "a lease of the new time is as long as it was asked for"


def test_the_agents_own_clock_does_not_matter(world: SmallWorld) -> None:
    if _FAKETIME is None:
        pytest.skip("needs libfaketime (Debian package faketime)")
    world.start_server()
    world.add_machine()
    world.set_rules(rule(22))
    world.start_agent(
        prefix=("env", f"LD_PRELOAD={_FAKETIME}", "FAKETIME=-3h", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    )
    world.wait_enforced()
    made = world.request(22, 10)
    assert world.lets_in(22)
    sleep_until(world.end_of(made) + 0.25)
    assert not world.lets_in(22)
    assert until(lambda: "clock differs by" in str(world.events("AgentReported")), 10)
