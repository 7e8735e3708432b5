"""What was recorded never changes: kinds, field names and canonical bytes (EDGES F1).

The two files beside this were written once and are never written again:
``ddb962e.jsonl`` is an export by that revision, made of acts and of one event of each kind
that it had; ``kinds.jsonl`` holds one event of each kind as it was first recorded.
A new kind adds a line to the second.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bascule.cli.main import build, invoke
from bascule.domain.chain import canonical
from bascule.domain.event import Actor, Event
from bascule.domain.facts.kinds import FACTS
from bascule.store.record import event_of
from tests.contracts.store.samples import a_fact
from tests.samples import NOW

FOLDER = Path(__file__).with_name("record")
EXPORT = FOLDER / "ddb962e.jsonl"
PUBLIC_KEY = "86VHsIXD2ti6_ngK1RqbulqKPTGKI9QB-2Mc4jwJa4Q"
RECORDED = {
    json.loads(line)["kind"]: line for line in (FOLDER / "kinds.jsonl").read_bytes().splitlines()
}
ADA = Actor("p", "Ada", "User", "192.0.2.7", "az/2")


def exported() -> list[dict[str, Any]]:
    lines = map(json.loads, EXPORT.read_text().splitlines())
    return [line["event"] for line in lines if "event" in line]


def verify(export: Path) -> int:
    """The exit code of the command that an auditor runs, without any server."""
    return invoke(build({}), None, ["audit", "verify", str(export), "--public-key", PUBLIC_KEY])


@pytest.mark.parametrize("kind", sorted(FACTS))
def test_each_kind_is_recorded_in_the_bytes_that_it_always_had(kind: str) -> None:
    """A renamed field or kind would leave old events unreadable beside new ones."""
    event = Event("e", NOW, ADA, "/r", a_fact(FACTS[kind]), "c")
    line = canonical(event.record())
    assert RECORDED.get(kind, line) == line
    assert kind in RECORDED, f"a new kind: add this line to kinds.jsonl: {line.decode()}"


def test_no_recorded_kind_is_gone() -> None:
    assert RECORDED.keys() <= FACTS.keys()
    assert {each["kind"] for each in exported()} <= FACTS.keys()


def test_an_export_of_an_older_revision_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(EXPORT) == 0
    assert "intact: 119 events" in capsys.readouterr().out


def test_an_edited_one_does_not(tmp_path: Path) -> None:
    """The neighbour of the test above."""
    edited = tmp_path / "edited.jsonl"
    edited.write_bytes(EXPORT.read_bytes().replace(b'"kind":"RoleAssigned"', b'"kind":"RoleLent"'))
    assert verify(edited) == 1


def test_every_event_of_an_older_revision_is_read() -> None:
    """Fields that a kind has gained since have their defaults; none has lost one."""
    for record in exported():
        read = event_of(record).record()
        known = {**read, "data": {name: read["data"][name] for name in record["data"]}}  # type: ignore[index]  # reason: a record's data is a mapping
        assert canonical(known) == canonical(record)
