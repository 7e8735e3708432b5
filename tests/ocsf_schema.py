"""JSON Schemas of the three classes of OCSF 1.5.0 that we write, in our own words.

Made from the published schema's class, object and dictionary pages: what is required, the
types, the ids that may occur and the names that go with them. Attributes that we never
write are left out, and nothing but what stands here may occur.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


USER = {
    **closed(["name"], uid=TEXT, name=TEXT, type_id={"enum": [0, 1, 2, 3, 4, 99]}, type=TEXT),
}
RESOURCE = closed(["uid"], uid=TEXT, name=TEXT, type=TEXT)
METADATA = closed(
    ["version", "product"],
    version={"const": "1.5.0"},
    uid=TEXT,
    correlation_uid={"type": "string"},
    sequence={"type": "integer", "minimum": 1},
    log_name=TEXT,
    original_time=TEXT,
    product=closed(["vendor_name"], name=TEXT, vendor_name=TEXT, version=TEXT),
)


def _class(
    uid: int, name: str, category: str, activities: dict[int, str], required: list[str], **more: Any
) -> dict[str, Any]:
    """What every class has, with ``more`` of its own."""
    base = [
        "activity_id",
        "category_uid",
        "class_uid",
        "type_uid",
        "time",
        "severity_id",
        "metadata",
    ]
    schema = closed(
        [*base, *required],
        activity_id={"enum": [*activities, 99]},
        activity_name=TEXT,
        category_uid={"const": uid // 1000},
        category_name={"const": category},
        class_uid={"const": uid},
        class_name={"const": name},
        type_uid={"enum": [uid * 100 + each for each in (*activities, 99)]},
        type_name={"type": "string", "pattern": f"^{name}: ."},
        time={"type": "integer", "minimum": 946_684_800_000},  # milliseconds: not seconds
        severity_id={"enum": [1, 2, 3, 4, 5]},
        severity={"enum": ["Informational", "Low", "Medium", "High", "Critical"]},
        status_id={"enum": [1, 2]},
        status={"enum": ["Success", "Failure"]},
        status_detail=TEXT,
        message=TEXT,
        metadata=METADATA,
        actor=closed(["user"], user=USER),
        unmapped={"type": "object"},
        **more,
    )
    schema["allOf"] = [
        {
            "if": {"properties": {"activity_id": {"const": number}}},
            "then": {
                "properties": {
                    "activity_name": {"const": word},
                    "type_uid": {"const": uid * 100 + number},
                    "type_name": {"const": f"{name}: {word}"},
                }
            },
        }
        for number, word in activities.items()
    ]
    return schema


_IAM = "Identity & Access Management"
_CRUD = {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
SCHEMAS: dict[int, dict[str, Any]] = {
    3004: _class(3004, "Entity Management", _IAM, _CRUD, ["entity"], entity=RESOURCE, comment=TEXT),
    3005: _class(
        3005,
        "User Access Management",
        _IAM,
        {1: "Assign Privileges", 2: "Revoke Privileges"},
        ["user", "privileges"],
        user=USER,
        privileges={"type": "array", "items": TEXT, "minItems": 1},
        resources={"type": "array", "items": RESOURCE},
    ),
    6003: _class(
        6003,
        "API Activity",
        "Application Activity",
        _CRUD,
        ["actor", "api", "src_endpoint"],
        api=closed(
            ["operation"],
            operation=TEXT,
            service=closed(["name"], name=TEXT),
            request=closed(["uid"], uid={"type": "string"}),
        ),
        src_endpoint={**closed([], ip=TEXT, svc_name=TEXT), "minProperties": 1},
        http_request=closed([], http_method=TEXT, user_agent=TEXT),
        resources={"type": "array", "items": RESOURCE},
    ),
}
