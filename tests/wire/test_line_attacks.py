"""What somebody may do to a line that is not theirs, and what an unlucky moment may do to any."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.bindings import Binding
from bascule.interfaces.store import Transaction
from bascule.protocol.line import LARGEST_UNPROVED, Hint, Told
from bascule.protocol.line import write as written
from bascule.services.act import Act
from bascule.services.bindings import bind
from tests.unit.services_world import ANNA, rules
from tests.wire.line_world import LineWorld, Peer, line_world


@pytest.fixture
def world() -> Iterator[LineWorld]:
    with line_world() as made:
        yield made


@pytest.fixture
def peer(world: LineWorld) -> Peer:
    """A line that was proved, of a point that has reported."""
    made = world.live()
    made.report(made.first_beat)
    return made


# -- the owner of another machine, who may bind it to any point


def test_of_a_machine_that_the_agent_does_not_hold_no_state_is_pushed(
    world: LineWorld, peer: Peer
) -> None:
    """An agent of one machine ends its line at the state of another (EDGES E4)."""
    world.do(lambda tx, act: bind(tx, act, ANNA, world.db.id, world.web.uid))
    peer.echo(peer.beat(), generations={world.web.uid: 1})
    peer.heard()
    world.put(rules(world.db, 22))
    assert peer.only(Hint).machine == world.db.uid
    peer.ask(machine=world.db.uid)
    world.put(rules(world.db, 22, 80))
    assert peer.only(Told).machine == world.db.uid


def test_many_bound_machines_do_not_keep_a_point_from_its_line(world: LineWorld) -> None:
    """A Welcome has as many bytes as any message before the proof; a map has its bound."""
    uids = [
        world.add_machine(f"bound-{n}", f"10.1.{n // 250}.{n % 250 + 1}").uid for n in range(120)
    ]

    def bind_all(tx: Transaction, act: Act) -> None:
        for uid in uids:
            tx.put_binding(Binding(uid, world.web.uid, act.now))

    world.do(bind_all)
    peer = world.connect()
    welcome = peer.prove(world.key)
    assert len(written(welcome)) <= LARGEST_UNPROVED
    assert world.web.uid in welcome.generations
    assert set(peer.first_beat.generations) == {world.web.uid, *uids}
