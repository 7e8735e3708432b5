"""What somebody may do to a line that is not theirs, and what an unlucky moment may do to any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bascule.api import line as api_line
from bascule.api.arrivals import OWN, Arrivals
from bascule.api.line_answers import answer
from bascule.domain.bindings import Binding
from bascule.interfaces.store import Transaction
from bascule.protocol.frames import Opcode, frame
from bascule.protocol.line import LARGEST_UNPROVED, Echo, Hint, Reported, Told
from bascule.protocol.line import write as written
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.bindings import bind
from tests.unit.services_world import ANNA, rules
from tests.wire.house import House
from tests.wire.line_world import READ, LineWorld, Peer, key_of, line_world, public_of


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
    peer.heard()
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


# -- somebody else with the key


def test_after_a_report_by_another_way_the_line_is_asked_for_its_own(
    world: LineWorld, peer: Peer
) -> None:
    """Whoever has stolen the key may name the digest of the honest agent's report."""
    peer.echo(peer.beat())
    assert not peer.heard()
    world.clock.pass_time(5)
    world.report(world.web, digest=READ, agent_version="another")
    world.lines.was_reported(world.web.uid)
    world.clock.pass_time(5)
    peer.echo(peer.beat())
    assert peer.only(Hint).report
    peer.report(peer.beat())
    peer.echo(peer.beat())
    assert not peer.heard()


def test_a_report_that_is_settled_when_its_line_is_over_is_told_to_the_newer_one(
    world: LineWorld, peer: Peer
) -> None:
    older = peer.line
    newer = world.live()
    newer.echo(newer.beat())
    assert not newer.heard()
    report = Report(1, frozenset(), digest="late")
    world.run(answer(world.lines, older, Reported("r", 0, report), world.clock.monotonic()))
    newer.echo(newer.beat())
    assert newer.only(Hint).report


def test_a_report_over_http_is_such_a_report(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    told: list[str] = []
    monkeypatch.setattr(house.state.lines, "was_reported", told.append)
    path = f"/bascule/points/{uid}/report"
    assert agent.post(path, json={"generation": -1, "inForce": []}).status_code == 400
    assert told == []
    assert agent.post(path, json={"generation": 1, "inForce": []}).status_code == 200
    assert told == [uid]


# -- somebody with many keys


def half(size: int, of: int = 1_000_000) -> bytes:
    """The beginning of a message."""
    whole = frame(Opcode.TEXT, b"{" + b" " * of, is_masked=True)
    return whole[:size]


@pytest.fixture
def many(world: LineWorld) -> list[Peer]:
    """Proved lines of four points."""
    peers = []
    for number in range(4):
        machine = world.add_machine(f"many-{number}", f"10.9.9.{number + 1}")
        world.enrol(machine, public_of(key_of(9)), replaces=True)
        peer = world.connect(machine.uid)
        peer.prove(key_of(9), machine.uid)
        peers.append(peer)
    return peers


def test_half_messages_of_many_lines_fill_no_memory(world: LineWorld, many: list[Peer]) -> None:
    """Whoever keeps most loses; what an honest agent sends is out of the question."""
    world.lines.arrivals = Arrivals(in_all=1_000_000)
    small = world.live()
    small.send(half(OWN // 2))
    for peer, size in zip(many, (400_000, 500_000, 300_000, 100_000), strict=True):
        peer.send(half(size))
    assert [each.transport.is_aborted for each in many] == [False, True, False, False]
    assert not small.is_over
    assert world.lines.arrivals.total <= 1_000_000
    assert many[1].line._frames.kept == 0
    for peer in (small, *many):
        peer.line.connection_lost(None)
    assert world.lines.arrivals.total == 0


def test_a_report_counts_until_it_is_answered(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = []

    async def note(*asked: Any) -> None:
        totals.append(world.lines.arrivals.total)
        await answer(*asked)

    monkeypatch.setattr(api_line, "answer", note)
    ids = frozenset(f"{number:036}" for number in range(20_000))
    text = frame(Opcode.TEXT, written(Reported("r", 0, Report(1, ids))), is_masked=True)
    peer.send(text[:OWN])
    assert world.lines.arrivals.total == 0, "each line's own"
    peer.send(text[OWN:-1])
    assert len(text) - OWN - 20 < world.lines.arrivals.total < len(text) - OWN
    peer.send(text[-1:])
    (kept,) = totals
    assert len(text) - OWN - 20 < kept < len(text) - OWN
    assert world.lines.arrivals.total == 0
    assert not peer.is_over


def test_a_connection_that_lingers_after_its_line_has_its_place(
    world: LineWorld, peer: Peer
) -> None:
    """Else somebody who lets connections linger has more of them than there are places."""
    peer.transport.lingers = True
    peer.send(frame(Opcode.TEXT, b"[]", is_masked=True))
    assert peer.is_over
    assert not len(world.lines)
    assert len(world.crowd) == 1
    peer.line.connection_lost(None)
    assert not len(world.crowd)


# -- unlucky moments


def test_news_that_a_fault_kept_back_is_told_with_the_next_beat(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was taken away may be the news."""
    peer.echo(peer.beat())

    def fail(*_: object) -> None:
        raise ValueError("a damaged row")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.store), "read_few", fail)
        world.put(rules(world.web, 22))
        peer.tick()
        assert not peer.all_of(Told)
    peer.tick()
    assert peer.only(Told).state.desired.closed


def test_an_answer_that_was_read_before_newer_news_does_not_take_it_back(
    world: LineWorld, peer: Peer
) -> None:
    peer.echo(peer.beat())
    before = peer.line.generations[world.web.uid]
    world.put(rules(world.web, 22))
    peer.only(Told)
    peer.line.was_told(world.web.uid, before)
    assert peer.beat().generations == {world.web.uid: before + 1}


def test_what_comes_when_a_line_is_over_counts_for_nothing(world: LineWorld, peer: Peer) -> None:
    world.clock.pass_time(4)
    beat, line = peer.beat(), peer.line
    world.live()
    echo = Echo(beat.number, "n" * 32, beat.generations, READ, READ)

    async def arrive() -> None:
        line.data_received(frame(Opcode.TEXT, written(echo), is_masked=True))

    world.run(arrive())
    assert world.contact() == 4


def test_pings_do_not_keep_a_message_open(world: LineWorld, peer: Peer) -> None:
    text = frame(Opcode.TEXT, b"{", is_masked=True)
    peer.send(b"\x01" + text[1:])
    for _ in range(4):
        world.clock.pass_time(9)
        peer.send(frame(Opcode.PING, b"", is_masked=True))
        peer.tick()
    assert peer.transport.is_aborted


def test_no_line_begins_with_http_1_0(world: LineWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    send = Peer.send
    monkeypatch.setattr(Peer, "send", lambda peer, data: send(peer, data.replace(b"1.1", b"1.0")))
    peer = world.connect()
    assert peer.is_over
    assert peer.head.startswith("HTTP/1.1 400 ")
