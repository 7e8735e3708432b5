"""What the judge must say of a watcher that did not watch and of a record that lacks something."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.client.access import AccessRequest, GrantedMachine, GrantedPort
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId
from tests.faults import judge, record
from tests.faults.faults import Faults
from tests.faults.history import Asked, Disturbed, Edited, History, Revoked, Ruled, boottime
from tests.faults.judge_edits import judge_edits
from tests.faults.model import Beginning, Model
from tests.faults.record import Fact, Record, read_record
from tests.faults.schedule import (
    CLOCK_TURNED,
    GATEWAY,
    GATEWAY2,
    KEEP_PORT,
    MACHINES,
    SOURCES,
    Tamper,
)
from tests.faults.sighting import Place, Sighting, Through
from tests.faults.watcher import PATIENCE, Target, Watcher
from tests.faults.world import said_at

HERE = Place("client", "web-1", "10.203.0.21", KEEP_PORT, SOURCES["client"])


def _every(seconds: float, until: float, without: tuple[float, float] = (0, 0)) -> list[float]:
    moments = [number * seconds for number in range(1, int(until / seconds))]
    return [each for each in moments if not without[0] <= each <= without[1]]


def _watching(sent: list[float], *disturbed: Disturbed) -> list[str]:
    history = History(1, 0.0, disturbed=list(disturbed))
    return list(judge._watching(history, Sighting((), {HERE: sent}), 10.0))


def test_a_watcher_must_knock_everywhere_all_the_time() -> None:
    assert not _watching(_every(0.16, 10))
    assert not _watching(_every(0.16, 10, (3.0, 4.1))), "late on a busy machine"
    assert _watching(_every(0.16, 10, (3.0, 4.6))), "the shortest planted opening fits in"
    assert _watching(_every(0.16, 8.5)), "till the end"
    assert _watching([]), "beginning to end"


def test_the_finding_says_whether_only_this_place_was_left_out() -> None:
    there = replace(HERE, address="10.203.0.22", machine="db-1")
    sent = {HERE: _every(0.16, 10, (3.0, 5.0)), there: _every(0.5, 10, (3.6, 4.9))}
    (found,) = judge._watching(History(1, 0.0), Sighting((), sent), 10.0)
    assert "for 2.2 s from 2.880 s, and 3 SYNs elsewhere" in found


def _openings(sent: list[float], *through: Through) -> list[str]:
    """What is said of an opening from 3 to 4.2 s."""
    asked = Asked("tag", "alice", "web-1", (KEEP_PORT,), SOURCES["client"], 1.2, 3.0, 3.0, "r")
    facts = (_fact(3.0, "GrantOpened"), _fact(4.2))
    history = History(1, 0.0, asked=[asked], healed=10.0)
    found = Record({"tag": _request()}, facts, 0.0)
    return list(judge._openings(history, found, Sighting(through, {HERE: sent})))


def test_an_opening_lets_in_who_knocks() -> None:
    def let_in(sent: float, answered: float) -> Through:
        return Through("client", SOURCES["client"], "web-1", KEEP_PORT, sent, answered, "new-open")

    always = _every(0.16, 10)
    assert _openings(always)
    assert not _openings(always, let_in(3.1, 3.2))
    assert not _openings(always, let_in(4.1, 4.4)), "written down late"
    assert _openings(always, let_in(4.3, 4.4))
    assert not _openings(_every(0.16, 10, (2.9, 4.3))), "nobody knocked"


def test_where_the_world_is_cut_nobody_can_knock() -> None:
    cut = Disturbed(("web-1",), "cut web-1", 3.0, 4.0, cuts_watchers=True)
    assert not _watching(_every(0.16, 10, (3.0, 5.0)), cut)
    assert _watching(_every(0.16, 10, (6.0, 7.5)), cut), "afterwards he can"
    cut.machines = ("db-1",)
    assert _watching(_every(0.16, 10, (3.0, 5.0)), cut), "elsewhere he can"


def test_a_cut_host_makes_no_watcher_wait(tmp_path: Path) -> None:
    """Asked to reset, it does not answer: all other places are knocked at meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, (tmp_path / "seen").open("w") as out:
        port = deaf.getsockname()[1]
        target = Target("127.0.0.1", port, socket.create_connection(("127.0.0.1", port)))
        watcher = Watcher(out, 0.02, [target])
        began = time.monotonic()
        watcher._knock(target)
        assert time.monotonic() - began < PATIENCE
        assert [each.target for each in watcher._leaving.values()] == [target]
        watcher._give_up(boottime() + PATIENCE)
        assert not watcher._leaving
        assert target.kept is not None, "let in anew"
        target.kept.close()


def _request() -> AccessRequest:
    then = datetime(2030, 1, 1, tzinfo=UTC)
    port = GrantedPort("g", KEEP_PORT, "TCP", ("*",), then, "closed", None, "", None)
    machine = GrantedMachine(ResourceId.parse_machine(MACHINE), (), (port,))
    return AccessRequest("r", "alice", "a", "tag", "", "closed", then, then, (machine,))


MACHINE = (
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/default"
    "/providers/Microsoft.Compute/virtualMachines/web-1"
)


def _revoked(denied: str, *facts: Fact) -> list[str]:
    history = History(1, 0.0, revoked=[Revoked("r", 4.0, 4.1, denied)])
    found = Record({"tag": _request()}, facts, 0.0)
    counts = {kind: found.per_grant(kind) for kind in ("GrantEnded", "GrantFailed")}
    return list(judge._revocations(history, found, counts))


def _fact(at: float, kind: str = "GrantEnded", grant: str = "g") -> Fact:
    return Fact(1, at, kind, {"grant_id": grant}, "")


def test_a_revocation_has_its_event() -> None:
    assert not _revoked("", _fact(4.05))
    assert _revoked("")


def test_a_refused_revocation_came_after_an_end_on_record() -> None:
    assert not _revoked("GrantNotLive", _fact(3.0))
    assert not _revoked("GrantNotLive", _fact(3.0, "GrantFailed"))
    assert _revoked("GrantNotLive")
    assert _revoked("GrantNotLive", _fact(5.0))
    assert _revoked("GrantNotLive", _fact(3.0, grant="another"))


def _decided(denied: str) -> list[str]:
    """A request by somebody whose role was taken away before."""
    number = "" if denied else "r"
    asked = Asked(
        "tag", "alice", "web-1", (KEEP_PORT,), "10.203.0.10", 1.0, 3.0, 3.1, number, denied
    )
    history = History(1, 0.0, asked=[asked], ruled=[Ruled("alice", False, 1.0, 1.1)])
    beginning = Beginning({KEEP_PORT: ("*",)}, frozenset({KEEP_PORT}))
    return list(judge._decisions(history, Model(history, {"web-1": beginning})))


def test_who_holds_no_role_is_denied() -> None:
    assert not _decided("AuthorizationFailed")
    (found,) = _decided("")
    assert "was allowed although alice held no role" in found


def test_who_asks_is_answered_when_no_server_was_disturbed() -> None:
    def found(*disturbed: Disturbed, answered: float | None = None) -> list[str]:
        asked = Asked("t", "alice", "web-1", (KEEP_PORT,), "10.203.0.10", 1.0, 50.0, answered)
        return list(judge._answers(History(1, 0.0, asked=[asked], disturbed=list(disturbed))))

    assert found()
    assert not found(answered=50.1)
    assert not found(Disturbed(MACHINES, "kill server-1", 52.0, 52.0))
    assert not found(Disturbed(MACHINES, "stop server-1", 45.0, 90.0)), "it is not left out yet"
    assert found(Disturbed(MACHINES, "stop server-1", 10.0, 90.0)), "the others answer"
    assert found(Disturbed(("web-1",), "kill web-1", 50.0, 50.0)), "its agent answers nobody"


def test_an_event_has_the_time_at_which_it_happened() -> None:
    def found(at: float) -> list[str]:
        return list(judge._times(History(1, 100.0), Record({}, (_fact(at),), 0.0), 120.0))

    assert not found(100.0)
    assert not found(120.0)
    assert found(100.0 + CLOCK_TURNED * 3600)
    assert found(100.0 - CLOCK_TURNED * 3600)


class _Log:
    """A server's record in which something is written after some of the readings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self.sequence = 1
        self.writes = writes
        monkeypatch.setattr(record, "newest", lambda _: self.sequence)
        monkeypatch.setattr(record, "_requests", lambda *_: (self.read(), {}, {}))
        monkeypatch.setattr(record, "_facts", lambda *_: [_fact(float(self.sequence))])
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def read(self) -> dict[str, AccessRequest]:
        if self.writes:
            self.writes -= 1
            self.sequence += 1
        return {str(self.sequence): _request()}


def test_requests_and_events_are_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant read as closing, and the event of its closing, are no contradiction."""
    _Log(monkeypatch, 3)
    found = read_record(NOBODY, "", 0, 0.0)
    assert found.is_settled
    assert list(found.requests) == ["4"]
    assert not list(judge._reading(found))


def test_a_record_that_never_rests_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    _Log(monkeypatch, 1000)
    assert list(judge._reading(read_record(NOBODY, "", 0, 0.0)))


NOBODY: Any = None


class _Machine:
    """A machine whose nft takes everything, and whose agents shut the ports at these moments."""

    def __init__(self, *shut: float) -> None:
        self._shut = list(shut)

    def closed_at(self, _: str) -> list[float]:
        return self._shut

    def nft(self, *_: str, text: str) -> tuple[int, str]:
        return 0, ""


def _tampered(world: _Machine, *killed: float) -> list[str]:
    history = History(1, 0.0)
    history.disturbed += [Disturbed(("web-1",), "kill web-1", at, at) for at in killed]
    history.edited.append(Edited("enrol", "web-1", {}, boottime() - 100))
    world_of_any: Any = world
    Faults(world_of_any, history).do(Tamper("web-1"))
    return history.complaints


def test_an_owned_table_takes_nothing_once_the_ports_are_shut() -> None:
    now = boottime()
    assert _tampered(_Machine(now - 50)), "nobody died"
    assert not _tampered(_Machine(now - 50), now - 0.5), "the next has not come"
    assert _tampered(_Machine(now - 50, now - 0.2), now - 0.5), "it has"
    assert not _tampered(_Machine(now - 2), now - 3, now - 1), "and was killed too"
    assert not _tampered(_Machine(now + 5), now - 3), "it came meanwhile"


def test_a_refused_request_may_be_kept_and_has_no_grant() -> None:
    asked = Asked("tag", "alice", "web-1", (KEEP_PORT,), SOURCES["client"], 1.2, 3.0, 3.0, "", "No")
    history = History(1, 0.0, asked=[asked])
    machine = _request().machines[0]
    port = machine.ports[0]._replace(grant_id="", state="refused")
    kept = _request()._replace(state="refused", machines=(machine._replace(ports=(port,)),))

    def found(requests: dict[str, AccessRequest], refused: AccessRequest) -> list[str]:
        return list(judge._requests(history, Record(requests, (), 0.0, refused={"tag": refused})))

    assert not found({}, kept)
    assert found({}, _request()), "it has a grant"
    assert found({"tag": _request()}, kept), "granted too"


def test_a_public_port_leads_by_grants_alone() -> None:
    """A port that no policy closes is reached directly; by a public port nobody is led to it."""
    edits = [Edited("remove", "app-1", {}, 1.0, 1.1)]
    history = History(1, 0.0, edited=edits)
    model = Model(history, {"app-1": Beginning({KEEP_PORT: ("*",)}, frozenset({KEEP_PORT}))})

    def got_through(*, is_public: bool) -> list[str]:
        source = SOURCES["stranger"]
        seen = Through("stranger", source, "app-1", KEEP_PORT, 2, 2.1, "new-open", is_public)
        return list(judge._packets(history, model, Sighting((seen,), {})))

    assert got_through(is_public=False) == []
    (found,) = got_through(is_public=True)
    assert "app-1 port 8001 by its public port with no grant" in found


def test_what_is_open_leads_by_its_public_port_too() -> None:
    def direct(is_public: bool) -> Through:
        return Through(
            "client", SOURCES["client"], "web-1", KEEP_PORT, 3.1, 3.2, "new-open", is_public
        )

    def found(*through: Through) -> list[str]:
        asked = Asked("tag", "alice", "web-1", (KEEP_PORT,), SOURCES["client"], 1.2, 3.0, 3.0, "r")
        facts = (_fact(3.0, "GrantOpened"), _fact(4.2))
        history = History(1, 0.0, asked=[asked], healed=10.0)
        sent = {HERE: _every(0.16, 10), replace(HERE, is_public=True): _every(0.16, 10)}
        record_ = Record({"tag": _request()}, facts, 0.0)
        return list(judge._openings(history, record_, Sighting(through, sent)))

    assert not found(direct(False), direct(True))
    (missing,) = found(direct(False))
    assert "let nobody in by its public port" in missing


def test_of_gateways_in_parallel_one_that_serves_is_enough_and_an_undisturbed_one_serves() -> None:
    places = [
        Place("client", "app-1", way, KEEP_PORT, SOURCES["client"], is_public, way)
        for way in (GATEWAY, GATEWAY2)
        for is_public in (False, True)
    ]
    asked = Asked("tag", "alice", "app-1", (KEEP_PORT,), SOURCES["client"], 9.0, 3.0, 3.0, "r")
    record_ = Record({"tag": _request()}, (_fact(3.1, "GrantOpened"), _fact(9.0)), 0.0)
    sighting = Sighting((), {place: _every(0.3, 10) for place in places})

    def found(ways: tuple[str, ...], *disturbed: Disturbed) -> list[str]:
        through = [
            Through("client", place.source, "app-1", KEEP_PORT, 7, 7.1, "new", p, place.way)
            for place in places
            for p in [place.is_public]
            if place.way in ways
        ]
        history = History(1, 0.0, asked=[asked], disturbed=list(disturbed), healed=10.0)
        return list(judge._openings(history, record_, replace(sighting, through=tuple(through))))

    stopped = Disturbed((GATEWAY2,), "stop", 2.0, 8.0)
    assert not found((GATEWAY, GATEWAY2))
    assert not found((GATEWAY,), stopped)
    assert all("nobody in" in each and f"at {GATEWAY2}" in each for each in found((GATEWAY,)))
    assert len(found((GATEWAY,))) == 2
    assert found((GATEWAY2,), stopped), "the other was there"
    assert found((), stopped, Disturbed((GATEWAY,), "stop", 2.0, 8.0)), "said to be open"
    cut = Disturbed((GATEWAY2,), "cut", 2.0, 8.0, cuts_watchers=True)
    assert not found((), cut, Disturbed((GATEWAY,), "cut", 2.0, 8.0, cuts_watchers=True))


def test_a_gateway_that_is_away_keeps_nobody_waiting() -> None:
    asked = Asked("tag", "alice", "app-1", (KEEP_PORT,), SOURCES["client"], 9.0, 3.0, 3.1, "r")

    def found(opened: float, *disturbed: str, machine: str = "app-1") -> list[str]:
        history = History(1, 0.0, asked=[replace(asked, machine=machine)])
        history.disturbed += [Disturbed((each,), "stop", 2.0, 9.0) for each in disturbed]
        facts = (_fact(opened, "GrantOpened"), _fact(opened, "GrantEnded"))
        return list(judge._alternatives(history, Record({"tag": _request()}, facts, 0.0)))

    assert not found(3.2, GATEWAY2)
    assert found(9.2, GATEWAY2)
    assert not found(9.2, GATEWAY, GATEWAY2)
    assert not found(9.2, GATEWAY, machine="sql-1"), "in series it waits for all"


def test_only_a_gateway_that_was_disturbed_is_given_up() -> None:
    point = f"/subscriptions/s/resourceGroups/r/providers/P/virtualMachines/{GATEWAY2}"
    said = {"grant_id": "g", "point": point, "why": "It is away."}
    fact = Fact(1, 5.0, "PointWithdrawn", said, "")

    def found(
        *disturbed: Disturbed, seconds: float = 9.0, more: tuple[Fact, ...] = ()
    ) -> list[str]:
        asked = Asked(
            "tag", "alice", "app-1", (KEEP_PORT,), SOURCES["client"], seconds, 3.0, 3.1, "r"
        )
        history = History(1, 0.0, asked=[asked], disturbed=list(disturbed))
        return list(judge._withdrawals(history, Record({"tag": _request()}, (fact, *more), 0.0)))

    assert found()
    assert found(Disturbed((GATEWAY,), "kill", 2.0, 2.0))
    assert found(Disturbed((GATEWAY2,), "kill", 6.0, 6.0)), "later"
    assert not found(Disturbed((GATEWAY2,), "kill", 2.0, 2.0))
    assert not found(seconds=2.4), "at the end"
    assert found(seconds=2.4, more=(_fact(4.0, "GrantExtended"),))


@pytest.mark.parametrize("hours", [-CLOCK_TURNED, 0, CLOCK_TURNED])
@pytest.mark.parametrize("ago", [0.0, 0.5, 4000.0])
def test_a_line_of_a_turned_clock_is_of_the_moment_at_which_it_was_written(
    hours: int, ago: float
) -> None:
    wall = SystemClock().now() - timedelta(seconds=ago) + timedelta(hours=hours)
    line = json.dumps({"timestamp": wall.isoformat(), "event": "rules are in place"})

    assert said_at(line) == pytest.approx(SystemClock().boottime() - ago, abs=1.0)


def test_an_edit_that_its_server_interrupted_may_have_been_done_twice() -> None:
    """The client repeats a call whose connection broke, by itself."""

    def found(*disturbed: Disturbed, times: int = 2) -> list[str]:
        edits = [Edited("set", "web-1", {KEEP_PORT: ("*",)}, 2.0, 6.0)]
        history = History(1, 0.0, edited=edits, disturbed=list(disturbed))
        facts = tuple(_fact(3.0, "PolicyChanged") for _ in range(times))
        model = Model(history, {each: Beginning({}, frozenset()) for each in MACHINES})
        return list(judge_edits(model, Record({}, facts, 0.0)))

    killed = Disturbed(MACHINES, "kill server", 2.1, 2.1)
    assert not found(times=1)
    assert found(), "nothing interrupted it"
    assert not found(killed)
    assert found(killed, times=3)
    assert found(replace(killed, begun=6.1, healed=6.2)), "it was answered before"
    assert found(replace(killed, machines=("web-1",))), "it was no server"
