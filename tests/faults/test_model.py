"""What the judge takes for allowed, and the neighbour that it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.faults.history import Asked, Disturbed, Edited, Extended, History, Revoked, Ruled
from tests.faults.model import REACTION, RECOVERY, Beginning, Model, Recorded, covers
from tests.faults.run import BASE
from tests.faults.schedule import GATEWAY, GATEWAY2, KEEP_PORT, KILL_PORT, SOURCES

CLIENT, STRANGER = "10.203.0.10", "10.203.0.11"
CLOSED = frozenset({KEEP_PORT, KILL_PORT})


def _asked(**changes: object) -> Asked:
    made = Asked("tag", "alice", "web-1", (KEEP_PORT,), SOURCES["client"], 5.0, 10.0, 10.2, "r")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _model(*events: object, closed: frozenset[int] = CLOSED) -> Model:
    history = History(1, 0.0)
    lists: dict[type, list[Any]] = {
        Asked: history.asked,
        Edited: history.edited,
        Extended: history.extended,
        Revoked: history.revoked,
        Ruled: history.ruled,
        Disturbed: history.disturbed,
    }
    for event in events:
        lists[type(event)].append(event)
    return Model(history, {"web-1": Beginning(BASE, closed)})


def _passes(model: Model, at: float, source: str = CLIENT, port: int = KEEP_PORT) -> bool:
    return covers(model.spans("web-1", port, source), at, at + 0.01, 0.0)


def test_a_grant_counts_from_its_sending_to_the_end_that_was_asked_for() -> None:
    model = _model(_asked())
    assert not _passes(model, 9.9)
    assert _passes(model, 10.0)
    assert _passes(model, 15.1)
    assert not _passes(model, 15.3)


def test_only_its_source_and_its_port_are_covered() -> None:
    model = _model(_asked())
    assert not _passes(model, 12, STRANGER)
    assert not _passes(model, 12, port=KILL_PORT)
    assert _passes(_model(_asked(source=SOURCES["half"])), 12, STRANGER)


def test_a_denied_request_covers_nothing() -> None:
    assert not _passes(_model(_asked(denied="SourceNotAllowed", request_id="")), 12)


def test_a_lost_answer_counts_when_the_record_has_the_request() -> None:
    lost = _asked(answered=None, request_id="")
    assert not _passes(_model(lost), 12)
    model = _model(lost)
    model.recorded = {("tag", KEEP_PORT): Recorded(10.1)}
    assert _passes(model, 15.0)
    assert not _passes(model, 15.2)


@pytest.mark.parametrize(
    "ending",
    [
        Revoked("r", 11.0, 11.1),
        Edited("set", "web-1", {KILL_PORT: ("*",)}, 11.0, 11.1),
        Edited("set", "web-1", {KEEP_PORT: (STRANGER,)}, 11.0, 11.1),
        Edited("delete", "web-1", {}, 11.0, 11.1),
        Ruled("alice", False, 11.0, 11.1),
        _asked(tag="newer", sent=11.0, answered=11.1, seconds=0.1, request_id="newer"),
    ],
)
def test_what_ends_a_grant_holds_after_the_time_it_takes_to_tell(ending: object) -> None:
    model = _model(_asked(seconds=50.0), ending)
    assert _passes(model, 11.0 + REACTION)
    assert not _passes(model, 11.2 + REACTION)


def test_another_s_role_and_one_that_is_given_back_end_nothing() -> None:
    given = Ruled("alice", True, 11.0, 11.1)
    assert _passes(_model(_asked(seconds=50.0), Ruled("bob", False, 11.0, 11.1), given), 40.0)


def test_a_role_is_known_to_be_held_only_while_nobody_changes_it() -> None:
    model = _model(Ruled("alice", False, 11.0, 11.5), Ruled("alice", True, 13.0, 13.5))
    assert model.holds_role("alice", 10.0, 10.9) is True
    assert model.holds_role("alice", 11.2, 11.3) is None
    assert model.holds_role("alice", 11.6, 12.9) is False
    assert model.holds_role("alice", 11.6, 13.1) is None
    assert model.holds_role("alice", 13.6, 13.9) is True
    assert model.holds_role("bob", 11.6, 12.9) is True


def test_a_disturbance_gives_more_time_and_no_more_than_the_grant_has() -> None:
    cut = Disturbed(("web-1",), "cut", 11.5, 13.0)
    model = _model(_asked(seconds=50.0), Revoked("r", 11.0, 11.1), cut)
    assert _passes(model, 12.9 + RECOVERY)
    assert not _passes(model, 13.1 + RECOVERY)
    short = _model(_asked(seconds=3.0), Revoked("r", 11.0, 11.1), cut)
    assert not _passes(short, 13.3)


def test_another_machine_s_disturbance_gives_none() -> None:
    cut = Disturbed(("db-1",), "cut", 11.5, 13.0)
    model = _model(_asked(seconds=50.0), Revoked("r", 11.0, 11.1), cut)
    assert not _passes(model, 11.2 + REACTION)


def test_a_gateway_s_disturbance_gives_more_time_there_and_none_at_the_other() -> None:
    cut = Disturbed((GATEWAY2,), "cut", 11.5, 13.0)
    history = History(1, 0.0, disturbed=[cut])
    history.asked.append(_asked(machine="app-1", seconds=50.0))
    history.revoked.append(Revoked("r", 11.0, 11.1))
    model = Model(history, {"app-1": Beginning(BASE, CLOSED)})

    def passes(at: float, way: str) -> bool:
        return covers(model.spans("app-1", KEEP_PORT, CLIENT, way=way), at, at + 0.01, 0.0)

    assert passes(12.9 + RECOVERY, GATEWAY2)
    assert not passes(13.1 + RECOVERY, GATEWAY2)
    assert passes(11.0 + REACTION, GATEWAY)
    assert not passes(11.2 + REACTION, GATEWAY)


def test_read_back_shut_is_shut_at_once() -> None:
    model = _model(_asked(seconds=50.0), Revoked("r", 11.0, 11.1))
    model.recorded = {("tag", KEEP_PORT): Recorded(10.1, (), closed_at=11.3)}
    assert not _passes(model, 11.4)


def test_an_extension_lengthens_when_it_was_granted() -> None:
    assert _passes(_model(_asked(), Extended("r", 9.0, 12.0, 12.1)), 21.0)
    assert not _passes(_model(_asked(), Extended("r", 9.0, 12.0, 12.1, "GrantNotLive")), 16.0)


def test_a_release_opens_from_its_sending_until_the_next_closing_is_told() -> None:
    model = _model(
        Edited("remove", "web-1", {}, 11.0, 11.1),
        Edited("set", "web-1", BASE, 13.0, 13.1),
    )
    assert not _passes(model, 10.9, STRANGER)
    assert _passes(model, 11.0, STRANGER)
    assert _passes(model, 13.0 + REACTION, STRANGER)
    assert not _passes(model, 13.2 + REACTION, STRANGER)


def test_what_policies_stop_naming_stays_shut() -> None:
    model = _model(
        Edited("set", "web-1", {KILL_PORT: ("*",)}, 11.0, 11.1),
        Edited("delete", "web-1", {}, 12.0, 12.1),
    )
    assert not _passes(model, 20.0)
    assert model.closed("web-1") == (CLOSED, frozenset())


def test_a_closing_that_a_deletion_overtakes_may_never_have_been_told() -> None:
    model = _model(
        Edited("set", "web-1", {**BASE, 8003: ("*",)}, 11.0, 11.1),
        Edited("delete", "web-1", {}, 12.0, 12.1),
    )
    assert model.closed("web-1") == (CLOSED, frozenset({8003}))
    assert model.releases("web-1", 8003)[-1].end == math.inf


def test_rules_are_known_only_while_nobody_edits() -> None:
    model = _model(Edited("set", "web-1", {}, 11.0, 11.5))
    assert model.rules_during("web-1", 10.0, 10.9) == BASE
    assert model.rules_during("web-1", 11.2, 11.3) is None
    assert model.rules_during("web-1", 11.6, 12.0) == {}
