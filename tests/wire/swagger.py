"""The published OpenAPI document as JSON Schemas for answers.

An enum that the document calls ``modelAsString`` is open: the live service itself answers
``Initiating``, which the list of ``status`` lacks.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SPEC = Path(__file__).parent / "spec"
DOCUMENT = SPEC / "Microsoft.Security/stable/2020-01-01/jitNetworkAccessPolicies.json"
EXAMPLES = DOCUMENT.parent / "examples/JitNetworkAccessPolicies"
TYPES = SPEC / "common/v1/types.json"


def example(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}_example.json").read_text())


def check(answer: object, definition: str) -> None:
    """Raise unless ``answer`` is what the document's definition says."""
    _validator(definition).validate(answer)


@cache
def _validator(definition: str) -> Any:
    return jsonschema_rs.validator_for({**_definitions(), "$ref": f"#/definitions/{definition}"})


def _definitions() -> dict[str, Any]:
    document, types = json.loads(DOCUMENT.read_text()), json.loads(TYPES.read_text())
    both = {**types["definitions"], **document["definitions"]}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "definitions": _open_enums(both),
    }


def _open_enums(node: Any) -> Any:
    if isinstance(node, list):
        return [_open_enums(each) for each in node]
    if not isinstance(node, dict):
        return node
    is_open = node.get("x-ms-enum", {}).get("modelAsString", False)
    opened = {key: value for key, value in node.items() if not (is_open and key == "enum")}
    if "$ref" in opened:
        return {"$ref": "#/definitions/" + opened["$ref"].rpartition("/")[2]}
    return {key: _open_enums(value) for key, value in opened.items()}
