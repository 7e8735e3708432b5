"""What our OpenAPI document says of every ARM call, so that routes need not repeat it.

The guard has checked these parts of a call before its endpoint is asked; as parameters of
each endpoint they would be read once more, at every call and at the making of every route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.api.arm_path import is_arm_path

_SUBSCRIPTION = {
    "name": "subscription_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_API_VERSION = {
    "name": "api-version",
    "in": "query",
    "required": True,
    "description": "Any date, with or without a suffix.",
    "schema": {"type": "string"},
}


def described(path: str) -> Mapping[str, Any]:
    """What the document says of a route of this path, beside what its endpoint takes."""
    if not is_arm_path(path):
        return {}
    named = [_SUBSCRIPTION] if "{subscription_id}" in path else []
    return {"parameters": [*named, _API_VERSION]}
