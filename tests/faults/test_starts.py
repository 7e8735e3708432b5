"""What the judge takes for a start that was kept, and the neighbour that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest

from bascule.client.access import AccessRequest, GrantedMachine, GrantedPort
from bascule.client.approval import Approval
from bascule.domain.ids import ResourceId
from bascule.errors import InvalidInput
from tests.faults import judge
from tests.faults.approvals import drawn
from tests.faults.history import (
    START_PASSED,
    Answered,
    Asked,
    Disturbed,
    Edited,
    History,
    Revoked,
    Ruled,
    Trusted,
)
from tests.faults.judge_starts import judge_starts
from tests.faults.judge_waits import judge_waits, note_openings
from tests.faults.model import Beginning, Model
from tests.faults.people import Asker
from tests.faults.record import Fact, Record
from tests.faults.run import BASE
from tests.faults.schedule import (
    GATEWAY,
    GATEWAY2,
    KEEP_PORT,
    KILL_PORT,
    MACHINES,
    SOURCES,
    STAGES,
    Ask,
    Revoke,
)

BOOT = datetime(2030, 1, 1, tzinfo=UTC)
START = 15.0
_LISTS: Mapping[type, str] = {
    Asked: "asked",
    Edited: "edited",
    Answered: "answers",
    Disturbed: "disturbed",
    Revoked: "revoked",
    Ruled: "ruled",
    Trusted: "trusted",
}


def _history(*events: object) -> History:
    history = History(1, 0.0, healed=30.0)
    for event in events:
        getattr(history, _LISTS[type(event)]).append(event)
    return history


def _asked(**changes: Any) -> Asked:
    source = SOURCES["client"]
    made = Asked("tag", "alice", "web-1", (KEEP_PORT,), source, 5.0, 10.0, 10.2, "r", waits=True)
    made.starts_at = START
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _request(state: str, start: float | None = START, machine: str = "web-1") -> AccessRequest:
    waiting = Approval("d", BOOT, BOOT, None, None, None, None, (), None, False, False, False, "")
    port = GrantedPort("g", KEEP_PORT, "TCP", ("*",), BOOT, state, None, "", None)
    at = ResourceId.parse_machine(
        "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/default"
        f"/providers/Microsoft.Compute/virtualMachines/{machine}"
    )
    there = (GrantedMachine(at, (), (port,)),)
    starts_at = None if start is None else BOOT + timedelta(seconds=start)
    made = AccessRequest("r", "alice", "a", "tag", "", state, BOOT, None, there, (), waiting)
    return made._replace(starts_at=starts_at)


def _fact(kind: str, at: float) -> Fact:
    return Fact(1, at, kind, {"request_id": "r", "grant_id": "g"}, "")


def _facts(granted: float | None = 15.1, opened: float | None = 15.3) -> list[Fact]:
    facts = [_fact("AccessScheduled", 10.1)]
    if granted is not None:
        facts += [_fact("AccessStarted", granted), _fact("GrantCreated", granted)]
    return facts if opened is None else [*facts, _fact("GrantOpened", opened)]


def _found(
    history: History,
    facts: list[Fact],
    state: str = "open",
    start: float | None = START,
    machine: str = "web-1",
) -> list[str]:
    """What the judge of starts says of one request in this state."""
    request = {"tag": _request(state, start, machine)}
    boot = BOOT.timestamp()
    if state in ("open", "opening", "closed"):
        record = Record(request, facts, boot)
    else:
        record = Record({}, facts, boot, unopened=request)
    note_openings(history, record)
    return list(judge_starts(history, _model(history), record))


def _model(history: History) -> Model:
    return Model(history, {name: Beginning(BASE, frozenset({KEEP_PORT})) for name in MACHINES})


def _says(found: list[str], words: str) -> bool:
    return any(words in each for each in found)


def test_nothing_is_granted_before_its_start() -> None:
    assert not _found(_history(_asked()), _facts())
    assert _says(_found(_history(_asked()), _facts(14.8, 15.0)), "before its start")
    assert not _found(_history(_asked()), _facts(14.95)), "by the server's clock"


def test_nothing_is_granted_more_than_five_minutes_after_its_start() -> None:
    cut = Disturbed(MACHINES, "stop server", 14.0, 313.0)
    at_last, too_late = _facts(314.9, 315.0), _facts(315.3, 315.4)
    assert not _found(_history(_asked(), cut), at_last)
    assert _says(_found(_history(_asked(), cut), too_late), "more than five minutes after")


@pytest.mark.parametrize(
    ("opened", "start", "end"), [(15.2, 15.2, 20.2), (12.0, 15.0, 20.0), (314.0, 314.0, 319.0)]
)
def test_packets_are_let_in_from_the_start_on(opened: float, start: float, end: float) -> None:
    (span,) = _model(_history(_asked(opened=opened))).spans("web-1", KEEP_PORT, SOURCES["client"])
    assert span.start == pytest.approx(start - 0.1)
    assert span.end == pytest.approx(end)


@pytest.mark.parametrize("changes", [{"opened": None}, {"opened": 315.3}, {"waits": False}])
def test_no_packet_is_let_in_by_what_never_opened_or_too_late(changes: dict[str, Any]) -> None:
    model = _model(_history(_asked(**changes)))
    assert not model.spans("web-1", KEEP_PORT, SOURCES["client"])


def test_an_end_that_was_named_counts_from_the_start() -> None:
    asked = _asked(opened=17.0, is_fixed=True)
    (span,) = _model(_history(asked)).spans("web-1", KEEP_PORT, SOURCES["client"])
    assert span.end == pytest.approx(20.0)


def test_what_is_right_is_open_soon_after_its_start() -> None:
    assert not _found(_history(_asked()), _facts(16.0, 17.9))
    for facts in (_facts(18.1, 18.2), _facts(15.1, 18.2), _facts(15.1, None)):
        assert _says(_found(_history(_asked()), facts), "although nothing was in its way"), facts
    for state in ("lapsed", "denied", "scheduled"):
        found = _found(_history(_asked()), _facts(None, None), state)
        assert _says(found, "although nothing was in its way"), state
    over = [*_facts(15.1, None), _fact("GrantEnded", 17.0)]
    assert not _found(_history(_asked()), over, "closed"), "it ended meanwhile"


def test_what_was_disturbed_opens_later() -> None:
    late = _facts(20.0, 20.1)
    for place, is_late in (("web-1", False), ("db-1", True)):
        stopped = Disturbed((place,), f"stop {place}", 14.0, 19.0)
        found = _found(_history(_asked(), stopped), late)
        assert _says(found, "although nothing") == is_late, place
    killed = Disturbed(MACHINES, "kill server", 5.0, 5.0)
    assert not _found(_history(_asked(), killed), _facts(16.9, 17.0)), "soon all the same"
    assert _found(_history(_asked(), Disturbed(MACHINES, "", 1.0, 2.0)), late), "long ago"
    healed = Disturbed(MACHINES, "stop server", 14.0, 19.0)
    assert _found(_history(_asked(), healed), _facts(31.5, 31.6)), "long since healed"


def test_of_gateways_in_parallel_one_that_serves_opens_it() -> None:
    late = _facts(15.1, 20.0)
    asked = _asked(machine="app-1")
    one = Disturbed((GATEWAY,), f"stop {GATEWAY}", 14.0, 25.0)
    other = Disturbed((GATEWAY2,), f"stop {GATEWAY2}", 14.0, 25.0)
    assert _found(_history(asked, one), late, machine="app-1")
    assert not _found(_history(asked, one, other), late, machine="app-1")


@pytest.mark.parametrize(
    "event",
    [
        Revoked("r", 13.0, 13.2),
        Revoked("r", 13.0, None),
        Ruled("alice", False, 13.0, 13.2),
        Edited("set", "web-1", {KILL_PORT: ("*",)}, 13.0, 13.2),
        Edited("set", "web-1", BASE, 13.0, 13.2, due=STAGES["one"]),
        Edited("delete", "web-1", {}, 13.0, 13.2),
    ],
)
def test_what_changed_meanwhile_need_not_open(event: object) -> None:
    facts = _facts(None, None)
    assert not _found(_history(_asked(), event), facts, "withdrawn")
    unrelated = (Revoked("other", 13.0, 13.2), Ruled("bob", False, 13.0, 13.2))
    assert _found(_history(_asked(), *unrelated), facts, "lapsed")


def test_an_end_that_comes_first_may_keep_it_shut() -> None:
    facts = _facts(None, None)
    assert not _found(_history(_asked(is_fixed=True, seconds=2.0)), facts, "lapsed")
    assert _found(_history(_asked(is_fixed=True, seconds=4.0)), facts, "lapsed")


def test_where_approval_is_due_it_opens_if_it_was_there_in_time() -> None:
    rules = Edited("set", "web-1", BASE, 1.0, 1.1, due=STAGES["one"])
    yes = Answered("erin", "r", "alice", True, "d", 12.0, 12.2)
    no = Answered("heidi", "r", "alice", False, "d", 12.0, 12.2)
    at_last = Answered("erin", "r", "alice", True, "d", 14.9, 15.1)
    facts = _facts(None, None)
    assert _found(_history(_asked(), rules, yes), facts, "lapsed")
    for others in ((), (at_last,), (yes, no), (yes, Trusted("erin", False, False, 12.5, 12.7))):
        assert not _found(_history(_asked(), rules, *others), facts, "lapsed"), others


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Revoked("r", 13.0, 13.2), "it was withdrawn"),
        (Answered("erin", "r", "alice", False, "d", 13.0, 13.2), "erin had said no"),
        (Ruled("alice", False, 13.0, 13.2), "alice had lost the role"),
    ],
)
def test_what_was_withdrawn_or_denied_never_opens(event: object, words: str) -> None:
    for events, is_wrong in (((event,), True), ((), False)):
        history = _history(_asked(), *events)
        record = Record({"tag": _request("open")}, _facts(), BOOT.timestamp())
        note_openings(history, record)
        found = judge_waits(history, _model(history), record)
        assert _says(found, words) == is_wrong, found


def test_each_start_is_on_record_once() -> None:
    assert _says(_found(_history(_asked()), [*_facts(), _fact("AccessStarted", 16)]), "has 2")
    without = [each for each in _facts() if each.kind != "AccessStarted"]
    assert _says(_found(_history(_asked()), without), "has 0 AccessStarted")
    assert _says(_found(_history(_asked()), _facts()[1:]), "no event says so")
    assert _says(_found(_history(_asked()), _facts(), start=None), "which the record lacks")
    assert _says(_found(_history(_asked()), _facts(), start=14.0), "which the record lacks")
    plain = _asked(starts_at=None)
    assert _says(_found(_history(plain), _facts(), start=None), "has 1 AccessStarted")


def test_a_start_is_missed_or_its_waiting_lapses() -> None:
    for start, kind, is_wrong in (
        (START, "AccessStartMissed", False),
        (START, "AccessLapsed", False),
        (None, "AccessLapsed", False),
        (None, "AccessStartMissed", True),
        (START, "AccessWithdrawn", True),
    ):
        history = _history(_asked(starts_at=start), Ruled("alice", False, 13.0, 13.2))
        rules = Edited("set", "web-1", BASE, 1.0, 1.1, due=STAGES["one"])
        history.edited.append(rules)
        facts = [_fact("AccessWaiting", 10.1), _fact(kind, 15.1)]
        record = Record({}, facts, BOOT.timestamp(), unopened={"tag": _request("lapsed", start)})
        note_openings(history, record)
        found = judge_waits(history, _model(history), record)
        assert bool(found) == is_wrong, (start, kind, found)


def test_what_is_answered_after_its_start_may_be_refused() -> None:
    for answered, is_wrong in ((15.1, False), (14.0, True)):
        asked = _asked(denied=START_PASSED, answered=answered, request_id="", waits=False)
        history = _history(asked)
        assert bool(list(judge._decisions(history, _model(history)))) == is_wrong
    other = _history(_asked(denied="PortNotInPolicy", answered=15.1, request_id="", waits=False))
    assert list(judge._decisions(other, _model(other)))


def test_in_the_schedules_starts_are_asked_for_everywhere_and_taken_back() -> None:
    starting = [
        step.action
        for seed in range(1, 21)
        for step in drawn(seed).steps
        if isinstance(step.action, Ask) and step.action.start_in
    ]
    assert {each.machine for each in starting} == {*MACHINES}
    assert {each.is_fixed for each in starting} == {True, False}
    for seed in range(1, 21):
        steps = drawn(seed).steps
        asked = [s for s in steps if isinstance(s.action, Ask) and s.action.start_in]
        for each in asked:
            assert isinstance(each.action, Ask)
            assert 0 < each.action.start_in < 5
    withdrawn = [
        (seed, step.action.person)
        for seed in range(1, 21)
        for asking in drawn(seed).steps
        if isinstance(asking.action, Ask) and asking.action.start_in
        for step in drawn(seed).steps
        if isinstance(step.action, Revoke)
        and step.action.person == asking.action.person
        and asking.at < step.at < asking.at + asking.action.start_in
    ]
    assert withdrawn


@pytest.mark.parametrize(("code", "is_told"), [(START_PASSED, True), ("StartTooFar", False)])
def test_a_server_that_answers_after_the_start_has_denied_it(
    monkeypatch: pytest.MonkeyPatch, code: str, is_told: bool
) -> None:
    def refuse(*_: object) -> None:
        raise InvalidInput("The start is over.", code=code)

    monkeypatch.setattr("bascule.client.access.ask", refuse)
    history = _history()
    asker = Asker(MagicMock(), history, "alice", MagicMock())
    wanted = Ask("alice", "web-1", (KEEP_PORT,), "client", 5.0, start_in=0.1)
    if is_told:
        asker.ask(wanted)
        (asked,) = history.asked
        assert (asked.denied, asked.answered is not None) == (START_PASSED, True)
    else:
        with pytest.raises(InvalidInput):
            asker.ask(wanted)
