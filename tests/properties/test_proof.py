"""Exports: whatever is done to one, it does not pass for whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from bascule.client.signature import RecordKeys
from bascule.domain.proof import Proof, Verdict
from bascule.identity.record_key import RecordKey
from tests.record_export import export_lines

with tempfile.TemporaryDirectory() as folder:
    KEY = RecordKey(Path(folder))
LINES = list(export_lines(KEY, 8))  # a header, eight events, a checkpoint
CHECK = RecordKeys([KEY.public_key])

places = st.integers(0, len(LINES) - 1)


def prove(lines: list[bytes]) -> Verdict:
    proof = Proof(CHECK)
    for line in lines:
        proof.take(line)
    return proof.verdict()


def test_the_untouched_one_is_whole() -> None:
    """The neighbour of all below."""
    assert prove(LINES).is_intact


@given(places, st.data())
def test_no_byte_can_be_changed(at: int, data: st.DataObject) -> None:
    """Of the header, an event or a checkpoint: not even one that means the same."""
    line = bytearray(LINES[at])
    byte = data.draw(st.integers(0, len(line) - 1))
    line[byte] ^= data.draw(st.integers(1, 255))
    assert not prove([*LINES[:at], bytes(line), *LINES[at + 1 :]]).is_intact


def test_a_checkpoint_passes_under_no_other_key_id() -> None:
    """Nor as one of a key that nobody has: its id is the one word of it that is not signed."""
    for digit in range(16):
        changed = LINES[-1].replace(KEY.key_id[1:].encode(), f"{digit:x}{KEY.key_id[2:]}".encode())
        assert prove([*LINES[:-1], changed]).is_intact is (changed == LINES[-1])


@given(places, st.binary(max_size=4), st.data())
def test_no_bytes_can_be_put_in(at: int, more: bytes, data: st.DataObject) -> None:
    assume(more)
    text = b"".join(LINES)
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + more + text[place:]
    assume(changed != text)
    assert not prove(changed.splitlines(keepends=True)).is_intact


@given(st.data())
def test_no_tail_can_be_cut(data: st.DataObject) -> None:
    """At any byte; but the last checkpoint alone, whose place the header signs as well."""
    text = b"".join(LINES[:-1])
    kept = data.draw(st.integers(0, len(text) - 1))
    assert not prove(text[:kept].splitlines(keepends=True)).is_intact


@given(st.permutations(range(len(LINES) - 1)), st.data())
def test_no_order_but_its_own(order: list[int], data: st.DataObject) -> None:
    """Nor with some of the lines twice, or away."""
    lines = [LINES[at] for at in order[: data.draw(st.integers(0, len(order)))]]
    lines += [LINES[at] for at in data.draw(st.lists(places, max_size=3))]
    events = [line for line in lines if line != LINES[-1]]
    assume(events != LINES[:-1])
    assert not prove(lines).is_intact
