"""The agent as a witness: what it keeps, and when it raises the alarm (EDGES B9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.agent.state import read_state
from bascule.agent.witness import FILE, KEPT_ASIDE, MOST_MARKS, SAVE_SECONDS, Witness
from bascule.domain.chain import ChainHead
from bascule.domain.desired import DesiredState
from bascule.protocol.codec import encode
from bascule.protocol.report import Report
from bascule.protocol.shape import LARGEST
from bascule.protocol.state import State

NOW = datetime(2030, 1, 31, 17, tzinfo=UTC)
DAY = timedelta(days=1)


def told(position: int, digest: str = "", **more: Any) -> dict[str, Any]:
    return {"position": position, "hash": digest or f"{position:064x}", **more}


def take(witness: Witness, told: object, now: datetime) -> None:
    """As the agent takes it, from a state of the server."""
    state = encode(State(DesiredState("uid", 1, frozenset(), {}, ()), "web-1", NOW))
    witness.take(read_state({**state, "record": told}).record, now)


def seen(position: int) -> dict[str, Any]:
    """How the server answers who has seen that place."""
    return {"seenHash": f"{position:064x}"}


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    made = Witness(tmp_path)
    take(made, told(10), NOW)
    return made


def test_a_chain_that_grows_is_followed(witness: Witness) -> None:
    take(witness, told(10, **seen(10)), NOW)
    take(witness, told(15, **seen(10)), NOW)
    assert witness.head.position == 15
    assert (witness.pending(), witness.weaknesses()) == ((), ())
    assert witness.facts() == {"record seen": "event 15, 0000000000000000"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (told(9), "it ends at event 9, but reached event 10 before"),
        (told(0), "it ends at event 0"),
        (told(10, "f" * 64), "event 10 has changed"),
        (told(15, seenHash="f" * 64), "event 10 has changed"),
        (told(15, seenHash=None), "event 10 has changed"),
        (told(15, seenHash=None, begin=9), "event 10 has changed"),
        (told(15), "event 10 has changed"),
    ],
)
def test_another_past_is_an_alarm(witness: Witness, answer: dict[str, Any], says: str) -> None:
    take(witness, answer, NOW)
    (what,) = witness.pending()
    assert says in what
    (weakness,) = witness.weaknesses()
    assert says in weakness.text
    assert witness.status()["first"]["position"] == 10
    assert witness.head.position == answer["position"], "the new chain is witnessed from now on"


def test_what_retention_deleted_is_no_alarm(witness: Witness) -> None:
    take(witness, told(15, seenHash=None, begin=10), NOW)
    assert witness.weaknesses() == ()


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        {},
        [],
        {"position": "7", "hash": "x"},
        {"position": -1, "hash": ""},
        told(LARGEST + 1, **seen(10)),  # the next asking with it would be refused, for ever
    ],
)
def test_a_server_that_says_nothing_of_it_changes_nothing(witness: Witness, nothing: Any) -> None:
    take(witness, nothing, NOW)
    assert witness.head.position == 10
    assert witness.weaknesses() == ()


def test_it_is_told_once_and_the_first_evidence_stays(witness: Witness) -> None:
    take(witness, told(9), NOW)
    reported = witness.pending()
    take(witness, told(8), NOW)
    witness.forget(reported)
    assert len(witness.pending()) == 1
    assert witness.status()["first"]["position"] == 10


def test_it_outlives_the_agent(witness: Witness, tmp_path: Path) -> None:
    witness.save(0.0)
    take(witness, told(5), NOW)
    witness.save(1.0)
    again = Witness(tmp_path)
    assert again.head == witness.head
    assert again.weaknesses() == witness.weaknesses()
    assert again.status() == json.loads((tmp_path / FILE).read_text())


def test_it_is_not_written_for_each_event(witness: Witness, tmp_path: Path) -> None:
    witness.save(0.0)
    take(witness, told(11, **seen(10)), NOW)
    witness.save(1.0)
    assert Witness(tmp_path).head.position == 10
    witness.save(SAVE_SECONDS)
    assert Witness(tmp_path).head.position == 11


@pytest.mark.parametrize("text", ["", "[]", "{", '{"head": 7}', '{"head": null, "first": 3}'])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert Witness(tmp_path).head.position == 0


def test_a_place_that_cannot_be_is_not_taken_from_a_file(tmp_path: Path) -> None:
    """One of before this was refused must not lock an agent out."""
    first = {**told(2**60), "what": "it ends"}
    (tmp_path / FILE).write_text(json.dumps({"head": told(2**60), "first": first}))
    again = Witness(tmp_path)
    assert (again.head, again.first) == (ChainHead(), None)
    take(again, told(LARGEST), NOW)
    assert again.head.position == LARGEST
    take(again, told(7), NOW)
    assert again.weaknesses(), "an alarm, and the new chain is witnessed"
    assert again.head.position == 7


def test_at_another_installation_it_begins_anew_and_keeps_the_old(tmp_path: Path) -> None:
    """An enrolment is root's word; else the first state there would be an alarm."""
    old = Witness(tmp_path, "one")
    take(old, told(10), NOW)
    old.save(0.0)
    text = (tmp_path / FILE).read_text()
    assert Witness(tmp_path, "one").head.position == 10
    anew = Witness(tmp_path, "other")
    assert anew.head == ChainHead()
    assert (tmp_path / KEPT_ASIDE).read_text() == text
    take(anew, told(3), NOW)
    anew.save(0.0)
    assert Witness(tmp_path, "other").head.position == 3


def test_without_a_directory_nothing_is_written() -> None:
    witness = Witness()
    take(witness, told(3), NOW)
    witness.save(0.0)
    assert witness.head.position == 3


def test_a_report_carries_it(witness: Witness) -> None:
    take(witness, told(9), NOW)
    report = Report(1, frozenset(), disputes=witness.pending(), notes=("other",))
    sent = encode(report)
    assert (sent["disputes"], sent["notes"]) == ([witness.pending()[0]], ["other"])


# -- marks (EDGES E2) ------------------------------------------------------------------------

FLOOR = 90 * 86_400_000  # milliseconds


def of_day(day: int, begin: int = 0, floor: int = FLOOR) -> dict[str, Any]:
    """What the server says on a day: ten events more, and where its record begins."""
    more = {} if day == 0 else seen(10 * day)
    return told(10 + 10 * day, begin=begin, floorMs=floor, **more)


def through_days(witness: Witness, days: int, begins: Callable[[int], int]) -> None:
    for day in range(days):
        take(witness, of_day(day, begins(day)), NOW + day * DAY)


def test_retention_at_the_floor_is_no_alarm(tmp_path: Path) -> None:
    """Each day goes what is older than 90 days, and no more."""
    witness = Witness(tmp_path)
    through_days(witness, 200, lambda day: max(0, 10 * (day - 90)))
    assert witness.weaknesses() == ()
    assert witness.pending() == ()


def test_what_was_deleted_before_its_time_is_an_alarm_once(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    through_days(witness, 100, lambda _: 0)
    last = witness.marks[-1].head.position
    take(witness, told(2000, begin=1500, floorMs=FLOOR, **seen(last)), NOW + 100 * DAY)
    (what,) = witness.pending()
    assert "events up to 1500 were deleted" in what
    assert "to be kept for 90 days" in what
    (weakness,) = witness.weaknesses()
    assert what in weakness.text
    take(witness, told(2001, begin=1500, floorMs=FLOOR, **seen(2000)), NOW + 101 * DAY)
    assert witness.pending() == (what,)


def test_a_day_too_early_is_an_alarm(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    through_days(witness, 100, lambda day: max(0, 10 * (day - 88)) + 5)
    assert witness.weaknesses()


def test_what_was_deleted_on_the_first_day_is_an_alarm(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    take(witness, told(10, begin=0, floorMs=FLOOR), NOW)
    take(witness, told(30, begin=25, floorMs=FLOOR, seenHash=None), NOW + DAY / 24)
    assert witness.weaknesses()


@pytest.mark.parametrize("later", [86_400_000, FLOOR * 4, 0, None, "90"])
def test_the_floor_is_the_one_that_was_told_first(tmp_path: Path, later: Any) -> None:
    witness = Witness(tmp_path)
    through_days(witness, 30, lambda _: 0)
    take(witness, of_day(30, begin=250, floor=later), NOW + 30 * DAY)
    assert witness.floor == timedelta(days=90)
    assert witness.weaknesses()


@pytest.mark.parametrize("floor", [0, -1, 86_399_999, 2**60, True, "9000000000", None])
def test_a_floor_that_none_of_ours_has_is_not_kept(tmp_path: Path, floor: Any) -> None:
    witness = Witness(tmp_path)
    take(witness, told(10, begin=0, floorMs=floor), NOW)
    assert (witness.floor, witness.marks) == (None, ())


def test_marks_outlive_the_agent_and_have_a_bound(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    through_days(witness, MOST_MARKS + 50, lambda _: 0)
    assert len(witness.marks) == MOST_MARKS
    witness.save(0.0)
    again = Witness(tmp_path)
    assert (again.marks, again.floor) == (witness.marks, witness.floor)


def test_a_clock_that_was_ahead_makes_no_mark_of_the_future(tmp_path: Path) -> None:
    """Else it would be young for years, and each honest deletion an alarm."""
    witness = Witness(tmp_path)
    take(witness, of_day(0), NOW + 4000 * DAY)
    through_days(witness, 120, lambda day: max(0, 10 * (day - 91)))
    assert witness.weaknesses() == ()


def test_a_clock_that_is_ahead_for_a_while_loses_no_mark(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    through_days(witness, 20, lambda _: 0)
    take(witness, of_day(20), NOW + 900 * DAY)
    take(witness, of_day(21, begin=150), NOW + 21 * DAY)
    assert witness.weaknesses()


@pytest.mark.parametrize(
    "marks", [7, [1], [{}], [{**told(3), "at": "soon"}], [{**told(3), "at": 9}]]
)
def test_marks_that_cannot_be_read_are_left_out(tmp_path: Path, marks: Any) -> None:
    (tmp_path / FILE).write_text(json.dumps({"head": told(3), "marks": marks}))
    again = Witness(tmp_path)
    assert (again.head.position, again.marks) == (3, ())


def test_a_hash_without_end_is_none_that_can_be_kept() -> None:
    """It would be on the host's disk, and in its memory, for ever (EDGES E4)."""
    witness = Witness()
    take(witness, {"position": 5, "hash": "f" * 1_000_000}, NOW)
    assert witness.head.position == 0


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{", "null"])
def test_what_was_seen_and_cannot_be_read_stops_no_agent_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    Witness(tmp_path)
    assert not capsys.readouterr().out
    (tmp_path / "witness.json").write_text(text)
    assert Witness(tmp_path).head.position == 0
    assert "cannot be read" in capsys.readouterr().out


def test_a_restore_with_a_number_that_is_none_is_not_read(tmp_path: Path) -> None:
    head = {"position": 1, "hash": "0" * 64}
    restored = f'[{{"number": 1e999, "at": "2030-01-01T00:00:00Z", "before": {json.dumps(head)}}}]'
    (tmp_path / "witness.json").write_text(
        f'{{"head": {json.dumps(head)}, "restored": {restored}}}'
    )
    assert Witness(tmp_path).head.position == 1
