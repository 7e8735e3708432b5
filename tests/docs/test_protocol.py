"""docs/protocol: what agents and servers send each other, as it is published."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bascule.domain.lifecycle import STATES
from tools.protocol_schema import FOLDER, schemas, text_of

MODULE = Path(__file__).parents[2] / "powershell" / "Bascule"
OF_STATES = re.compile(r"\bState\s+-(?:in|notin|eq|ne|contains)\s+((?:'\w+'(?:,\s*)?)+)")


def test_the_schemas_are_those_of_the_types() -> None:
    """python tools/protocol_schema.py writes them anew."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert found == {name: text_of(schema) for name, schema in schemas()}


def test_each_schema_says_what_it_is_and_where_it_is_sent() -> None:
    for path in FOLDER.glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["title"]
        assert "/bascule/" in told["description"]


def test_powershell_knows_no_state_that_there_is_not() -> None:
    named = {
        state
        for path in MODULE.rglob("*.ps1")
        for listed in OF_STATES.findall(path.read_text(encoding="utf-8"))
        for state in re.findall(r"'(\w+)'", listed)
    }
    assert {"open", "notConfirmed"} <= named
    assert named <= set(STATES)
