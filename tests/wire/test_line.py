"""The line as an agent meets it: proof, beats, contact, states, reports; and as nobody should."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bascule.api.line import Line
from bascule.api.protocol import PatientProtocol
from bascule.api.turns import Turn
from bascule.domain.lifecycle import GrantState
from bascule.errors import InvalidInput, Unavailable
from bascule.interfaces.store import Transaction
from bascule.protocol.frames import CloseCode, Opcode, close_frame, frame
from bascule.protocol.line import (
    BEAT_SECONDS,
    FRESH_SECONDS,
    NO_BEAT,
    Ask,
    Beat,
    Challenge,
    Echo,
    Expect,
    Hint,
    Proof,
    Record,
    Refused,
    Taken,
    Told,
    Welcome,
    write,
)
from bascule.services.act import MOST_EXPECTED, Act, Services
from bascule.services.bindings import bind, unbind
from bascule.services.fleet import remove_point
from bascule.services.seal import seal
from bascule.services.sweep import note_silence
from tests.support.statements import statements
from tests.unit.services_world import ANNA, rules
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


# -- the handshake ------------------------------------------------------------------------


def test_a_connection_becomes_a_line_and_is_challenged(world: LineWorld) -> None:
    peer = world.connect()
    challenge = peer.only(Challenge)
    assert peer.head.startswith("HTTP/1.1 101 ")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in peer.head
    assert "Sec-WebSocket-Extensions" not in peer.head
    assert len(challenge.text) >= 43


def test_what_spoke_http_is_freed_when_the_line_begins(world: LineWorld) -> None:
    """Without the collector: otherwise each connection, and its buffers of TLS, would fill the memory."""
    gc.disable()
    try:
        before = _protocols()
        peer = world.connect()
        assert not peer.is_over
        assert _protocols() == before
    finally:
        gc.enable()


def _protocols() -> int:
    return sum(isinstance(each, PatientProtocol) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Origin: https://localhost\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Sec-WebSocket-Version: 8\r\n", 400),  # beside the right one
        ("Content-Length: 5\r\n", 400),
        ("Host: other\r\n", 421),
    ],
)
def test_what_is_no_agents_handshake_is_refused(
    world: LineWorld, headers: str, status: int
) -> None:
    peer = world.connect(headers=headers)
    assert peer.is_over
    assert peer.head.startswith(f"HTTP/1.1 {status} ")
    assert not len(world.lines)


def test_another_path_becomes_no_line(world: LineWorld) -> None:
    for path in (
        "/bascule/points/x/line?y=1",
        "/bascule/points/x/state",
        "/bascule/points/a%2Fb/line",
    ):
        peer = world.connect(path=path)
        assert not peer.heard()
        assert " 101 " not in peer.head


# -- the proof ----------------------------------------------------------------------------


def test_a_proof_is_welcomed_and_beaten(world: LineWorld) -> None:
    peer = world.connect()
    welcome = peer.prove(world.key)
    assert welcome.connection
    assert welcome.acknowledged == ""
    assert 1 <= welcome.come_back_seconds <= 60
    assert welcome.proof_seconds == 600
    assert welcome.server_time == world.clock.wall
    generation = world.see(lambda reader: reader.generation(world.web.uid))
    assert welcome.generations == peer.first_beat.generations == {world.web.uid: generation}
    assert len(world.lines) == 1


def test_whose_proof_is_not_by_the_points_key_is_refused(world: LineWorld) -> None:
    elsewhere = world.connect().only(Challenge).text
    for key, challenge, uid in (
        (key_of(9), "", ""),
        (world.key, elsewhere, ""),
        (world.key, "", world.db.uid),
    ):
        peer = world.connect()
        own = peer.only(Challenge).text
        peer.say(peer.sign(key, challenge or own, uid))
        assert peer.only(Refused).code == "AgentKeyRefused"
        assert peer.close_code == CloseCode.CREDENTIAL_REVOKED
    for signature in ("A" * 86, "no signature at all ÿ", ""):
        peer = world.connect()
        peer.heard()
        peer.say(Proof(signature))
        assert peer.only(Refused).code == "AgentKeyRefused"
    assert not len(world.lines)


def test_a_key_proves_its_own_point_alone(world: LineWorld) -> None:
    peer = world.connect(world.db.uid)
    peer.say(peer.sign(world.key, peer.only(Challenge).text, world.db.uid))
    assert peer.only(Refused).code == "AgentKeyRefused"
    unknown = world.connect("00000000-0000-4000-8000-000000000000")
    unknown.say(unknown.sign(world.key, unknown.only(Challenge).text, "0"))
    assert unknown.only(Refused).code == "AgentKeyRefused"


def test_a_proof_is_taken_once(world: LineWorld) -> None:
    peer = world.connect()
    proof = peer.sign(world.key, peer.only(Challenge).text)
    peer.say(proof)
    peer.only(Welcome)
    peer.say(proof)
    assert peer.close_code == CloseCode.PROTOCOL_ERROR

    again = world.connect()
    again.heard()
    again.say(proof)  # replayed on another connection
    again.only(Refused)


def test_nothing_is_taken_before_the_proof(world: LineWorld) -> None:
    for message in (
        Ask("n" * 32),
        Echo(1, "n" * 32, {}, READ, READ),
    ):
        peer = world.connect()
        peer.heard()
        peer.say(message)
        assert peer.close_code == CloseCode.POLICY
        assert not peer.all_of(Told)


def test_a_proof_is_renewed_or_ends(world: LineWorld, peer: Peer) -> None:
    world.clock.pass_time(545)
    peer.tick()
    challenge = peer.only(Challenge)
    peer.say(peer.sign(world.key, challenge.text))
    assert peer.only(Welcome).acknowledged == READ
    world.clock.pass_time(500)
    peer.beat()
    world.clock.pass_time(50)
    peer.tick()
    peer.only(Challenge)  # is not answered
    world.clock.pass_time(60)
    peer.tick()
    assert peer.close_code == CloseCode.PROOF_ENDED
    assert not len(world.lines)


def test_a_key_that_was_replaced_renews_nothing(world: LineWorld, peer: Peer) -> None:
    """The change is not told here (another process made it), and the renewal finds it."""
    world.lines.follow(peer.line, {})
    world.enrol(world.web, public_of(key_of(2)), replaces=True)
    world.clock.pass_time(545)
    peer.tick()
    peer.say(peer.sign(key_of(2), peer.only(Challenge).text))
    assert peer.only(Refused).code == "AgentKeyRefused"


# -- who holds a line ---------------------------------------------------------------------


def test_a_newer_line_of_a_point_replaces_the_older(world: LineWorld, peer: Peer) -> None:
    newer = world.live()
    assert peer.close_code == CloseCode.REPLACED
    assert not newer.is_over
    assert len(world.lines) == 1


def test_lines_that_replace_each_other_go_on_record_in_bounded_number(world: LineWorld) -> None:
    for _ in range(6):
        world.live()
    assert "AgentsContended" not in world.kinds()
    for _ in range(9):
        world.live()
    assert world.kinds().count("AgentsContended") == 1
    world.clock.pass_time(61)
    for _ in range(9):
        world.live()
    assert world.kinds().count("AgentsContended") == 2


def test_who_did_not_prove_a_point_ends_nobodys_line(world: LineWorld, peer: Peer) -> None:
    for _ in range(9):
        thief = world.connect()
        thief.say(thief.sign(key_of(9), thief.only(Challenge).text))
    assert not peer.is_over
    assert "AgentsContended" not in world.kinds()


@pytest.mark.parametrize("how", ["removed", "enrolled again", "elsewhere"])
def test_a_key_that_is_taken_away_ends_its_line_and_no_other(
    world: LineWorld, peer: Peer, how: str
) -> None:
    db_key = key_of(3)
    world.enrol(world.db, public_of(db_key), replaces=True)
    other = world.connect(world.db.uid)
    other.prove(db_key, world.db.uid)
    if how == "elsewhere":  # another process did it: there is no wake-up, but the number moved
        world.services.hub._on_wake.clear()
    if how == "enrolled again":
        world.enrol(world.web, public_of(key_of(2)), replaces=True)
    else:
        world.do(lambda tx, act: remove_point(tx, act, ANNA, world.web.uid))
    if how == "elsewhere":
        assert not peer.is_over
        world.run(world.lines.catch_up())
    assert peer.only(Refused).code == "AgentKeyRefused"
    assert peer.close_code == CloseCode.CREDENTIAL_REVOKED
    assert not other.is_over


def test_a_stopping_server_says_so(world: LineWorld, peer: Peer) -> None:
    silent = world.connect()
    world.services.hub.close()
    assert peer.close_code == CloseCode.GOING_AWAY
    assert silent.close_code == CloseCode.GOING_AWAY
    assert world.connect().close_code == CloseCode.GOING_AWAY


@pytest.fixture
def ended(world: LineWorld) -> list[str]:
    """Has the turn ended in which the next connections come up?"""
    found: list[str] = []
    world.turn = Turn(lambda: found.append("ended"))
    return found


def test_a_connection_has_its_turn_until_its_agent_is_welcome(
    world: LineWorld, ended: list[str]
) -> None:
    """Others are let in when it was: else thousands that come together wait for their welcome."""
    peer = world.connect()
    challenge = peer.only(Challenge).text
    assert not ended
    peer.say(peer.sign(world.key, challenge))
    assert len(peer.all_of(Welcome)) == 1
    assert ended


@pytest.mark.parametrize("how", ["refused", "lost", "ended"])
def test_a_turn_ends_with_its_line(world: LineWorld, ended: list[str], how: str) -> None:
    peer = world.connect()
    challenge = peer.only(Challenge).text
    peer.transport.lingers = how != "lost"  # the connection lives on
    if how == "refused":
        peer.say(peer.sign(key_of(9), challenge))
    elif how == "ended":
        peer.say(Ask("nonce-1234567890123456"))
    else:
        peer.transport.abort()
    world.settle()
    world.run(asyncio.sleep(0))
    assert ended


def test_a_turn_ends_with_the_headers_of_another_request(
    world: LineWorld, ended: list[str]
) -> None:
    world.connect(path="/")
    assert ended


def test_an_agent_that_waits_for_an_answer_is_seen(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer connections come up while one waits for long (``turns``)."""
    lags = slow_by(0.7, world, monkeypatch)
    peer = world.connect()
    peer.prove(world.key)
    assert lags.pop() == pytest.approx(0.7)
    peer.ask()
    assert lags.pop() == pytest.approx(0.7)
    peer.report(peer.beat())
    assert lags.pop() == pytest.approx(0.7)
    assert world.lines.lag == 0.0


def test_a_proof_that_fails_is_waited_for_no_longer(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_by(0.7, world, monkeypatch)
    peer = world.connect()
    peer.say(peer.sign(key_of(9), peer.only(Challenge).text))
    assert peer.is_over
    assert world.lines.lag == 0.0


def test_a_report_that_may_wait_lets_no_fewer_in(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of counters alone waits behind what people wait for, for as long as all are scanned."""
    peer.report(peer.beat())
    lags = slow_by(0.7, world, monkeypatch)
    peer.report(peer.beat())
    assert lags == [0.0]


def slow_by(seconds: float, world: LineWorld, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """From now on what lines do in the store takes so long; the lag after each, the last at the end."""
    lags: list[float] = []

    def slowed(work: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def slow(*args: object, **more: object) -> object:
            world.clock.pass_time(seconds)
            lags.append(world.lines.lag)
            return await work(*args, **more)

        return slow

    for name in ("read_few", "perform"):
        monkeypatch.setattr(Services, name, slowed(getattr(Services, name)))
    return lags


# -- contact ------------------------------------------------------------------------------


def test_an_echo_is_contact_at_the_moment_when_its_number_was_sent(
    world: LineWorld, peer: Peer
) -> None:
    """What a proxy or a paused server kept back is not fresh."""
    beat = peer.beat()
    world.clock.pass_time(8)
    peer.echo(beat)
    assert world.contact() == 8


def test_an_echo_of_an_old_or_unknown_number_is_no_contact(world: LineWorld, peer: Peer) -> None:
    world.clock.pass_time(1)
    first = peer.beat()
    world.clock.pass_time(1)
    for number in (first.number + 1, first.number - 2, 0):
        peer.echo(Beat(number, first.generations))
    assert world.contact() == 2
    for _ in range(3):
        peer.beat()
    peer.echo(first)  # pushed out by three newer ones
    assert world.contact() == 2
    last = peer.beat()
    world.clock.pass_time(FRESH_SECONDS + 0.1)
    peer.echo(last)
    assert world.contact() == 2 + FRESH_SECONDS + 0.1


def test_a_number_of_another_connection_is_no_contact(world: LineWorld, peer: Peer) -> None:
    beat = peer.beat()
    world.clock.pass_time(5)
    newer = world.live()
    newer.echo(beat)
    assert world.contact() == 5


def test_an_echo_that_read_something_else_is_asked_for_a_report(
    world: LineWorld, peer: Peer
) -> None:
    for read, acknowledged in (("other", READ), (READ, "other"), ("other", "other"), ("", "")):
        world.clock.pass_time(1)
        peer.echo(peer.beat(), read, acknowledged)
        assert peer.only(Hint).report
    assert world.contact() == 4
    peer.report(peer.beat(), digest="other")
    peer.echo(peer.beat(), "other", "other")
    assert world.contact() == 0


def test_who_holds_a_newer_generation_than_the_server_is_asked_for_a_report(
    world: LineWorld, peer: Peer
) -> None:
    """A server from an older backup learns it by the report (EDGES A8)."""
    world.clock.pass_time(3)
    peer.echo(peer.beat(), generations={world.web.uid: 99})
    assert peer.only(Hint).report
    assert world.contact() == 3


def test_after_silence_a_report_alone_is_contact(world: LineWorld, peer: Peer) -> None:
    """So that the return goes on record."""
    world.services.contacts.begin_counting()
    world.clock.pass_time(31)
    world.do(lambda tx, act: note_silence(tx, act, None))
    assert world.kinds()[-1] == "AgentWentSilent"
    peer.echo(peer.beat())
    assert peer.only(Hint).report
    assert world.contact() == 31
    beat = peer.beat()
    peer.report(beat)
    assert "AgentCameBack" in world.kinds()
    assert world.contact() == 0


def test_while_no_server_ran_nobody_was_silent(world: LineWorld, peer: Peer) -> None:
    """Agents that come back after its absence, and of which nothing changed, need not report."""
    before = world.kinds()
    world.clock.pass_time(300)
    world.start()
    again = world.live()
    assert world.contact() == 300, "a proof is no contact: nothing was read back"
    world.clock.pass_time(1)
    again.echo(again.first_beat)
    assert again.all_of(Hint) == []
    assert world.contact() == 1
    assert world.kinds() == before


def test_who_was_silent_before_a_restart_is_heard_by_its_report(
    world: LineWorld, peer: Peer
) -> None:
    world.clock.pass_time(31)
    world.do(lambda tx, act: note_silence(tx, act, None))
    world.start()
    again = world.live()
    again.echo(again.first_beat)
    assert again.only(Hint).report
    assert world.contact() == 31
    again.report(again.beat())
    assert "AgentCameBack" in world.kinds()
    assert world.contact() == 0


def test_who_comes_back_when_silence_is_counted_reports(world: LineWorld, peer: Peer) -> None:
    """It may have been noted as silent since its proof was read."""
    world.clock.pass_time(300)
    world.start()
    again = world.live()
    world.services.contacts.begin_counting()
    again.echo(again.first_beat)
    assert again.only(Hint).report
    assert world.contact() == 300


def test_a_report_counts_as_contact_at_the_moment_of_its_number(
    world: LineWorld, peer: Peer
) -> None:
    beat = peer.beat()
    world.clock.pass_time(12)
    peer.report(beat)
    assert world.contact() == 12
    world.clock.pass_time(FRESH_SECONDS)
    assert isinstance(peer.report(beat, digest="old"), Taken)  # settles, and is no contact
    assert world.contact() == 12 + FRESH_SECONDS


def test_a_report_that_was_read_before_the_proof_settles_and_is_no_contact(
    world: LineWorld, peer: Peer
) -> None:
    before = world.contact()
    assert before is not None
    world.clock.pass_time(7)
    peer = world.live()
    late = Beat(NO_BEAT, {})
    assert isinstance(peer.report(late, digest="late"), Taken)
    assert world.contact() == before + 7
    assert isinstance(peer.report(None, digest="newer"), Taken)
    assert world.contact() == 0, "read after the proof, before the first beat came"


def test_a_contact_of_a_key_that_was_replaced_is_not_stored(world: LineWorld, peer: Peer) -> None:
    world.clock.pass_time(4)
    peer.echo(peer.beat())
    kept = world.services.contacts.take()
    world.enrol(world.web, public_of(key_of(2)), replaces=True)
    newer = world.live(key=key_of(2))
    newer.report(newer.first_beat)
    world.clock.pass_time(4)
    world.services.contacts.give_back(kept)
    assert world.contact() == 4


def test_after_a_restart_an_agent_of_which_nothing_changed_costs_one_read(
    world: LineWorld, peer: Peer
) -> None:
    """What was taken last of it is stored with the report: it neither asks nor reports."""
    peer.report(peer.beat())
    told = peer.line.generations
    world.start()
    with statements() as seen:
        again = world.live()
    assert len(seen) == 1, f"\n{seen}"
    assert (again.welcome.acknowledged, again.welcome.generations) == (READ, told)
    world.clock.pass_time(2)
    with statements() as seen:
        again.echo(again.first_beat)
    assert len(seen) == 0, f"\n{seen}"
    assert again.all_of(Hint) == []
    assert world.contact() == 2


def test_a_beat_and_its_echo_cost_no_statement(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("read", "read_few", "write"):
        monkeypatch.setattr(type(world.store), name, None)
    peer.echo(peer.beat())
    assert not peer.heard()
    assert len(world.services.contacts.take()) == 1


# -- states -------------------------------------------------------------------------------


def test_a_change_is_pushed_in_answer_to_the_newest_nonce(world: LineWorld, peer: Peer) -> None:
    peer.echo(peer.beat())
    nonce = peer.echo(peer.beat())
    world.clock.pass_time(7)
    world.put(rules(world.web, 22))
    told = peer.only(Told)
    assert told.nonce == nonce
    assert told.machine == world.web.uid
    assert {each.port.number for each in told.state.desired.closed} == {22}


def test_a_change_is_expected_before_it_is_told(world: LineWorld, peer: Peer) -> None:
    """So that the agent reads its firewall while the change is brought to disk."""
    peer.echo(peer.beat())
    peer.heard()
    world.put(rules(world.web, 22))
    assert [type(each) for each in peer.heard()] == [Expect, Told]


def test_a_change_that_fails_is_not_expected(world: LineWorld, peer: Peer) -> None:
    def fail(tx: Transaction, act: Act) -> None:
        del tx
        act.touched.add(world.web.uid)
        raise InvalidInput("It fails.")

    with pytest.raises(InvalidInput):
        world.do(fail)
    world.settle()
    assert peer.heard() == []


def test_what_is_expected_says_nothing_and_nothing_comes_of_it(
    world: LineWorld, peer: Peer
) -> None:
    """It goes out before the change is kept, and may not be: to be told of it is to look."""
    peer.echo(peer.beat())
    peer.heard()
    world.do(lambda _, act: act.touched.add(world.web.uid))
    world.settle()
    assert peer.heard() == [Expect()]


@pytest.mark.parametrize("count", [MOST_EXPECTED, MOST_EXPECTED + 1])
def test_a_change_of_many_machines_is_not_expected(
    world: LineWorld, peer: Peer, count: int
) -> None:
    """A thousand lines are not written to twice."""
    others = {f"other-{number}" for number in range(count - 1)}
    world.do(lambda _, act: act.touched.update({world.web.uid}, others))
    world.settle()
    assert peer.heard() == ([Expect()] if count == MOST_EXPECTED else [])


def test_without_a_proof_nothing_is_expected(world: LineWorld) -> None:
    peer = world.connect()
    peer.heard()
    world.put(rules(world.web, 22))
    assert peer.heard() == []


def test_without_a_fresh_nonce_a_change_is_only_hinted_at(world: LineWorld, peer: Peer) -> None:
    world.put(rules(world.web, 22))
    assert peer.only(Hint).generation is not None  # there was no nonce yet
    peer.echo(peer.beat())
    world.clock.pass_time(FRESH_SECONDS)
    world.put(rules(world.web, 22, 80))
    assert peer.only(Hint).machine == world.web.uid


def test_a_large_state_is_only_hinted_at(world: LineWorld, peer: Peer) -> None:
    peer.echo(peer.beat())
    world.put(rules(world.web, *range(1, 601)))
    hint = peer.only(Hint)
    assert peer.ask().state.desired.generation == hint.generation


def test_the_times_of_a_push_count_from_the_nonce(world: LineWorld, peer: Peer) -> None:
    world.put(rules(world.web, 22))
    peer.heard()
    nonce = peer.echo(peer.beat())
    world.clock.pass_time(9)
    grant = world.granted(world.web, seconds=600)
    told = peer.only(Told)
    assert told.nonce == nonce
    (lease,) = told.state.desired.leases
    assert lease.grant_id == grant.id
    assert lease.remaining.total_seconds() == 609


def test_a_state_that_is_asked_for_has_the_records_marks(world: LineWorld, peer: Peer) -> None:
    told = peer.ask(nonce="q" * 32)
    assert told.nonce == "q" * 32
    assert told.state.machine_name == "web-1"
    assert told.state.record is not None


def test_a_machine_that_is_not_bound_is_refused_and_goes_on_record(
    world: LineWorld, peer: Peer
) -> None:
    peer.say(Ask("n" * 32, world.db.uid))
    refused = peer.only(Refused)
    assert (refused.id, refused.status, refused.code) == ("n" * 32, 403, "NotBound")
    assert "CallerDenied" in world.kinds()
    assert not peer.is_over


def test_a_missed_wake_up_is_found_by_its_number(world: LineWorld, peer: Peer) -> None:
    world.run(world.lines.catch_up())
    peer.echo(peer.beat())
    peer.heard()
    world.services.hub._on_wake.clear()
    world.put(rules(world.web, 22))
    assert peer.heard() == [Expect()]
    world.run(world.lines.catch_up())
    assert peer.only(Told).state.desired.closed
    world.run(world.lines.catch_up())
    assert not peer.heard(), "told once"


def test_news_that_could_not_be_read_are_told_with_the_next_beat(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.echo(peer.beat())

    def refuse(*_: object) -> None:
        raise Unavailable("The database cannot be read.")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.store), "read_few", refuse)
        world.put(rules(world.web, 22))
        assert peer.heard() == [Expect()]
    peer.tick()
    assert {type(each) for each in peer.heard()} == {Beat, Told}


def test_a_machine_that_is_bound_later_is_told_of_and_unbound_is_not(
    world: LineWorld, peer: Peer
) -> None:
    """At once: what is named no more ends, and what is new is asked for."""
    world.do(lambda tx, act: bind(tx, act, ANNA, world.db.id, world.web.uid))
    assert set(peer.only(Beat).generations) == {world.web.uid, world.db.uid}
    peer.echo(peer.beat())
    world.put(rules(world.db, 22))
    assert peer.only(Told).machine == world.db.uid
    world.do(lambda tx, act: unbind(tx, act, ANNA, world.db.id, world.web.uid))
    assert set(peer.only(Beat).generations) == {world.web.uid}
    world.put(rules(world.db, 22, 80))
    assert not peer.all_of(Told)


def test_an_unbound_gateway_that_had_something_open_is_told_a_state_of_its_own_too(
    world: LineWorld, peer: Peer
) -> None:
    """After the machine was named no more: who has applied it has ended what was open there."""
    world.do(lambda tx, act: bind(tx, act, ANNA, world.db.id, world.web.uid))
    world.put(rules(world.db, 22))
    world.granted(world.db)
    peer.heard()
    peer.echo(peer.beat())
    before = world.see(lambda reader: reader.generation(world.web.uid))
    world.do(lambda tx, act: unbind(tx, act, ANNA, world.db.id, world.web.uid))
    heard = peer.heard()
    beats = [each for each in heard if isinstance(each, Beat)]
    (told,) = [each for each in heard if isinstance(each, Told)]
    assert [set(each.generations) for each in beats] == [{world.web.uid}]
    assert heard.index(beats[0]) < heard.index(told)
    assert told.machine == world.web.uid
    assert told.state.desired.generation > before


def test_what_moved_while_a_bound_machine_was_reported_is_told_before_the_next_beat(
    world: LineWorld, peer: Peer
) -> None:
    """The answer to that report names the new generation, and an agent takes none from it."""
    world.do(lambda tx, act: bind(tx, act, ANNA, world.db.id, world.web.uid))
    peer.heard()
    peer.echo(peer.beat())
    world.run(world.lines.catch_up())
    peer.heard()
    world.services.hub._on_wake.clear()  # the wake-up comes only after the report is settled
    world.put(rules(world.db, 22))
    answer = peer.report(None, machine=world.db.uid)
    assert isinstance(answer, Taken)
    assert answer.generation == world.see(lambda reader: reader.generation(world.db.uid))
    world.run(world.lines.catch_up())
    (told,) = [each for each in peer.heard() if isinstance(each, Told | Hint)]
    assert told.machine == world.db.uid


def test_a_report_of_a_bound_machine_is_confirmed_by_the_point_s_own(
    world: LineWorld, peer: Peer
) -> None:
    """Its digest covers the other machines: until it came, no echo says that all was read back."""
    world.do(lambda tx, act: bind(tx, act, ANNA, world.db.id, world.web.uid))
    peer.heard()
    peer.report(peer.beat())
    peer.echo(peer.beat())
    assert not peer.all_of(Hint), "all is known"
    peer.report(peer.beat(), machine=world.db.uid)
    peer.echo(peer.beat())
    assert peer.only(Hint).report
    again = world.connect()
    assert again.prove(world.key).acknowledged == "", "for a later line too"
    again.report(again.beat())
    again.echo(again.beat())
    assert not again.all_of(Hint)


def test_all_lines_are_beaten_in_turn_and_one_that_fails_silences_no_other(
    world: LineWorld, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    db_key = key_of(3)
    world.enrol(world.db, public_of(db_key), replaces=True)
    other = world.connect(world.db.uid)
    other.prove(db_key, world.db.uid)
    for each in (peer, other):
        each.heard()
    real = Line.beat
    failing = peer.line
    monkeypatch.setattr(Line, "beat", lambda line: 1 / 0 if line is failing else real(line))
    monkeypatch.setattr("bascule.api.lines.BEAT_SECONDS", 0.2)

    async def run() -> None:
        running = asyncio.create_task(world.lines.run())
        for _ in range(40):
            world.clock.pass_time(0.05)
            await asyncio.sleep(0.005)
        assert not running.done()
        running.cancel()

    world.run(run())
    assert other.all_of(Beat)
    assert peer.close_code == CloseCode.GOING_AWAY


def test_the_records_head_goes_to_each_line_with_a_beat(world: LineWorld, peer: Peer) -> None:
    world.do(lambda tx, _: seal(tx))
    world.run(world.lines.read_for_all())
    peer.tick()
    head = peer.only(Record).head
    assert head.position > 0
    peer.tick()
    assert not peer.all_of(Record), "once"
    assert peer.ask(seen=0, told=head.position).state.record.told_hash == head.hash  # type: ignore[union-attr]  # reason: an answer has its marks


# -- reports ------------------------------------------------------------------------------


def test_a_report_settles_as_over_http(world: LineWorld, peer: Peer) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    answer = peer.report(peer.beat(), grant.id, digest="open")
    assert isinstance(answer, Taken)
    assert world.grant(grant).state is GrantState.OPEN
    assert world.live().welcome.acknowledged == "open"


def test_a_report_by_a_key_that_is_gone_settles_nothing(world: LineWorld, peer: Peer) -> None:
    world.put(rules(world.web, 22))
    peer.heard()
    world.services.hub._on_wake.clear()
    world.enrol(world.web, public_of(key_of(2)), replaces=True)
    grant = world.granted(world.web)
    answer = peer.report(peer.first_beat, grant.id, generation=grant.generation)
    assert isinstance(answer, Refused)
    assert answer.code == "AgentKeyRefused"
    assert peer.close_code == CloseCode.CREDENTIAL_REVOKED
    assert world.grant(grant).state is GrantState.OPENING


# -- hostile peers ------------------------------------------------------------------------


HOSTILE = {
    "not masked": (frame(Opcode.TEXT, b"{}"), CloseCode.PROTOCOL_ERROR),
    "binary": (b"\x82\x80\0\0\0\0", CloseCode.UNSUPPORTED),
    "compressed": (b"\xc1\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),
    "a fragment": (b"\x01\x81\0\0\0\0x", CloseCode.PROTOCOL_ERROR),
    "huge": (b"\x81\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0", CloseCode.TOO_LARGE),
    "too large before the proof": (
        frame(Opcode.TEXT, b"x" * 4097, is_masked=True),
        CloseCode.TOO_LARGE,
    ),
    "no JSON": (frame(Opcode.TEXT, b"{", is_masked=True), CloseCode.NOT_TEXT),
    "no UTF-8": (frame(Opcode.TEXT, b'"\xff"', is_masked=True), CloseCode.NOT_TEXT),
    "deep": (frame(Opcode.TEXT, b"[" * 2000, is_masked=True), CloseCode.NOT_TEXT),
    "no object": (frame(Opcode.TEXT, b"[]", is_masked=True), CloseCode.PROTOCOL_ERROR),
    "long number": (frame(Opcode.TEXT, b"1" * 4090, is_masked=True), CloseCode.PROTOCOL_ERROR),
    "many pings": (frame(Opcode.PING, b"x", is_masked=True) * 101, CloseCode.POLICY),
    "goodbye": (close_frame(CloseCode.NORMAL, is_masked=True), CloseCode.NORMAL),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_agent_sends_ends_the_connection(world: LineWorld, what: str) -> None:
    sent, code = HOSTILE[what]
    peer = world.connect()
    peer.heard()
    peer.send(sent)
    assert peer.close_code == code
    assert not len(world.crowd)


@pytest.mark.parametrize("step", [1, 7])
def test_it_does_not_matter_how_bytes_are_cut(world: LineWorld, step: int) -> None:
    peer = world.connect()
    proof = peer.sign(world.key, peer.only(Challenge).text)
    data = frame(Opcode.TEXT, write(proof), is_masked=True)
    for at in range(0, len(data), step):
        peer.send(data[at : at + step])
    peer.only(Welcome)


def test_after_the_proof_a_message_may_be_large_and_cut_by_a_proxy(
    world: LineWorld, peer: Peer
) -> None:
    text = write(Ask("n" * 32)) + b" " * 200_000
    masked = frame(Opcode.TEXT, text[:150_000], is_masked=True)
    peer.send(b"\x01" + masked[1:])
    rest = frame(Opcode.TEXT, text[150_000:], is_masked=True)
    peer.send(b"\x80" + rest[1:])
    peer.only(Told)
    peer.send(frame(Opcode.TEXT, b" " * (1024 * 1024 + 1), is_masked=True))
    assert peer.close_code == CloseCode.TOO_LARGE


def test_more_than_a_few_asks_at_once_end_the_line(world: LineWorld, peer: Peer) -> None:
    ask = frame(Opcode.TEXT, write(Ask("n" * 32)), is_masked=True)
    peer.send(ask * 4)
    assert len(peer.all_of(Told)) == 4
    peer.send(ask * 12)
    assert peer.close_code == CloseCode.POLICY


def test_a_line_has_its_pace(world: LineWorld, peer: Peer) -> None:
    ping = frame(Opcode.PING, b"x", is_masked=True)
    peer.send(ping * 90)
    assert not peer.is_over
    world.clock.pass_time(2)
    peer.send(ping * 65)
    assert not peer.is_over
    peer.send(ping * 40)
    assert peer.close_code == CloseCode.POLICY


def test_who_does_not_finish_a_message_is_cut_off(world: LineWorld, peer: Peer) -> None:
    peer.send(b"\x81\xfe\x01")
    world.clock.pass_time(BEAT_SECONDS)
    peer.tick()
    assert not peer.transport.is_closed
    world.clock.pass_time(31)
    peer.tick()
    assert peer.transport.is_aborted


def test_who_does_not_read_is_told_no_more_and_cut_off(world: LineWorld, peer: Peer) -> None:
    peer.heard()
    peer.line.pause_writing()
    peer.tick()
    peer.say(Ask("n" * 32))
    world.put(rules(world.web, 22))
    assert not peer.transport.written
    peer.resume()
    assert {type(each) for each in peer.heard()} == {Told}
    peer.line.pause_writing()
    world.clock.pass_time(31)
    peer.tick()
    assert peer.transport.is_aborted


def test_a_message_of_a_newer_agent_is_passed_over(world: LineWorld, peer: Peer) -> None:
    peer.say_raw({"kind": "moon", "phase": 3})
    assert not peer.is_over
    assert not peer.heard()


def test_what_is_lost_is_forgotten(world: LineWorld, peer: Peer) -> None:
    peer.line.connection_lost(None)
    assert not len(world.lines)
    assert not len(world.crowd)
    assert not world.lines._by_machine
    world.put(rules(world.web, 22))
    assert not peer.heard()
