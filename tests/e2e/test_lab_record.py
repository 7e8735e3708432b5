"""The record in the lab: exported by one, verified by another with no server, witnessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab_world import LabWorld, until

pytestmark = pytest.mark.root


def test_an_export_is_verified_where_there_is_no_server(lab: LabWorld, tmp_path: Path) -> None:
    """The auditor has a file, a public key, and what the agents saw."""
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    lab.said("client", "bascule", "revoke")
    record, public, witness = (tmp_path / name for name in ("r.jsonl", "b.pub", "web-1.json"))
    lab.said("client", "sh", "-c", f"bascule audit key > {public}; bascule audit export > {record}")
    exported = len(record.read_bytes().splitlines())
    assert exported > 10

    def has_seen() -> int:
        witness.write_text(lab.said("web-1", "bascule", "agent", "status", "-o", "json"))
        return int(json.loads(witness.read_text())["record"]["head"]["position"])

    assert until(lambda: has_seen() > 0, 30)
    lab.said("client", "sh", "-c", f"bascule audit export > {record}")  # all that was seen
    arguments = ("audit", "verify", str(record), "--public-key", str(public))
    said = lab.said("stranger", "bascule", *arguments, "--witness", str(witness))
    assert said.startswith("intact: ")

    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:5] + lines[6:]))
    broken = lab.on("stranger", "bascule", *arguments)
    assert broken.returncode == 1
    assert "BROKEN (removed) at event 5, line 6" in broken.stdout

    head = json.loads(witness.read_text())
    head["record"]["head"]["position"] += 100_000
    witness.write_text(json.dumps(head))
    record.write_bytes(b"".join(lines))
    cut = lab.on("stranger", "bascule", *arguments, "--witness", str(witness))
    assert "BROKEN (truncated)" in cut.stdout


def test_the_server_reads_its_record_back(lab: LabWorld) -> None:
    assert lab.said("client", "bascule", "audit", "verify").startswith("intact: ")
    assert "Chained and signed up to event" in lab.on("client", "bascule", "activity").stderr
