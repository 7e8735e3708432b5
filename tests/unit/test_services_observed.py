"""What a point was last read back to hold, as it is kept from report to report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.agent.local_openings import MOST_TOLD, LocalOpenings
from bascule.domain.machine import ClosedPort
from bascule.errors import InvalidInput
from bascule.interfaces.plans import HeldRules
from bascule.interfaces.store import Reader
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import LocalOpening, Report
from tests.samples import SSH
from tests.unit.services_world import World

ROOTS = LocalOpening("22/tcp", ("192.0.2.9",), 900, "local-1")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def held(world: World) -> HeldRules | None:
    def read(reader: Reader) -> HeldRules | None:
        return reader.held_rules([world.web.uid]).get(world.web.uid)

    return world.see(read)


def test_the_id_of_a_local_opening_comes_from_the_host_to_the_server(tmp_path: Path) -> None:
    """By way of the agent's disk and the wire: else nobody could tell when it ended."""
    LocalOpenings(tmp_path).add(ROOTS)
    kept = LocalOpenings(tmp_path).pending()
    assert kept == (ROOTS,)
    told = encode(Report(3, frozenset(), local_openings=kept))
    assert decode(Report, told).local_openings == (ROOTS,)


def test_no_drift_crowds_out_what_root_opened() -> None:
    """The server takes so many notes of a report; the agent then forgets all that it sent."""
    kept = tuple(replace(ROOTS, id=f"local-{number}") for number in range(MOST_TOLD))
    report = Report(3, frozenset(), local_openings=kept, drift=("a rule is missing",) * 100)
    assert decode(Report, encode(report)).local_openings == kept


def test_one_of_an_older_agent_has_no_id(tmp_path: Path) -> None:
    (tmp_path / "local-openings.json").write_text(
        '[{"port": "22/tcp", "sources": ["192.0.2.9"], "seconds": 900}]'
    )
    (old,) = LocalOpenings(tmp_path).pending()
    assert old.id == ""


def test_a_report_that_says_nothing_new_keeps_what_was(world: World) -> None:
    world.report(world.web, closed=frozenset({ClosedPort(SSH)}))
    first = held(world)
    assert first is not None
    assert first.closed == {ClosedPort(SSH)}
    world.clock.pass_time(20)
    world.report(world.web, closed=frozenset({ClosedPort(SSH)}))
    assert held(world) == first
    world.report(world.web)
    after = held(world)
    assert after is not None
    assert after.closed == frozenset(), "what is not reported shut is not believed to be"


def test_a_local_opening_is_held_as_long_as_it_is_reported_in_force(world: World) -> None:
    world.report(world.web, "local-1", local_openings=(ROOTS,))
    world.report(world.web, "local-1")
    now = held(world)
    assert now is not None
    assert [each.id for each in now.local] == ["local-1"]
    assert now.local[0].ports == (SSH,)
    world.report(world.web)
    after = held(world)
    assert after is not None
    assert after.local == ()


def test_at_most_so_many_as_a_report_tells_of(world: World) -> None:
    world.report(world.web, *(f"local-{n}" for n in range(1000)))
    now = held(world)
    assert now is not None
    assert len(now.local) == 64


def test_a_new_key_begins_with_nothing(world: World) -> None:
    world.report(world.web, closed=frozenset({ClosedPort(SSH)}))
    world.enrol(world.web, "key-2", replaces=True)
    assert held(world) is None


LONGEST = 2**53 - 1  # the largest number that JSON carries exactly


def test_an_opening_of_any_length_is_taken_in(world: World) -> None:
    """Its end is within a year and a day: no report is refused for a number in it, whatever root
    or a broken agent says, since all else that it tells would be lost as well."""
    root = {"port": "22/tcp", "sources": ["192.0.2.9"], "seconds": LONGEST, "id": "local-1"}
    body = {"generation": 1, "inForce": ["local-1"], "localOpenings": [root]}
    report = decode(Report, body)
    world.report(world.web, *report.in_force, local_openings=report.local_openings)
    (opening,) = world.see(lambda tx: tx.held_rules([world.web.uid]))[world.web.uid].local
    assert opening.ends_at == world.clock.wall + timedelta(days=366)
    assert "OpenedLocally" in world.kinds()
    with pytest.raises(InvalidInput):
        decode(Report, {**body, "localOpenings": [{**root, "seconds": LONGEST + 1}]})
