"""What root opened counts from when it is known; what has ended unheard is no opening (EDGES E9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort
from bascule.domain.machine_access import AccessState
from bascule.domain.roles import Reach
from bascule.interfaces.exposure import ExposureFilter
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.openings import OpenFilter
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import LocalOpening, Report
from bascule.services import live_requests, machines
from bascule.services.exposure import PortExposure, Summary, exposure_of, moment_of, summarize
from bascule.services.listing import MachineRow, list_machines
from bascule.services.request_rights import Sight
from bascule.services.sweep import note_silence, sweep
from bascule.services.views import view_request
from tests.samples import SSH
from tests.unit.services_world import ANNA, World, rules

SHUT = frozenset({ClosedPort(SSH)})
ROOTS = LocalOpening("22/tcp", ("192.0.2.9",), 900, "local-1")
WHOLE = Sight(ANNA.principal_id, Reach(frozenset({""})))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def port(world: World) -> PortExposure:
    """The exposure of web-1's only port."""
    moment = moment_of(world.clock.wall)
    exposure = world.see(lambda reader: exposure_of(reader, moment, WHOLE, world.web.id))
    assert exposure is not None
    (only,) = exposure.ports
    return only


def summary(world: World) -> Summary:
    moment = moment_of(world.clock.wall)
    subscription = world.installation.subscription_id
    return world.see(lambda reader: summarize(reader, moment, None, subscription))


def row(world: World) -> MachineRow:
    now = world.clock.wall
    rows = world.see(lambda reader: list_machines(reader, ListFilter(), None, now))
    (found,) = [each for each in rows if each.machine.uid == world.web.uid]
    in_its_state = ListFilter(state=found.state)
    names = world.see(lambda reader: list_machines(reader, in_its_state, None, now))
    assert found.machine in [each.machine for each in names], "the filter says the same"
    return found


def fall_silent(world: World, seconds: float) -> None:
    world.clock.pass_time(seconds)
    world.do(sweep)
    world.do(lambda tx, act: note_silence(tx, act, None), None)


# -- what root opened --------------------------------------------------------------------------


def test_what_root_opened_before_its_port_was_shut_counts_from_when_it_is_known(
    world: World,
) -> None:
    """Each ``agent install`` over ssh makes such a one."""
    world.report(world.web, local_openings=(ROOTS,), held_locally=(ROOTS,))
    known_at = world.clock.wall
    assert summary(world).openings == 1
    world.put(rules(world.web, 22))
    world.clock.pass_time(60)
    later = replace(ROOTS, seconds=840)
    world.report(world.web, "local-1", closed=SHUT, held_locally=(later,))
    (shown,) = port(world).openings
    assert (shown.opening.ports, shown.opening.opened_at) == ((SSH,), known_at)
    assert shown.opening.ends_by == known_at + timedelta(seconds=900)
    told = summary(world)
    assert (told.openings, told.opened_machines, told.open_ports) == (1, 1, 1)
    found = row(world)
    assert found.state is AccessState.OPEN
    assert [each.id for each in found.by_root] == ["local-1"]
    world.report(world.web, closed=SHUT, held_locally=())
    assert port(world).openings == ()
    assert summary(world).openings == 0
    assert row(world).state is AccessState.CLOSED


def test_what_root_opened_on_a_machine_that_shuts_nothing_opens_nothing_there(
    world: World,
) -> None:
    """Whatever the host lets in can be reached anyway: the list says so."""
    world.report(world.web, held_locally=(ROOTS,))
    assert row(world).state is AccessState.NOTHING_CLOSED


def test_an_opening_that_is_told_again_writes_nothing(world: World) -> None:
    world.report(world.web, held_locally=(ROOTS,))
    before = world.see(lambda tx: tx.held_rules([world.web.uid]))
    world.clock.pass_time(20)
    world.report(world.web, held_locally=(replace(ROOTS, seconds=881),))
    assert world.see(lambda tx: tx.held_rules([world.web.uid])) == before


def test_an_end_that_moved_moves_here(world: World) -> None:
    """A host that was suspended: its timers stood still, and so did what is left."""
    world.report(world.web, held_locally=(ROOTS,))
    world.clock.pass_time(3600)
    world.report(world.web, held_locally=(replace(ROOTS, seconds=600),))
    (shown,) = port(world).openings
    assert shown.opening.ends_by == world.clock.wall + timedelta(seconds=600)


def test_the_report_brings_what_root_opened_over() -> None:
    for told in ((), (ROOTS,)):
        report = Report(3, frozenset(), held_locally=told)
        assert decode(Report, encode(report)).held_locally == told


# -- what has ended unheard ----------------------------------------------------------------------


@pytest.mark.parametrize("is_roots", [False, True])
def test_a_minute_after_its_end_what_is_unheard_counts_as_ended(
    world: World, is_roots: bool
) -> None:
    world.put(rules(world.web, 22))
    if is_roots:
        roots = replace(ROOTS, seconds=60)
        world.report(world.web, "local-1", closed=SHUT, held_locally=(roots,))
    else:
        grant = world.granted(world.web, seconds=60)
        world.report(world.web, grant.id, closed=SHUT)
    fall_silent(world, 60 + 59)
    assert [each.is_confirmed for each in port(world).openings] == [False]
    assert summary(world).openings == 1
    assert row(world).state is AccessState.NOT_CONFIRMED
    fall_silent(world, 1)
    assert port(world).openings == ()
    (ended,) = port(world).ended
    assert not ended.is_confirmed
    told = summary(world)
    assert (told.openings, told.opened_machines) == (0, 0)
    assert row(world).state is AccessState.OFFLINE
    assert row(world).grants == ()
    world.report(world.web, closed=SHUT, held_locally=())
    assert (port(world).openings, port(world).ended) == ((), ()), "it was read back shut"


def test_a_request_that_has_ended_unheard_says_so(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=60)
    world.report(world.web, grant.id, closed=SHUT)

    def state() -> str:
        now = world.clock.now()
        view = world.see(lambda reader: view_request(reader, grant.request_id, now))
        assert view is not None
        return view.state

    def counted(*, is_over: bool) -> int:
        wanted = OpenFilter(now=world.clock.now(), is_believed_over=is_over)
        found = world.see(lambda reader: reader.open_grants(wanted))
        counts = world.see(lambda reader: reader.open_counts(wanted))
        assert sum(counts.values()) == len(found)
        return len(found)

    fall_silent(world, 60 + 59)
    assert (state(), counted(is_over=False), counted(is_over=True)) == ("closing", 1, 0)
    fall_silent(world, 1)
    assert (state(), counted(is_over=False), counted(is_over=True)) == ("endedNotConfirmed", 0, 1)
    assert world.grant(grant).state is GrantState.CLOSING
    world.report(world.web, grant.id, closed=SHUT)
    assert state() == "closing", "the host was suspended: it lets in"
    assert counted(is_over=False) == 1
    world.report(world.web, closed=SHUT)
    assert state() == "closed"


def test_an_early_end_that_was_not_heard_counts_from_the_end_that_the_host_holds(
    world: World,
) -> None:
    """Revoked at a silent point, it lets in until its lease is over."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=600)
    world.report(world.web, grant.id, closed=SHUT)
    fall_silent(world, 60)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    fall_silent(world, 300)
    assert summary(world).openings == 1
    assert row(world).state is AccessState.NOT_CONFIRMED


def test_with_its_machine_it_goes(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=60)
    world.report(world.web, grant.id, closed=SHUT)
    fall_silent(world, 90)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    now = ExposureFilter(world.clock.wall, is_now=True)
    assert summary(world).openings == 0
    assert world.see(lambda r: r.openings_at([world.web.uid], now.at, is_now=True)) == {}
