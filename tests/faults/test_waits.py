"""What the judge takes for an approval, and the neighbour that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bascule.client.access import AccessRequest
from bascule.client.approval import Approval
from tests.faults.approvals import drawn
from tests.faults.history import Answered, Asked, Edited, History, Ordered, Revoked, Ruled, Trusted
from tests.faults.judge_waits import judge_waits, note_openings, unapproved
from tests.faults.model import Beginning, Model
from tests.faults.record import Fact, Record
from tests.faults.run import BASE
from tests.faults.schedule import (
    APPROVERS,
    BOTH,
    KEEP_PORT,
    KILL_PORT,
    SOURCES,
    STAGES,
    Answer,
    Ask,
    SetGate,
    SetRule,
    SetRules,
    TakeVoice,
)
from tests.faults.waits import dues, is_enough

AT = datetime(2030, 1, 1, tzinfo=UTC)
GRANTED = 12.0
_LISTS: Mapping[type, str] = {
    Asked: "asked",
    Edited: "edited",
    Answered: "answers",
    Ordered: "ordered",
    Revoked: "revoked",
    Ruled: "ruled",
    Trusted: "trusted",
}


def _history(*events: object) -> History:
    history = History(1, 0.0, healed=20.0)
    for event in events:
        getattr(history, _LISTS[type(event)]).append(event)
    return history


def _asked(**changes: Any) -> Asked:
    source = SOURCES["client"]
    made = Asked("tag", "alice", "web-1", (KEEP_PORT,), source, 5.0, 10.0, 10.2, "r", waits=True)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _set(asks: str, sent: float = 1.0, answered: float | None = 1.1) -> Edited:
    return Edited("set", "web-1", BASE, sent, answered, due=STAGES[asks])


def _yes(name: str, sent: float = 11.0, **changes: Any) -> Answered:
    made = Answered(name, "r", "alice", True, "d", sent, sent + 0.2)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def _taken(name: str, sent: float, answered: float) -> Trusted:
    return Trusted(name, False, False, sent, answered)


def _request(state: str, *, waited: bool = True) -> AccessRequest:
    waiting = Approval("d", AT, AT, None, None, None, None, (), None, False, False, False, "")
    approval = waiting if waited else None
    return AccessRequest("r", "alice", "a", "tag", "", state, AT, None, (), (), approval)


def _fact(kind: str, at: float, actor: str = "") -> Fact:
    return Fact(1, at, kind, {"request_id": "r", "grant_id": "g"}, "", actor)


def _found(history: History, *facts: Fact, state: str = "open", waited: bool = True) -> list[str]:
    """What the judge says of one request in this state, with the facts beside."""
    request = {"tag": _request(state, waited=waited)}
    all_facts = list(facts)
    if waited:
        all_facts.insert(0, _fact("AccessWaiting", 10.1))
    if state == "open":
        all_facts.append(_fact("GrantCreated", GRANTED))
        record = Record(request, all_facts, 0.0)
    else:
        record = Record({}, all_facts, 0.0, unopened=request)
    note_openings(history, record)
    model = Model(history, {"web-1": Beginning(BASE, frozenset())})
    return judge_waits(history, model, record)


def _told(*names: str) -> list[Fact]:
    return [_fact("AccessApproved", 11.1, f"{name}@faults.example") for name in names]


def test_each_stage_has_its_number_and_a_person_counts_once() -> None:
    assert is_enough((), frozenset())
    assert is_enough(STAGES["two"], frozenset({"erin", "frank"}))
    assert not is_enough(STAGES["two"], frozenset({"erin"}))
    assert not is_enough(STAGES["two"], frozenset({"erin", "heidi"})), "not in the group"
    assert is_enough(STAGES["each"], frozenset({"grace", "erin"}))
    assert not is_enough(STAGES["each"], frozenset({"grace"})), "of both groups, and one person"


def test_what_is_due_is_what_every_policy_asks_for() -> None:
    gate = Edited("gate", "web-1", {}, 2.0, 2.1, due=STAGES["two"])
    history = _history(_set("one"), gate, Ordered("alice", STAGES["each"], 3.0, 3.1))
    both = (*STAGES["each"], *STAGES["two"])
    assert dues(history, _asked(ports=(KILL_PORT,)), 10, 11) == {both}, "equal stages are one"
    assert dues(history, _asked(), 10, 11) == {STAGES["each"]}, "the gate names another port"
    assert dues(history, _asked(person="bob"), 10, 11) == {STAGES["one"]}
    never = Edited("gate", "web-1", {}, 4.0, 4.1, due=None)
    assert dues(_history(never), _asked(ports=(KILL_PORT,)), 10, 11) == {None}
    removed = Edited("remove", "web-1", {}, 5.0, 5.1)
    assert dues(_history(never, removed), _asked(ports=(KILL_PORT,)), 10, 11) == {()}


def test_while_rules_change_either_may_be_due() -> None:
    history = _history(_set("one", 10.5, 10.7))
    assert dues(history, _asked(), 10.6, 10.6) == {(), STAGES["one"]}
    assert dues(history, _asked(), 10.8, 10.8) == {STAGES["one"]}
    assert dues(_history(_set("one", 10.5, None)), _asked(), 12, 12) == {(), STAGES["one"]}


def test_the_last_yes_opens_and_nothing_before() -> None:
    assert not _found(_history(_asked(), _set("one"), _yes("erin")), *_told("erin"))
    for history in (
        _history(_asked(), _set("one")),
        _history(_asked(), _set("two"), _yes("erin")),
        _history(_asked(), _set("one"), _yes("heidi", denied="NotAsked")),
        _history(_asked(), _set("one"), _yes("erin", 12.2)),  # after it was granted
    ):
        assert any("without the approvals due" in each for each in _found(history)), history
    assert not _found(_history(_asked(waits=False)), waited=False)
    assert _found(_history(_asked(waits=False), _set("one")), waited=False)


def test_what_opened_without_approvals_covers_nothing() -> None:
    history = _history(_asked(), _set("one"))
    record = Record({"tag": _request("open")}, [_fact("GrantCreated", GRANTED)], 0.0)
    note_openings(history, record)
    model = Model(history, {"web-1": Beginning(BASE, frozenset({KEEP_PORT}))})
    assert model.spans("web-1", KEEP_PORT, SOURCES["client"])
    model.unapproved = unapproved(history, record)
    assert not model.spans("web-1", KEEP_PORT, SOURCES["client"])


def test_what_waits_is_open_from_its_grant_for_as_long_as_was_asked_for() -> None:
    waits, fixed = _asked(opened=GRANTED), _asked(opened=GRANTED, is_fixed=True)
    for asked, end in ((waits, 17.0), (fixed, 15.0)):
        model = Model(_history(asked), {"web-1": Beginning(BASE, frozenset({KEEP_PORT}))})
        (span,) = model.spans("web-1", KEEP_PORT, SOURCES["client"])
        assert (span.start, span.end) == (GRANTED - 0.1, end)
    model = Model(_history(_asked()), {"web-1": Beginning(BASE, frozenset({KEEP_PORT}))})
    assert not model.spans("web-1", KEEP_PORT, SOURCES["client"]), "it waits"


def test_a_yes_whose_right_was_taken_counts_no_more() -> None:
    yes = _yes("erin")
    before, after = _taken("erin", 11.3, 11.5), _taken("erin", 12.1, 12.3)
    told = _told("erin")
    assert _found(_history(_asked(), _set("one"), yes, before), *told)
    assert not _found(_history(_asked(), _set("one"), yes, after), *told)
    again = Trusted("erin", True, False, 11.6, 11.7)
    assert _found(_history(_asked(), _set("one"), yes, before, again), *told), "it was void"


def test_ones_own_yes_and_that_of_who_lost_the_right_are_not_heard() -> None:
    own = _yes(BOTH, requestor=BOTH)
    found = _found(_history(_asked(person=BOTH), _set("one"), own), *_told(BOTH))
    assert any("approved what they had asked for" in each for each in found)
    refused = _yes(BOTH, requestor=BOTH, denied="OwnRequest")
    history = _history(_asked(person=BOTH), _set("one"), refused)
    assert not _found(history, _fact("AccessWithdrawn", 15), state="withdrawn")
    lost = _history(_asked(), _set("one"), _taken("erin", 1.0, 1.2), _yes("erin"))
    assert any("without the right" in each for each in _found(lost, *_told("erin")))


def test_no_yes_is_lost_and_none_made_up() -> None:
    history = _history(_asked(), _set("one"), _yes("erin"))
    assert any("0 events say so" in each for each in _found(history))
    assert any("2 events say so" in each for each in _found(history, *_told("erin", "erin")))
    unsure = _history(_asked(), _set("one"), _yes("erin", answered=None))
    assert not _found(unsure, *_told("erin"))


def test_nothing_opens_after_it_is_over() -> None:
    told = _told("erin")
    for event in (
        _yes("heidi", 11.3, is_yes=False),
        Revoked("r", 11.3, 11.5),
        Ruled("alice", False, 11.3, 11.5),
        Edited("set", "web-1", {KILL_PORT: ("*",)}, 11.3, 11.5, due=STAGES["one"]),
        Edited("delete", "web-1", {}, 11.3, 11.5),
    ):
        facts = [*told]
        if isinstance(event, Answered):
            facts.append(_fact("AccessNotApproved", 11.4, "heidi@faults.example"))
        found = _found(_history(_asked(), _set("one"), _yes("erin"), event), *facts)
        assert any("was granted at 12.000 s after" in each for each in found), event
    late = _asked(is_fixed=True, seconds=1.5)
    assert any(
        "the end" in each for each in _found(_history(late, _set("one"), _yes("erin")), *told)
    )


def test_each_waiting_comes_to_one_end() -> None:
    history = _history(_asked(), _set("one"))
    assert not _found(history, _fact("AccessLapsed", 15), state="lapsed")
    assert _found(history, state="lapsed")
    assert _found(history, _fact("AccessWithdrawn", 15), state="lapsed")
    assert _found(history, *[_fact("AccessLapsed", 15)] * 2, state="lapsed")
    assert _found(history, _fact("AccessLapsed", 15), _fact("GrantCreated", 15), state="lapsed")
    assert _found(history, state="waiting"), "it was put back"


def test_what_has_all_its_approvals_waits_no_longer() -> None:
    withdrawn = _fact("AccessWithdrawn", 22)
    history = _history(_asked(), _set("two"), _yes("erin"), _yes("frank"))
    told = _told("erin", "frank")
    assert any("waits on" in e for e in _found(history, *told, withdrawn, state="withdrawn"))
    history = _history(_asked(), _set("two"), _yes("erin"))
    assert not _found(history, *_told("erin"), withdrawn, state="withdrawn")


def test_what_needs_no_approval_does_not_wait() -> None:
    lapsed = _fact("AccessLapsed", 15)
    assert any(
        "no approval was due" in e for e in _found(_history(_asked()), lapsed, state="lapsed")
    )


def test_in_the_schedules_everything_is_done_to_what_waits() -> None:
    steps = [step.action for seed in range(1, 41) for step in drawn(seed).steps]
    assert {each.approver for each in steps if isinstance(each, Answer)} == {*APPROVERS}
    assert Answer(BOTH, BOTH) in steps, "one's own"
    assert any(isinstance(each, Answer) and not each.is_yes for each in steps)
    assert {each.is_disabled for each in steps if isinstance(each, TakeVoice)} == {True, False}
    for kind in (SetRules, SetRule):
        assert {each.asks for each in steps if isinstance(each, kind)} == {*STAGES}
    assert {each.asks for each in steps if isinstance(each, SetGate)} == {*STAGES, "never"}
    assert {each.is_fixed for each in steps if isinstance(each, Ask)} == {True, False}
    assert drawn(7) == drawn(7)
