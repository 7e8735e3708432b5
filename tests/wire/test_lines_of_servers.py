"""A point has one line over all servers on its database (EDGES H8): a newer one at another server takes
its place, and the older one settles nothing, is told nothing and is no contact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bascule.api.lines import Lines
from bascule.api.protocol import LineHouse
from bascule.domain.access import PrincipalKind
from bascule.domain.event import Event
from bascule.errors import Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.replicas import Replica
from bascule.interfaces.store import outdated
from bascule.protocol.frames import CloseCode
from bascule.protocol.line import Ask, Beat, Challenge, Hint, Refused, Taken
from bascule.protocol.report import Report
from bascule.services.act import Fitness, InstallationNumber, Services
from bascule.services.contacts import Contacts
from bascule.services.following import Following
from bascule.services.hub import Hub
from bascule.services.reports import take_report
from bascule.services.sweep import note_silence
from tests.wire.house import House
from tests.wire.line_world import LineWorld, Peer, key_of, line_world, public_of


class TwoServers:
    """Each has a hub, contacts and lines of its own; no hint goes between them by itself."""

    def __init__(self, world: LineWorld) -> None:
        self.world = world
        self.sides: list[tuple[Services, Lines, LineHouse]] = []
        alone = world.services
        for uid in ("first", "second"):
            here = Replica(uid, uid, f"https://{uid}", "1", "0100")
            world.services = replace(
                alone,
                hub=Hub(),
                contacts=Contacts(),
                replica=here,
                number=InstallationNumber(),
                fitness=Fitness(),
            )
            world.start()
            self.sides.append((world.services, world.lines, world.house))
        self.at(0)

    def at(self, side: int) -> LineWorld:
        world = self.world
        world.services, world.lines, world.house = self.sides[side]
        return world

    def catch_up(self, side: int) -> None:
        self.world.run(self.sides[side][1].catch_up())
        self.world.settle()


@pytest.fixture
def two() -> Iterator[TwoServers]:
    with line_world() as world:
        yield TwoServers(world)


@pytest.fixture
def older(two: TwoServers) -> Peer:
    """A line at the first server, of which all is known and settled."""
    peer = two.at(0).live()
    peer.report(peer.first_beat)
    return peer


def test_a_newer_line_at_another_server_ends_the_older(two: TwoServers, older: Peer) -> None:
    newer = two.at(1).live()
    assert not older.is_over, "nobody told the first server yet"
    two.catch_up(0)
    two.catch_up(1)
    assert older.close_code == CloseCode.REPLACED
    assert not newer.is_over
    assert (len(two.sides[0][1]), len(two.sides[1][1])) == (0, 1)


def test_a_hint_ends_it_at_once(two: TwoServers, older: Peer) -> None:
    two.at(1).live()

    async def hint() -> None:
        two.sides[0][1].wake([two.world.web.uid])

    two.world.run(hint())
    assert older.close_code == CloseCode.REPLACED


def test_other_points_keep_their_lines(two: TwoServers, older: Peer) -> None:
    key = key_of(3)
    two.world.enrol(two.world.db, public_of(key), replaces=True)
    other = two.at(1).connect(two.world.db.uid)
    other.prove(key, two.world.db.uid)
    two.catch_up(0)
    assert not older.is_over


def test_who_did_not_prove_the_point_ends_no_line_elsewhere(two: TwoServers, older: Peer) -> None:
    thief = two.at(1).connect()
    thief.say(thief.sign(key_of(9), "x" * 43))
    assert thief.is_over
    two.catch_up(0)
    assert not older.is_over


def test_a_server_that_was_paused_settles_nothing(two: TwoServers, older: Peer) -> None:
    """Its line got a report before the point proved itself elsewhere, and it works on it now."""
    beat = older.first_beat
    newer = two.at(1).live()
    newer.report(newer.first_beat, digest="n" * 64)
    answer = _report(older, beat, "o" * 64)
    assert answer is None
    assert older.close_code == CloseCode.REPLACED
    point = two.world.see(lambda r: r.point_standing(two.world.web.uid))
    assert point is not None
    assert point.acknowledged == "n" * 64


def _report(peer: Peer, beat: Beat, digest: str) -> Taken | Refused | None:
    try:
        return peer.report(beat, digest=digest)
    except ValueError:  # no answer
        return None


def test_a_server_that_was_paused_tells_nothing(two: TwoServers, older: Peer) -> None:
    two.at(1).live()
    older.say(Ask(older.nonce()))
    assert older.close_code == CloseCode.REPLACED
    assert older.heard() == []


def test_a_contact_of_the_older_line_is_not_stored(two: TwoServers, older: Peer) -> None:
    world = two.at(0)
    world.clock.pass_time(4)
    older.echo(older.beat())
    two.at(1).live()
    world.clock.pass_time(3)
    assert two.at(0).contact() == 7, "the report; the echo was 3 s ago"


def test_a_contact_of_the_newest_line_is_stored(two: TwoServers, older: Peer) -> None:
    world = two.at(1)
    newer = world.live()
    world.clock.pass_time(4)
    newer.echo(newer.beat())
    world.clock.pass_time(1)
    assert world.contact() == 1


def test_what_an_older_line_settled_last_is_known_to_the_newer(
    two: TwoServers, older: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was settled after the newer one's proof was read: an echo that names what was settled before
    would be taken for contact, although the database knows something newer.
    """
    claims = two.sides[1][1].claims
    claim = claims.claim

    async def late(uid: str) -> object:
        last = Report(older.line.generations[uid], frozenset(), digest="l" * 64)
        await two.sides[0][0].perform(lambda tx, act: take_report(tx, act, uid, last))
        return await claim(uid)

    monkeypatch.setattr(claims, "claim", late)
    newer = two.at(1).live()
    assert newer.welcome.acknowledged == "l" * 64


def test_without_the_database_no_line_begins(
    two: TwoServers, older: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two lines of a point could each believe to be its only one."""

    async def fail(_: str) -> None:
        raise Unavailable("The database cannot be written.")

    world = two.at(1)
    monkeypatch.setattr(world.lines.claims, "claim", fail)
    newer = world.connect()
    newer.say(newer.sign(world.key, newer.only(Challenge).text))
    assert newer.only(Refused).code != "AgentKeyRefused", "the agent keeps what it holds"
    assert newer.is_over
    assert not older.is_over


def test_a_server_that_is_too_old_ends_its_lines_and_begins_none(
    two: TwoServers, older: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another begins at a server that may go on (EDGES H6)."""
    world = two.at(0)

    async def refuse(services: Services, work: object) -> object:
        raise outdated("9.9")

    with monkeypatch.context() as patch:
        patch.setattr(Services, "read_few", refuse)
        world.run(Following(world.services).run())
    assert older.close_code == CloseCode.GOING_AWAY
    refused = world.connect()
    assert refused.is_over
    assert "503 Service Unavailable" in refused.head
    assert b"9.9" in refused.body
    assert not two.at(1).live().is_over


def test_what_comes_over_http_ends_lines_elsewhere(
    two: TwoServers, older: Peer, data_dir: Path
) -> None:
    """At a server whose lines are not alone."""
    uid, world = two.world.web.uid, two.world
    house = House(data_dir, store=world.store)
    house.state.lines.is_alone = False
    agent = house.client_of(house.token(uid, PrincipalKind.AGENT, public_of(world.key)))
    body = {"generation": older.line.generations[uid], "inForce": []}
    answer = agent.post(f"/bascule/points/{uid}/report", json=body)
    assert answer.status_code == 200, answer.text
    two.catch_up(0)
    assert older.close_code == CloseCode.REPLACED


def test_what_moves_while_a_line_begins_is_told(
    two: TwoServers, older: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its claim was written, and before it is one of those that are woken."""
    uid, (services, lines, _) = two.world.web.uid, two.sides[1]
    claim = lines.claims.claim

    async def late(point: str) -> object:
        found = await claim(point)
        await services.perform(lambda tx, _: tx.advance_generation(uid))
        await lines.catch_up()
        return found

    monkeypatch.setattr(lines.claims, "claim", late)
    newer = two.at(1).live()
    two.world.settle()
    assert newer.line.generations[uid] == older.line.generations[uid] + 1


def test_whoever_could_not_be_stored_for_long_is_asked_for_a_report(
    two: TwoServers, older: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server noted meanwhile that the point is silent; echoes alone do not end that."""
    world = two.at(0)
    world.contact()

    async def away(*_: object, **__: object) -> object:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.store), "write", away)
        for _ in range(8):
            world.clock.pass_time(4)
            older.echo(older.beat())
            with pytest.raises(Unavailable):
                world.run(world.services.store_contacts())
    two.at(1).do(lambda tx, act: note_silence(tx, act, None), None)
    assert two.at(0).contact() == 32
    two.catch_up(0)
    beat = older.beat()
    older.echo(beat)
    assert older.only(Hint).report
    older.report(beat)
    assert world.contact() == 0
    two.catch_up(0)
    older.echo(older.beat())
    assert older.all_of(Hint) == [], "once"


def test_the_record_names_no_address_for_a_newer_line_elsewhere(two: TwoServers) -> None:
    """It would be that of the older one, whose agent may be the right one."""
    for _ in range(6):
        peer = two.at(0).live()
        two.at(1).live()
        two.catch_up(0)
        assert peer.close_code == CloseCode.REPLACED
    (event,) = _contended(two)
    assert event.actor.principal_id == two.world.web.uid
    assert event.actor.address == ""


def test_a_line_is_replaced_once(two: TwoServers, older: Peer) -> None:
    async def replace_often() -> None:
        for _ in range(9):
            two.sides[0][1].replace(older.line)

    two.world.run(replace_often())
    assert older.close_code == CloseCode.REPLACED
    assert _contended(two) == []


def _contended(two: TwoServers) -> list[Event]:
    two.world.settle()
    wanted = EventFilter(kinds=("AgentsContended",))
    return [event for _, event in two.world.see(lambda r: r.events(wanted, limit=10))]


def test_claims_that_come_together_are_one_transaction(two: TwoServers) -> None:
    services, lines, _ = two.sides[0]
    asked: list[int] = []
    perform = type(services).perform

    async def run() -> list[object]:
        return list(
            await asyncio.gather(*(lines.claims.claim(each) for each in (uid, db, "none", uid)))
        )

    async def counted(self: Services, *given: object, **more: object) -> object:
        asked.append(1)
        return await perform(self, *given, **more)  # type: ignore[arg-type]  # reason: as given

    uid, db = two.world.web.uid, two.world.db.uid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(services), "perform", counted)
        found = two.world.run(run())
    assert len(asked) == 1
    assert [getattr(each, "number", None) for each in found] == [1, 2, None, 1]


def test_a_server_that_is_alone_claims_nothing() -> None:
    with line_world() as world:
        peer = world.live()
        assert world.see(lambda r: r.line_number(world.web.uid)) == 0
        assert peer.line.number == 0
