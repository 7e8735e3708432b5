"""Write docs/protocol/*.json: what agents and servers send each other, as JSON Schema.

``python tools/protocol_schema.py`` after a change of ``bascule.protocol``; a test holds the
files against what this gives.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bascule.protocol.codec import schema_of
from bascule.protocol.enrolment import Enrol, Enrolled
from bascule.protocol.report import Announced, Report
from bascule.protocol.state import State

FOLDER = Path(__file__).parents[1] / "docs" / "protocol"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# By file: the type, and where it is sent.
MESSAGES: dict[str, tuple[type, str]] = {
    "enrol": (Enrol, "POST /bascule/enrol"),
    "enrolled": (Enrolled, "Answer to POST /bascule/enrol"),
    "state": (State, "Answer to GET /bascule/agents/{uid}/state"),
    "report": (Report, "POST /bascule/agents/{uid}/report"),
    "announced": (
        Announced,
        "Answer to POST /bascule/agents/{uid}/report, and each event of GET .../stream",
    ),
}


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of the file without its suffix, and the schema."""
    for name, (kind, sent) in MESSAGES.items():
        purpose = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        about = {"$schema": DIALECT, "title": kind.__name__, "description": f"{purpose} {sent}."}
        yield name, {**about, **schema_of(kind)}


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas():
        (FOLDER / f"{name}.json").write_text(text_of(schema), encoding="utf-8")
