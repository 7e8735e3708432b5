"""Events in OCSF, the Open Cybersecurity Schema Framework, one pinned version.

Source: OCSF 1.5.0, classes User Access Management (3005), Entity Management (3004) and API
Activity (6003); ``type_uid = class_uid * 100 + activity_id``; time in milliseconds.
A grant that opened assigns a privilege to its requestor, one that ended revokes it; calls
that asked or were refused are API activity; everything else manages an entity. What has no
place in a class is under ``unmapped``, so that nothing is lost. Each kind is described beside
its fact; a newer program's kind is told as another activity on its resource, with severity
HIGH, so that a sink with a level below that is sent it (EDGES F2).

Pure: a sealed event and the grants that it may speak of in, plain values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum
from typing import Any

from bascule import __version__
from bascule.domain.chain import Link
from bascule.domain.facts.kind import Activity, Category, Kind
from bascule.domain.facts.kinds import kind_named
from bascule.domain.grant import Grant
from bascule.domain.times import parse_instant
from bascule.services.messages import MESSAGES

VERSION = "1.5.0"
OTHER = 99
_EPOCH = parse_instant("1970-01-01T00:00:00Z")
_MILLISECOND = timedelta(milliseconds=1)


class Class(IntEnum):
    ENTITY = 3004
    ACCESS = 3005
    API = 6003


_CLASS_NAMES = {
    Class.ENTITY: "Entity Management",
    Class.ACCESS: "User Access Management",
    Class.API: "API Activity",
}
_CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}
_CRUD = {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
_ACTIVITIES = {
    Class.ENTITY: _CRUD,
    Class.ACCESS: {1: "Assign Privileges", 2: "Revoke Privileges"},
    Class.API: _CRUD,
}
_USER_TYPES = {"User": (1, "User"), "System": (3, "System"), "ServicePrincipal": (4, "Service")}
_METHODS = {"POST": 1, "GET": 2, "HEAD": 2, "PUT": 3, "PATCH": 3, "DELETE": 4}


_CLASSES = {
    Category.ENTITY: Class.ENTITY,
    Category.ACCESS: Class.ACCESS,
    Category.CALL: Class.API,
}
_IDS = {
    Activity.CREATE: 1,
    Activity.UPDATE: 3,
    Activity.DELETE: 4,
    Activity.ASSIGN: 1,
    Activity.REVOKE: 2,
    Activity.OTHER: OTHER,
}


def ocsf_event(link: Link, grants: Mapping[str, Grant]) -> dict[str, Any]:
    """One event of OCSF; ``grants`` are those that the event may name, by id."""
    record = link.record
    data: Mapping[str, Any] = record["data"]
    kind = kind_of_record(record)
    is_failure, class_uid = kind.outcome.is_failure, _CLASSES[kind.category]
    activity_id = _activity_id(kind, data)
    activity = _ACTIVITIES[class_uid].get(activity_id, record["kind"])
    category = class_uid // 1000
    event = {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": category,
        "category_name": _CATEGORIES[category],
        "class_uid": int(class_uid),
        "class_name": _CLASS_NAMES[class_uid],
        "type_uid": class_uid * 100 + activity_id,
        "type_name": f"{_CLASS_NAMES[class_uid]}: {activity}",
        "time": (parse_instant(record["at"]) - _EPOCH) // _MILLISECOND,
        "severity_id": int(kind.severity),
        "severity": kind.severity.name.capitalize(),
        "status_id": 2 if is_failure else 1,
        "status": "Failure" if is_failure else "Success",
        "message": record["kind"],
        "metadata": _metadata(link),
        "actor": {"user": _user(record["actor"])},
        "unmapped": {"kind": record["kind"], "data": data, "hash": link.hash},
    }
    return {**event, **_of_class(kind, record, data, grants)}


def kind_of_record(record: Mapping[str, Any]) -> Kind:
    """The description of an event, or of a message in the form of one."""
    return MESSAGES.get(record["kind"]) or kind_named(record["kind"], record["data"])


def class_name(kind: Kind) -> str:
    return _CLASS_NAMES[_CLASSES[kind.category]]


def _activity_id(kind: Kind, data: Mapping[str, Any]) -> int:
    """The activity's number; for a refused call, of what its method asked for."""
    if kind.category is Category.CALL and "method" in data:
        return _METHODS.get(data["method"], OTHER)
    return _IDS[kind.activity]


def _of_class(
    kind: Kind,
    record: Mapping[str, Any],
    data: Mapping[str, Any],
    grants: Mapping[str, Grant],
) -> dict[str, Any]:
    if kind.category is Category.ACCESS:
        return _access(record, data, grants.get(str(data.get("grant_id", ""))))
    if kind.category is Category.CALL:
        return _api(record, data)
    entity = _resource(record["resourceId"])
    comment = data.get("justification") or data.get("what") or data.get("why")
    return {"entity": entity, **({"comment": comment} if comment else {})}


def _access(
    record: Mapping[str, Any], data: Mapping[str, Any], grant: Grant | None
) -> dict[str, Any]:
    """Whose privilege, and to what; root on a host opens for a source that root named."""
    resources = [_resource(record["resourceId"])]
    if grant is None:
        port, sources = data.get("port", "unknown port"), data.get("sources", ())
        user = _user(record["actor"])
    else:
        port, sources = f"{grant.number}/{grant.protocol}", map(str, grant.sources)
        user = {"uid": grant.requestor_id, "name": grant.requestor}
    privilege = f"reach port {port} from {', '.join(sources) or 'unknown'}"
    return {"user": user, "privileges": [privilege], "resources": resources}


def _api(record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    path = str(data.get("path") or record["resourceId"])
    verb = str(data.get("method") or "POST")
    operation = f"{verb} {path}" if "path" in data else "initiate"
    reasons = data.get("reasons") or ([data["reason"]] if "reason" in data else [])
    answer = {
        "api": {
            "operation": operation,
            "service": {"name": "Bascule"},
            "request": {"uid": record["correlationId"]},
        },
        "src_endpoint": _endpoint(record["actor"]),
        "http_request": _http_request(verb, record["actor"]),
        "resources": [_resource(path)],
    }
    return {**answer, "status_detail": "; ".join(reasons)} if reasons else answer


def _http_request(verb: str, actor: Mapping[str, Any]) -> dict[str, str]:
    client = actor.get("client", "")  # events of before it was recorded have none
    return {"http_method": verb, **({"user_agent": client} if client else {})}


def _metadata(link: Link) -> dict[str, Any]:
    record = link.record
    return {
        "version": VERSION,
        "uid": record["id"],
        "correlation_uid": record["correlationId"],
        "sequence": link.position,
        "log_name": "bascule",
        "original_time": record["at"],
        "product": {"name": "Bascule", "vendor_name": "Bascule", "version": __version__},
    }


def _user(actor: Mapping[str, Any]) -> dict[str, Any]:
    type_id, type_name = _USER_TYPES.get(actor["kind"], (OTHER, actor["kind"] or "Unknown"))
    name = actor["name"] or actor["principal_id"] or "unknown"
    user = {"name": name, "type_id": type_id, "type": type_name}
    return {**user, "uid": actor["principal_id"]} if actor["principal_id"] else user


def _endpoint(actor: Mapping[str, Any]) -> dict[str, Any]:
    return {"ip": actor["address"]} if actor["address"] else {"svc_name": "bascule"}


def _resource(text: str) -> dict[str, str]:
    """An ARM id, or a path, as OCSF names a resource or entity; empty: the installation."""
    text = text or "installation"
    segments = [each for each in text.split("/") if each]
    type_name = segments[-2] if len(segments) > 1 else text
    return {"uid": text, "name": segments[-1] if segments else text, "type": type_name}
