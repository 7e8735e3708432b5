"""When ports were kept shut and when they let somebody in, as reports tell it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from bascule.domain.actions import MACHINE_READ
from bascule.domain.exposure import PortTime, SpanKind
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import ClosedPort
from bascule.domain.roles import Reach
from bascule.errors import InvalidInput
from bascule.interfaces.store import Reader
from bascule.protocol.report import LocalOpening
from bascule.services import live_requests, machines
from bascule.services.exposure import (
    MachineExposure,
    Summary,
    exposed,
    moment_of,
    summarize,
)
from bascule.services.grants import end_grants
from bascule.services.request_rights import Sight
from bascule.services.rights import rights_of
from bascule.services.sweep import next_due, sweep
from bascule.services.timeline import follow
from tests.samples import DNS, SSH
from tests.unit.services_world import ANNA, World, rules

SHUT = frozenset({ClosedPort(SSH)})
MINUTE = timedelta(minutes=1)
WHOLE = Sight(ANNA.principal_id, Reach(frozenset({""})))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22))
    yield made
    made.close()


def look(
    world: World, at: datetime | None = None, only: SpanKind | None = None
) -> dict[str, MachineExposure]:
    moment = moment_of(world.clock.wall, at)

    def read(reader: Reader) -> list[MachineExposure]:
        return exposed(reader, moment, WHOLE, None, only)

    return {each.id.name: each for each in world.see(read)}


def summary(world: World, within: Reach | None = None) -> Summary:
    moment = moment_of(world.clock.wall)
    subscription = world.installation.subscription_id
    return world.see(lambda reader: summarize(reader, moment, within, subscription))


def hours(world: World) -> tuple[PortTime, PortTime]:
    """Of web-1 by its spans, and of everything by the hour; the others keep nothing shut."""
    single = Reach(frozenset({world.web.id.key}))
    assert summary(world, single).time == look(world)["web-1"].time
    return look(world)["web-1"].time, summary(world).time


def test_what_is_wanted_shut_is_not_shut_before_it_is_read_back(world: World) -> None:
    (port,) = look(world)["web-1"].ports
    assert (port.is_closed, port.is_wanted, port.since) == (False, True, None)
    assert look(world)["web-1"].is_bare
    world.report(world.web, closed=SHUT)
    (port,) = look(world)["web-1"].ports
    assert (port.is_closed, port.is_wanted, port.since) == (True, False, world.clock.wall)
    assert list(look(world, only=SpanKind.BARE)) == ["db-1"]


def test_a_report_that_says_nothing_new_ends_and_begins_nothing(world: World) -> None:
    world.report(world.web, closed=SHUT)
    begun = world.clock.wall
    world.clock.pass_time(20)
    world.report(world.web, closed=SHUT)
    assert look(world)["web-1"].ports[0].since == begun


def test_a_port_is_open_from_being_read_back_open_to_being_read_back_shut(world: World) -> None:
    world.report(world.web, closed=SHUT)
    world.clock.pass_time(60)
    grant = world.granted(world.web)
    assert not look(world)["web-1"].ports[0].openings, "asked for, and not open yet"
    world.report(world.web, grant.id, closed=SHUT)
    opened_at = world.clock.wall
    world.clock.pass_time(60)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    assert look(world)["web-1"].ports[0].openings, "revoked, and not shut yet"
    world.clock.pass_time(1)
    world.report(world.web, closed=SHUT)
    closed_at = world.clock.wall
    world.clock.pass_time(59)
    assert hours(world) == (PortTime(3 * MINUTE, closed_at - opened_at),) * 2
    for at, number in (
        (opened_at - timedelta(seconds=1), 0),
        (opened_at, 1),
        (closed_at - timedelta(seconds=1), 1),
        (closed_at, 0),
    ):
        assert len(look(world, at)["web-1"].ports[0].openings) == number
        assert len(look(world, at, SpanKind.OPEN)) == number


def test_two_leases_of_one_port_are_one_port_open(world: World) -> None:
    world.report(world.web, closed=SHUT)
    first = world.granted(world.web, source="192.0.2.10")
    world.report(world.web, first.id, closed=SHUT)
    world.clock.pass_time(60)
    second = world.granted(world.web, source="192.0.2.20")
    world.report(world.web, first.id, second.id, closed=SHUT)
    world.clock.pass_time(60)
    assert hours(world) == (PortTime(2 * MINUTE, 2 * MINUTE),) * 2
    assert summary(world).open_ports == 1


def test_a_lease_ends_on_time_whoever_is_silent_and_is_shown_until_read_back(
    world: World,
) -> None:
    world.report(world.web, closed=SHUT)
    grant = world.granted(world.web)
    world.report(world.web, grant.id, closed=SHUT)
    assert world.see(lambda reader: next_due(reader, world.clock.wall)) == grant.ends_at
    length = grant.ends_at - world.clock.wall
    world.clock.pass_time(length.total_seconds() + 3600)
    world.do(sweep)
    single, whole = hours(world)
    assert single == whole
    assert single.opened == length
    (port,) = look(world)["web-1"].ports
    assert port.openings == ()
    assert [each.is_confirmed for each in port.ended] == [False]
    assert summary(world).open_ports == 0
    world.report(world.web, closed=SHUT)
    assert not look(world)["web-1"].ports[0].ended
    assert hours(world)[0].opened == length, "what is read back late lengthens nothing"


def history(world: World) -> object:
    """All that is so now: the spans and openings of web-1, and the numbers of the whole."""
    now = summary(world)
    return (
        world.see(lambda reader: set(reader.current_spans(world.web.uid))),
        world.see(lambda reader: reader.current_openings(world.web.uid)),
        (now.closed_ports, now.open_ports, now.bare_machines),
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_report_writes_what_reading_the_whole_history_would_write(
    world: World, seed: int
) -> None:
    """It follows what it has settled, and reads the rest only when what is closed has changed."""
    chance = random.Random(seed)
    root = LocalOpening("22/tcp", ("192.0.2.9",), 900, "local-1")
    world.report(world.web, closed=SHUT)
    for _ in range(40):
        now = world.see(lambda reader: reader.unsettled_grants(world.web.uid))
        live = [each for each in now if each.is_live]
        step = chance.choice(("ask", "ask", "revoke", "extend", "time", "sweep", "report"))
        if step == "ask" and len(now) < 6:
            world.granted(world.web, source=f"192.0.2.{chance.randrange(1, 200)}")
        elif step == "revoke" and live:
            gone = chance.choice(live)
            world.do(lambda tx, act: end_grants(tx, act, [gone], StatusReason.EXPIRED, "over"))  # noqa: B023  # reason: run at once
        elif step == "extend" and live:
            longer = chance.choice(live)
            end = max(longer.ends_at, world.clock.wall) + MINUTE
            world.do(
                lambda tx, act: live_requests.extend(tx, act, longer.request_id, end, "text", ANNA)  # noqa: B023  # reason: run at once
            )
        elif step == "time":
            world.clock.pass_time(chance.choice((1, 45, 700)))
        elif step == "sweep":
            world.do(sweep)
        held = [each.id for each in now if each.is_live or chance.random() < 0.2]
        held = [each for each in held if chance.random() < 0.9]
        ends = {each: timedelta(seconds=chance.choice((5, 4000))) for each in held}
        roots = chance.random() < 0.3
        world.report(
            world.web,
            *held,
            *(["local-1"] if roots else []),
            closed=chance.choice((SHUT, SHUT, SHUT, SHUT | {ClosedPort(DNS)}, frozenset())),
            local_openings=(root,) if roots else (),
            ends=ends if chance.random() < 0.3 else {},
        )
        after = history(world)
        world.do(lambda tx, act: follow(tx, act, world.web))
        assert history(world) == after


def test_an_extension_moves_the_end(world: World) -> None:
    world.report(world.web, closed=SHUT)
    grant = world.granted(world.web)
    world.report(world.web, grant.id, closed=SHUT)
    longer = grant.ends_at + 30 * MINUTE
    world.do(lambda tx, act: live_requests.extend(tx, act, grant.request_id, longer, "text", ANNA))
    assert world.see(lambda reader: next_due(reader, world.clock.wall)) == longer
    world.clock.pass_time((longer - world.clock.wall).total_seconds() - 1)
    world.do(sweep)
    assert summary(world).open_ports == 1
    assert look(world)["web-1"].ports[0].openings[0].opening.ends_by == longer


def test_what_root_opens_on_the_host_is_an_opening(world: World) -> None:
    told = LocalOpening("22/tcp", ("192.0.2.9",), 900, "local-1")
    world.report(world.web, "local-1", closed=SHUT, local_openings=(told,))
    (shown,) = look(world)["web-1"].ports[0].openings
    assert shown.opening.requestor == "root on the host"
    assert not shown.opening.request_id
    world.clock.pass_time(60)
    world.report(world.web, closed=SHUT)
    assert not look(world)["web-1"].ports[0].openings
    assert hours(world)[0].opened == MINUTE


def test_a_port_that_is_no_longer_read_back_shut_is_told_as_not_shut_since_then(
    world: World,
) -> None:
    both = frozenset({ClosedPort(SSH), ClosedPort(DNS)})
    world.report(world.web, closed=both)
    world.clock.pass_time(60)
    world.report(world.web, closed=SHUT)
    by_port = {each.port: each for each in look(world)["web-1"].ports}
    assert by_port[SSH].is_closed
    assert not by_port[DNS].is_closed
    assert by_port[DNS].since == world.clock.wall
    assert not by_port[DNS].is_wanted, "it was closed by its agent's word alone (EDGES E7)"


def test_a_new_key_begins_with_nothing_read_back(world: World) -> None:
    world.report(world.web, closed=SHUT)
    world.enrol(world.web, "key-2", replaces=True)
    assert look(world)["web-1"].is_bare
    assert summary(world).closed_ports == 0


def test_a_machine_that_is_deleted_is_told_of_the_time_when_it_was(world: World) -> None:
    world.report(world.web, closed=SHUT)
    then = world.clock.wall
    world.clock.pass_time(60)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    assert list(look(world)) == ["db-1"]
    assert list(look(world, then)) == ["db-1", "web-1"]
    now = summary(world)
    assert (now.machines, now.bare_machines, now.closed_ports) == (1, 1, 0)
    assert now.time == PortTime(MINUTE)


def test_a_silent_agent_is_told(world: World) -> None:
    world.report(world.web, closed=SHUT)
    heard = world.clock.wall
    world.clock.pass_time(31)
    found = look(world)
    assert found["web-1"].silent_since == heard
    assert look(world, heard)["web-1"].silent_since is None, "of the past it is not asked"


def test_what_is_added_up_begins_seven_days_before_and_on_the_hour(world: World) -> None:
    now = world.clock.wall.replace(minute=17)
    usual = moment_of(now)
    assert usual.since == (now - timedelta(days=6)).replace(hour=0, minute=0)
    assert (usual.at, usual.until, usual.is_now) == (now, now, True)
    past = moment_of(now, now - timedelta(days=1), now - timedelta(days=2))
    assert past.until == (now - timedelta(days=1)).replace(hour=13, minute=0)
    assert past.since == (now - timedelta(days=2)).replace(minute=0)
    assert not past.is_now
    with pytest.raises(InvalidInput, match="is in the future"):
        moment_of(now, now + MINUTE)
    with pytest.raises(InvalidInput, match="must be before"):
        moment_of(now, since=now.replace(minute=0), until=now.replace(minute=0))
    with pytest.raises(InvalidInput, match="at most"):
        moment_of(now, since=now - timedelta(days=400))


def test_days_add_up_to_the_whole(world: World) -> None:
    world.report(world.web, closed=SHUT)
    world.clock.pass_time(3 * 86_400 + 1234)
    found = summary(world)
    assert sum((day.time for day in found.days), PortTime()) == found.time
    assert found.time.kept == timedelta(days=3, seconds=1234)
    assert found.days[-1].end == world.clock.wall
    assert len(found.days) == 4


def test_rights_decide_which_machines_are_counted(world: World) -> None:
    world.report(world.web, closed=SHUT)
    rights = world.see(lambda reader: rights_of(reader, ANNA.principal_id, world.clock.wall))
    assert summary(world, rights.reach(MACHINE_READ)).machines == 2
    nothing = summary(world, Reach(frozenset()))
    assert (nothing.machines, nothing.closed_ports, nothing.time) == (0, 0, PortTime())
