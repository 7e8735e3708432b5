"""Exports that hold, and every way of touching one: each is found and called by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pytest

from bascule.domain.chain import (
    ChainHead,
    Checkpoint,
    Link,
    checkpoint_json,
    export_statement,
    link_after,
)
from bascule.domain.proof import (
    BreakKind,
    Proof,
    Verdict,
    Witness,
    checkpoint_line,
    line_of,
    link_line,
)
from tests.samples import NOW

OURS, OTHER = "ours", "other"
COUNT = 12


def sign(key_id: str, statement: bytes) -> str:
    """Stands for a signature: only who knows the key's name here can make it."""
    return hashlib.sha256(key_id.encode() + statement).hexdigest()


def check(key_id: str, statement: bytes, signature: str) -> bool | None:
    return None if key_id != OURS else signature == sign(key_id, statement)


def event(n: int, **more: Any) -> dict[str, Any]:
    return {"kind": "AgentCameBack", "id": f"e{n}", "data": {"machine": "wéb", **more}}


def chain(count: int = COUNT, begin: ChainHead | None = None) -> list[Link]:
    head, links = begin or ChainHead(), []
    for n in range(count):
        links.append(link_after(head, event(n)))
        head = links[-1].head
    return links


def signed(head: ChainHead, key: str = OURS) -> Checkpoint:
    unsigned = Checkpoint(head, NOW, key)
    return Checkpoint(head, NOW, key, sign(key, unsigned.statement()))


def header(start: dict[str, Any], stop: ChainHead, **more: Any) -> bytes:
    said = {
        "format": "bascule-record",
        "version": 1,
        "exportedAt": "now",
        "keyId": OURS,
        "begin": start,
        "end": {"position": stop.position, "hash": stop.hash},
        **more,
    }
    return line_of({"header": {**said, "signature": sign(OURS, export_statement(said))}})


GENESIS = {"position": 0, "hash": ChainHead().hash}


def export(links: list[Link] | None = None) -> list[bytes]:
    """Header, twelve events, checkpoints after the sixth and the last."""
    links = links or chain()
    lines = [header(GENESIS, links[-1].head)]
    for link in links:
        lines.append(link_line(link))
        if link.position in (6, COUNT):
            lines.append(checkpoint_line(signed(link.head)))
    return lines


def prove(lines: Iterable[bytes], *witnesses: Witness) -> Verdict:
    proof = Proof(check, witnesses)
    for line in lines:
        proof.take(line)
    return proof.verdict()


def kind_of(lines: Iterable[bytes], *witnesses: Witness) -> tuple[BreakKind, int]:
    found = prove(lines, *witnesses).break_
    assert found is not None
    assert found.message
    return found.kind, found.position


def at(position: int) -> int:
    """Where in ``export()`` the event of that position is."""
    return position + (1 if position > 6 else 0)


def edited(line: bytes, **more: Any) -> bytes:
    data = json.loads(line)
    data["event"]["data"].update(more)
    return line_of(data)


def test_an_untouched_export_holds() -> None:
    verdict = prove(export())
    assert verdict.is_intact
    assert (verdict.count, verdict.checkpoints) == (COUNT, 2)
    assert (verdict.exported_at, verdict.key_id, verdict.notes) == ("now", OURS, ())


@pytest.mark.parametrize("position", [1, 5, 6, 7, COUNT])
def test_an_edited_event_is_named(position: int) -> None:
    lines = export()
    lines[at(position)] = edited(lines[at(position)], machine="db")
    assert kind_of(lines) == (BreakKind.EDITED, position)
    found = prove(lines).break_
    assert found is not None
    assert found.line == at(position) + 1


@pytest.mark.parametrize("position", [1, 5, 6, 7, COUNT - 1])
def test_a_removed_event_is_named(position: int) -> None:
    lines = export()
    del lines[at(position)]
    assert kind_of(lines) == (BreakKind.REMOVED, position)


def test_several_removed_are_named_together() -> None:
    lines = export()
    del lines[at(2) : at(5)]
    found = prove(lines).break_
    assert found is not None
    assert "events 2 to 4 are missing" in found.message


def test_an_event_removed_before_a_checkpoint_is_named_by_it() -> None:
    lines = export()
    del lines[at(6)]
    assert kind_of(lines) == (BreakKind.REMOVED, 6)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 9), (11, 12)])
def test_two_swapped_are_named(one: int, other: int) -> None:
    lines = export()
    lines[at(one)], lines[at(other)] = lines[at(other)], lines[at(one)]
    assert kind_of(lines) == (BreakKind.REORDERED, one)


def test_an_event_that_is_there_twice_is_named() -> None:
    lines = export()
    lines.insert(at(5), lines[at(3)])
    assert kind_of(lines) == (BreakKind.INSERTED, 5)


def test_an_event_put_in_with_a_false_hash_is_named() -> None:
    lines = export()
    lines.insert(at(5), edited(lines[at(5)], machine="db"))
    assert kind_of(lines) == (BreakKind.INSERTED, 5)


def test_an_event_put_in_with_a_right_hash_is_named() -> None:
    """Hashes need no key: whoever puts an event in can give it its own."""
    links, lines = chain(), export()
    lines.insert(at(5), link_line(link_after(links[3].head, event(99))))
    assert kind_of(lines) == (BreakKind.INSERTED, 6)


def test_an_edit_with_its_hash_made_right_breaks_the_next() -> None:
    links, lines = chain(), export()
    lines[at(5)] = link_line(link_after(links[3].head, event(99)))
    assert kind_of(lines) == (BreakKind.EDITED, 6)


def test_a_rewriting_to_the_end_cannot_rewrite_what_was_signed() -> None:
    links = chain()
    forged = [*links[:3], *chain(COUNT - 3, link_after(links[2].head, event(99)).head)]
    lines = [export()[0], *map(link_line, forged[:3])]
    lines.append(link_line(link_after(links[2].head, event(99))))
    lines += map(link_line, forged[3 : COUNT - 1])
    assert kind_of(lines) == (BreakKind.REWRITTEN, COUNT + 1), "by the header's end"
    lines.insert(7, export()[7])
    assert kind_of(lines) == (BreakKind.REWRITTEN, 7), "by a checkpoint on the way"


@pytest.mark.parametrize("kept", [1, 4, 8, COUNT + 1])
def test_a_cut_tail_is_named(kept: int) -> None:
    assert kind_of(export()[:kept])[0] is BreakKind.TRUNCATED


def test_a_line_cut_in_two_is_named() -> None:
    lines = export()
    assert kind_of([*lines[:5], lines[5][:-20]]) == (BreakKind.TRUNCATED, 5)


def test_nothing_is_no_export() -> None:
    assert kind_of([]) == (BreakKind.TRUNCATED, 1)


def test_events_after_the_signed_end_are_named() -> None:
    links = chain(COUNT + 1)
    assert kind_of([*export(), link_line(links[-1])]) == (BreakKind.INSERTED, COUNT + 2)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"\n", BreakKind.EDITED),
        (b"[]\n", BreakKind.EDITED),
        (b'{"a": 1}\n', BreakKind.EDITED),
        (b'{"a":NaN}\n', BreakKind.EDITED),
        (b'{"a":"\xc3\xa9"}\n', BreakKind.EDITED),
        (b"[" * 100_000 + b"\n", BreakKind.EDITED),
        (b'{"event":{},"hash":"x","position":1,"position":5}\n', BreakKind.EDITED),
        (b'{"note":"x"}\n', BreakKind.INSERTED),
        (b'{"checkpoint":{}}\n', BreakKind.EDITED),
        (b'{"checkpoint":7}\n', BreakKind.EDITED),
        (b'{"event":{},"hash":"x","position":"5"}\n', BreakKind.EDITED),
        (b'{"event":7,"hash":"x","position":5}\n', BreakKind.EDITED),
    ],
)
def test_a_line_that_is_none_of_ours_is_named(line: bytes, kind: BreakKind) -> None:
    lines = export()
    lines[at(5)] = line
    assert kind_of(lines) == (kind, 5)


def test_what_follows_a_break_changes_nothing() -> None:
    """Garbage behind the first break does not hide it, in whichever state it was found."""
    lines = export()
    lines[at(3)] = edited(lines[at(3)], machine="db")
    assert kind_of([*lines[:5], b"garbage\n", *lines[5:]]) == (BreakKind.EDITED, 3)
    assert kind_of([*lines[:4], b"garbage\n", *lines[4:]]) == (BreakKind.EDITED, 3)
    assert kind_of(lines[:4]) == (BreakKind.EDITED, 3), "though the tail is cut as well"


def test_a_checkpoint_while_a_break_is_judged_is_passed_over() -> None:
    lines = export()
    lines[at(6)] = edited(lines[at(6)], machine="db")
    assert kind_of(lines) == (BreakKind.EDITED, 6)


# -- the header and its signature ----------------------------------------------------------


def test_a_header_that_was_changed_is_forged() -> None:
    """It says where the record ends: changing it would hide a cut."""
    lines = export()
    said = json.loads(lines[0])
    said["header"]["end"] = {"position": 6, "hash": chain()[5].hash}
    assert kind_of([line_of(said), *lines[1:8]]) == (BreakKind.FORGED, 1)


def test_a_header_of_another_key_is_forged() -> None:
    lines = [header(GENESIS, chain()[-1].head, keyId=OTHER), *export()[1:]]
    assert kind_of(lines) == (BreakKind.FORGED, 1)


@pytest.mark.parametrize("more", [{"format": "x"}, {"version": 2}])
def test_another_format_is_not_guessed_at(more: dict[str, Any]) -> None:
    assert kind_of([header(GENESIS, ChainHead(), **more)]) == (BreakKind.EDITED, 1)


@pytest.mark.parametrize(
    "more", [{"end": {}}, {"begin": 7}, {"begin": {"position": 3, "hash": ""}}]
)
def test_a_beginning_without_a_checkpoint_is_no_beginning(more: dict[str, Any]) -> None:
    assert kind_of([header(GENESIS, ChainHead(), **more)]) == (BreakKind.REMOVED, 1)


@pytest.mark.parametrize("first", [b'{"header":7}\n', b'{"header":{},"more":1}\n'])
def test_an_export_without_a_header_is_named(first: bytes) -> None:
    assert kind_of([first]) == (BreakKind.REMOVED, 1)
    assert kind_of(export()[1:]) == (BreakKind.REMOVED, 1)


# -- checkpoints ---------------------------------------------------------------------------


def test_a_checkpoint_with_a_wrong_signature_is_forged() -> None:
    lines = export()
    forged = Checkpoint(chain()[5].head, NOW, OURS, "no")
    lines[7] = checkpoint_line(forged)
    assert kind_of(lines) == (BreakKind.FORGED, 7)


def test_a_checkpoint_of_another_key_is_noted_not_believed() -> None:
    """After a lost key: what the old one signed is checked by whoever gives it too."""
    lines = export()
    lines[7] = checkpoint_line(signed(ChainHead(6, "00" * 32), OTHER))
    verdict = prove(lines)
    assert verdict.is_intact
    assert verdict.checkpoints == 1
    assert OTHER in verdict.notes[0]


def test_a_checkpoint_for_events_that_are_gone_names_them() -> None:
    lines = export()
    lines.insert(4, checkpoint_line(signed(chain()[5].head)))
    assert kind_of(lines) == (BreakKind.REMOVED, 4)


def test_a_checkpoint_that_comes_late_is_named() -> None:
    lines = export()
    lines[7], lines[8] = lines[8], lines[7]
    assert kind_of(lines) == (BreakKind.REORDERED, 8)


# -- what retention left -------------------------------------------------------------------


def pruned(*, tells: bool = True) -> list[bytes]:
    """An export that begins after the fifth event."""
    stub = signed(chain()[4].head)
    told = {
        "kind": "RecordPruned",
        "data": {"through": 5, "checkpoint_hash": stub.head.hash if tells else "x"},
    }
    links = [link_after(stub.head, event(1))]
    links.append(link_after(links[0].head, told))
    lines = map(link_line, links)
    return [header(checkpoint_json(stub), links[-1].head), *lines]


def test_what_retention_left_holds() -> None:
    verdict = prove(pruned())
    assert verdict.is_intact
    assert (verdict.begin.position, verdict.count) == (5, 2)


def test_a_deletion_that_no_event_tells_of_is_named() -> None:
    """Deleting rows up to a checkpoint looks like retention, but retention is on record."""
    assert kind_of(pruned(tells=False)) == (BreakKind.REMOVED, 8)


def test_a_stub_with_a_wrong_signature_is_forged() -> None:
    stub = Checkpoint(chain()[4].head, NOW, OURS, "no")
    assert kind_of([header(checkpoint_json(stub), stub.head)]) == (BreakKind.FORGED, 6)


# -- witnesses -----------------------------------------------------------------------------


def test_a_witness_that_agrees_changes_nothing() -> None:
    assert prove(export(), Witness("web-1", chain()[6].head)).is_intact
    assert prove(export(), Witness("web-1", ChainHead())).is_intact


def test_a_witness_names_a_cut_that_the_key_hides() -> None:
    """Who holds the data directory can cut the tail and sign the rest as the whole."""
    links = chain()
    short = [header(GENESIS, links[8].head), *map(link_line, links[:9])]
    assert prove(short).is_intact
    witness = Witness("web-1", links[10].head)
    assert kind_of(short, witness) == (BreakKind.TRUNCATED, 10)
    found = prove(short, witness).break_
    assert found is not None
    assert "web-1 has seen event 11" in found.message


def test_a_witness_names_a_rewriting_that_the_key_hides() -> None:
    witnesses = (
        Witness("web-1", ChainHead(4, "00" * 32)),
        Witness("db-1", ChainHead(5, "00" * 32)),
    )
    assert kind_of(export(), *witnesses) == (BreakKind.REWRITTEN, 5)
    assert not prove(export(), Witness("web-1", ChainHead(4, "00" * 32))).is_intact


def test_a_witness_of_what_retention_deleted_is_noted() -> None:
    verdict = prove(pruned(), Witness("web-1", ChainHead(2, "00" * 32)))
    assert verdict.is_intact
    assert "web-1" in verdict.notes[0]
