"""Write docs/protocol/*.json: what agents and servers send each other, as JSON Schema.

``python tools/protocol_schema.py`` after a change of ``bascule.protocol``; a test holds the
files against what this gives.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bascule.protocol.codec import schema_of
from bascule.protocol.enrolment import Enrol, Enrolled
from bascule.protocol.line import FROM_AGENT, FROM_SERVER
from bascule.protocol.report import Announced, Report
from bascule.protocol.state import State

FOLDER = Path(__file__).parents[1] / "docs" / "protocol"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# By file: the type, and where it is sent.
MESSAGES: dict[str, tuple[type, str]] = {
    "enrol": (Enrol, "POST /bascule/enrol"),
    "enrolled": (Enrolled, "Answer to POST /bascule/enrol"),
    "state": (State, "Answer to GET /bascule/points/{uid}/state"),
    "report": (Report, "POST /bascule/points/{uid}/report"),
    "announced": (
        Announced,
        "Answer to POST /bascule/points/{uid}/report",
    ),
}


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of the file without its suffix, and the schema."""
    for name, (kind, sent) in MESSAGES.items():
        purpose = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        about = {"$schema": DIALECT, "title": kind.__name__, "description": f"{purpose} {sent}."}
        yield name, {**about, **schema_of(kind)}
    for side, kinds in (("server", FROM_SERVER), ("agent", FROM_AGENT)):
        yield f"line-from-{side}", _line(side, kinds)


def _line(side: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """All messages of one end of the line, told apart by their kind."""
    messages = []
    for name, kind in kinds.items():
        schema = schema_of(kind)
        schema["properties"] = {"kind": {"const": name}, **schema["properties"]}
        schema["required"] = ["kind", *schema.get("required", [])]
        purpose = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        messages.append({"title": kind.__name__, "description": purpose, **schema})
    said = f"A text message from the {side} on GET /bascule/points/{{uid}}/line (RFC 6455)."
    about = {"$schema": DIALECT, "title": f"From the {side}", "description": said}
    return {**about, "oneOf": messages}


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas():
        (FOLDER / f"{name}.json").write_text(text_of(schema), encoding="utf-8")
