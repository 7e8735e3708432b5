"""A restore that is signed with the recovery key settles a witness; nothing else does (EDGES I6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bascule.agent.witness import FILE, RECORD_RESTORED, Witness
from bascule.cli.witness import read_witnesses
from bascule.domain.chain import ChainHead
from bascule.domain.restoration import Restoration
from bascule.identity.recovery_key import RecoveryKey
from bascule.protocol.state import RecordMark

NOW = datetime(2030, 1, 31, 17, tzinfo=UTC)
KEY, OTHER = RecoveryKey(b"k" * 16), RecoveryKey(b"o" * 16)
OLD, NEW = ChainHead(100, "a" * 64), ChainHead(103, "b" * 64)
RESTORED = KEY.sign(Restoration("tenant", 7, NOW, OLD, NEW, "disk failed"))
LATER = ChainHead(200, "c" * 64)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """It has seen the record come to event 148, and knows the recovery key."""
    made = Witness(tmp_path, "tenant")
    made.take(RecordMark(148, "d" * 64, recovery_key=KEY.public.text), NOW)
    return made


def told(head: ChainHead, *restored: Restoration, key: RecoveryKey = KEY) -> RecordMark:
    return RecordMark(head.position, head.hash, recovery_key=key.public.text, restored=restored)


@pytest.mark.parametrize("head", [NEW, LATER])
def test_a_signed_restore_settles_it_and_the_evidence_stays(
    witness: Witness, tmp_path: Path, head: ChainHead
) -> None:
    witness.take(told(head, RESTORED), NOW)
    assert (witness.pending(), witness.weaknesses()) == ((), ())
    assert witness.facts()[RECORD_RESTORED].startswith(
        "on 2030-01-31 17:00 UTC; before, event 148,"
    )
    (kept,) = witness.status()["restored"]
    assert kept["before"] == {"position": 148, "hash": "d" * 64}
    assert kept["reason"] == "disk failed"
    witness.save(0.0)
    again = Witness(tmp_path, "tenant")
    assert again.restored == witness.restored
    assert again.recovery_key == KEY.public.text
    places = [each.head.position for each in read_witnesses(tmp_path / FILE)]
    assert 148 not in places, "that is of the record that was lost: it verifies nothing"


def test_the_place_that_was_signed_has_to_be_in_the_record(witness: Witness) -> None:
    """A server that shows a restore and has another record is found at the next state."""
    witness.take(told(LATER, RESTORED), NOW)
    assert witness.weaknesses() == ()
    assert (witness.head, witness.told) == (NEW, LATER)
    witness.take(RecordMark(210, "e" * 64, seen_hash="f" * 64, told_hash=LATER.hash), NOW)
    (weakness,) = witness.weaknesses()
    assert "event 103 has changed" in weakness.text


def test_it_goes_on_from_there(witness: Witness) -> None:
    witness.take(told(LATER, RESTORED), NOW)
    witness.take(RecordMark(210, "e" * 64, seen_hash=NEW.hash, told_hash=LATER.hash), NOW)
    assert witness.weaknesses() == ()
    assert witness.head.position == 210


@pytest.mark.parametrize(
    "statement",
    [
        replace(RESTORED, signature=""),
        replace(RESTORED, reason="another"),
        replace(RESTORED, old=ChainHead(1, "a" * 64)),
        OTHER.sign(RESTORED),
        KEY.sign(replace(RESTORED, tenant_id="another installation")),
        KEY.sign(replace(RESTORED, old=ChainHead(148, "a" * 64))),  # what was seen is in the backup
        KEY.sign(replace(RESTORED, new=ChainHead(201, "b" * 64))),  # the record has not come so far
        KEY.sign(replace(RESTORED, new=ChainHead(200, "b" * 64))),  # something else is there
    ],
)
def test_what_does_not_fit_is_the_alarm_as_without_it(
    witness: Witness, statement: Restoration
) -> None:
    witness.take(told(LATER, statement), NOW)
    assert len(witness.pending()) == 1
    assert witness.weaknesses()
    assert witness.restored == ()


def test_a_server_that_brings_its_own_key_settles_nothing(witness: Witness) -> None:
    """The first that was told counts."""
    witness.take(told(LATER, OTHER.sign(RESTORED), key=OTHER), NOW)
    assert witness.weaknesses()
    assert witness.recovery_key == KEY.public.text


def test_who_was_told_no_key_is_not_settled(tmp_path: Path) -> None:
    """A server that tells its first key with its first lie: root decides, as before."""
    witness = Witness(tmp_path, "tenant")
    witness.take(RecordMark(148, "d" * 64), NOW)
    witness.take(told(LATER, RESTORED), NOW)
    assert witness.weaknesses()


def test_a_restore_explains_once(witness: Witness) -> None:
    """The same words again, for another cut."""
    witness.take(told(LATER, RESTORED), NOW)
    witness.take(RecordMark(210, "e" * 64, seen_hash=NEW.hash, told_hash=LATER.hash), NOW)
    witness.take(told(ChainHead(150, "9" * 64), RESTORED), NOW)
    assert "it ends at event 150, but reached event 210" in witness.weaknesses()[0].text


def test_who_was_away_over_two_restores_is_settled(witness: Witness) -> None:
    second = KEY.sign(
        Restoration("tenant", 9, NOW, ChainHead(180, "1" * 64), ChainHead(184, "2" * 64), "again")
    )
    witness.take(told(LATER, second, RESTORED), NOW)
    assert witness.weaknesses() == ()
    witness.take(RecordMark(210, "e" * 64, seen_hash=NEW.hash, told_hash=LATER.hash), NOW)
    assert witness.weaknesses() == ()


def test_what_a_line_tells_waits_for_the_state_that_explains_it(witness: Witness) -> None:
    witness.hear(ChainHead(148, "9" * 64))
    assert witness.weaknesses() == ()
    witness.take(told(LATER, RESTORED), NOW)
    assert witness.weaknesses() == ()


def test_what_a_line_tells_and_no_state_explains_is_an_alarm(witness: Witness) -> None:
    witness.hear(ChainHead(148, "9" * 64))
    witness.take(RecordMark(149, "e" * 64, seen_hash="d" * 64), NOW)
    assert "event 148 has changed" in witness.weaknesses()[0].text
