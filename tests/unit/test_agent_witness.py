"""The agent as a witness: what it keeps, and when it raises the alarm (EDGES B9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bascule.agent.link import report_json
from bascule.agent.state import LARGEST
from bascule.agent.witness import FILE, KEPT_ASIDE, SAVE_SECONDS, Witness
from bascule.domain.chain import ChainHead
from bascule.services.fleet import Report


def told(position: int, digest: str = "", **more: Any) -> dict[str, Any]:
    return {"position": position, "hash": digest or f"{position:064x}", **more}


def seen(position: int) -> dict[str, Any]:
    """How the server answers who has seen that place."""
    return {"seenHash": f"{position:064x}"}


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    made = Witness(tmp_path)
    made.take(told(10))
    return made


def test_a_chain_that_grows_is_followed(witness: Witness) -> None:
    witness.take(told(10, **seen(10)))
    witness.take(told(15, **seen(10)))
    assert witness.head.position == 15
    assert (witness.pending(), witness.weaknesses()) == ((), ())
    assert witness.facts() == {"record seen": "event 15, 0000000000000000"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (told(9), "it ends at event 9 and went up to 10"),
        (told(0), "it ends at event 0"),
        (told(10, "f" * 64), "event 10 is another one"),
        (told(15, seenHash="f" * 64), "event 10 is another one"),
        (told(15, seenHash=None), "event 10 is another one"),
        (told(15, seenHash=None, begin=9), "event 10 is another one"),
        (told(15), "event 10 is another one"),
    ],
)
def test_another_past_is_an_alarm(witness: Witness, answer: dict[str, Any], says: str) -> None:
    witness.take(answer)
    (what,) = witness.pending()
    assert says in what
    (weakness,) = witness.weaknesses()
    assert says in weakness
    assert witness.status()["first"]["position"] == 10
    assert witness.head.position == answer["position"], "the new chain is witnessed from now on"


def test_what_retention_deleted_is_no_alarm(witness: Witness) -> None:
    witness.take(told(15, seenHash=None, begin=10))
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
    witness.take(nothing)
    assert witness.head.position == 10
    assert witness.weaknesses() == ()


def test_it_is_told_once_and_the_first_evidence_stays(witness: Witness) -> None:
    witness.take(told(9))
    reported = witness.pending()
    witness.take(told(8))
    witness.forget(reported)
    assert len(witness.pending()) == 1
    assert witness.status()["first"]["position"] == 10


def test_it_outlives_the_agent(witness: Witness, tmp_path: Path) -> None:
    witness.save(0.0)
    witness.take(told(5))
    witness.save(1.0)
    again = Witness(tmp_path)
    assert again.head == witness.head
    assert again.weaknesses() == witness.weaknesses()
    assert again.status() == json.loads((tmp_path / FILE).read_text())


def test_it_is_not_written_for_each_event(witness: Witness, tmp_path: Path) -> None:
    witness.save(0.0)
    witness.take(told(11, **seen(10)))
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
    again.take(told(LARGEST))
    assert again.head.position == LARGEST
    again.take(told(7))
    assert again.weaknesses(), "an alarm, and the new chain is witnessed"
    assert again.head.position == 7


def test_at_another_installation_it_begins_anew_and_keeps_the_old(tmp_path: Path) -> None:
    """An enrolment is root's word; else the first state there would be an alarm."""
    old = Witness(tmp_path, "one")
    old.take(told(10))
    old.save(0.0)
    text = (tmp_path / FILE).read_text()
    assert Witness(tmp_path, "one").head.position == 10
    anew = Witness(tmp_path, "other")
    assert anew.head == ChainHead()
    assert (tmp_path / KEPT_ASIDE).read_text() == text
    anew.take(told(3))
    anew.save(0.0)
    assert Witness(tmp_path, "other").head.position == 3


def test_without_a_directory_nothing_is_written() -> None:
    witness = Witness()
    witness.take(told(3))
    witness.save(0.0)
    assert witness.head.position == 3


def test_a_report_carries_it(witness: Witness) -> None:
    witness.take(told(9))
    report = Report(1, frozenset(), disputes=witness.pending(), notes=("other",))
    kinds = [(each["kind"], each["text"]) for each in report_json(report)["notes"]]
    assert kinds == [("record", witness.pending()[0]), ("note", "other")]
