"""Events in OCSF, the Open Cybersecurity Schema Framework, one pinned version.

Source: OCSF 1.5.0, classes User Access Management (3005), Entity Management (3004) and API
Activity (6003); ``type_uid = class_uid * 100 + activity_id``; time in milliseconds.
A grant that opened assigns a privilege to its requestor, one that ended revokes it; calls
that asked or were refused are API activity; everything else manages an entity. What has no
place in a class is under ``unmapped``, so that nothing is lost. Every kind has its entry,
which a test holds; a kind of a newer program is told as another activity on its resource,
as grave as HIGH, so that no sink with a level is kept from hearing of it.

Pure: a sealed event and the grants that it may speak of in, plain values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any

from bascule import __version__
from bascule.domain.chain import Link
from bascule.domain.grant import Grant
from bascule.domain.times import parse_instant
from bascule.services.messages import GAP, TEST

VERSION = "1.5.0"
OTHER = 99
_EPOCH = parse_instant("1970-01-01T00:00:00Z")
_MILLISECOND = timedelta(milliseconds=1)


class Class(IntEnum):
    ENTITY = 3004
    ACCESS = 3005
    API = 6003


class Severity(IntEnum):
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


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


@dataclass(frozen=True, slots=True)
class _Kind:
    class_uid: Class
    activity: int
    severity: Severity = Severity.INFORMATIONAL
    is_failure: bool = False


_KINDS: Mapping[str, _Kind] = {
    "InstallationCreated": _Kind(Class.ENTITY, 1),
    "AdministratorRecovered": _Kind(Class.ENTITY, 3, Severity.HIGH),
    "SetUpLinkMade": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "SetUpLinkUsed": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM),
    "SetUpRefused": _Kind(Class.ENTITY, OTHER, Severity.LOW, is_failure=True),
    "SignInSucceeded": _Kind(Class.ENTITY, OTHER),
    "SignInRefused": _Kind(Class.ENTITY, OTHER, Severity.LOW, is_failure=True),
    "SecondFactorOwed": _Kind(Class.ENTITY, OTHER, Severity.LOW),
    "PasswordSet": _Kind(Class.ENTITY, 3, Severity.LOW),
    "FactorEnrolled": _Kind(Class.ENTITY, 3, Severity.LOW),
    "FactorRemoved": _Kind(Class.ENTITY, 3, Severity.MEDIUM),
    "RecoveryCodesMade": _Kind(Class.ENTITY, 3, Severity.LOW),
    "RecoveryCodeUsed": _Kind(Class.ENTITY, 3, Severity.MEDIUM),
    "ResourceGroupCreated": _Kind(Class.ENTITY, 1),
    "ResourceGroupDeleted": _Kind(Class.ENTITY, 4),
    "MachineAdded": _Kind(Class.ENTITY, 1),
    "MachineChanged": _Kind(Class.ENTITY, 3),
    "MachineDeleted": _Kind(Class.ENTITY, 4),
    "PolicyCreated": _Kind(Class.ENTITY, 1),
    "PolicyChanged": _Kind(Class.ENTITY, 3),
    "PolicyDeleted": _Kind(Class.ENTITY, 4),
    "RoleCreated": _Kind(Class.ENTITY, 1, Severity.LOW),
    "RoleChanged": _Kind(Class.ENTITY, 3, Severity.MEDIUM),
    "RoleDeleted": _Kind(Class.ENTITY, 4, Severity.LOW),
    "RoleAssigned": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "RoleUnassigned": _Kind(Class.ENTITY, 4, Severity.LOW),
    "UserCreated": _Kind(Class.ENTITY, 1, Severity.LOW),
    "UserChanged": _Kind(Class.ENTITY, 3, Severity.LOW),
    "UserDisabled": _Kind(Class.ENTITY, 3, Severity.LOW),
    "UserEnabled": _Kind(Class.ENTITY, 3, Severity.LOW),
    "UserDeleted": _Kind(Class.ENTITY, 4, Severity.LOW),
    "GroupCreated": _Kind(Class.ENTITY, 1),
    "GroupChanged": _Kind(Class.ENTITY, 3),
    "GroupDeleted": _Kind(Class.ENTITY, 4, Severity.LOW),
    "MemberAdded": _Kind(Class.ENTITY, 3, Severity.MEDIUM),
    "MemberRemoved": _Kind(Class.ENTITY, 3, Severity.LOW),
    "MembershipEnded": _Kind(Class.ENTITY, 3),
    "ServicePrincipalCreated": _Kind(Class.ENTITY, 1, Severity.LOW),
    "ServicePrincipalChanged": _Kind(Class.ENTITY, 3, Severity.LOW),
    "ServicePrincipalDisabled": _Kind(Class.ENTITY, 3, Severity.LOW),
    "ServicePrincipalEnabled": _Kind(Class.ENTITY, 3, Severity.LOW),
    "ServicePrincipalDeleted": _Kind(Class.ENTITY, 4, Severity.LOW),
    "CredentialAdded": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "CredentialRemoved": _Kind(Class.ENTITY, 4, Severity.LOW),
    "PortClosed": _Kind(Class.ENTITY, 3),
    "PortReleased": _Kind(Class.ENTITY, 3, Severity.LOW),
    "PortLeftPolicies": _Kind(Class.ENTITY, 3),
    "PricingChanged": _Kind(
        Class.ENTITY, 3, Severity.HIGH
    ),  # off ends all access, on opens to requests
    "ProviderAdded": _Kind(Class.ENTITY, 1, Severity.HIGH),
    "ProviderChanged": _Kind(Class.ENTITY, 3, Severity.HIGH),
    "ProviderRemoved": _Kind(Class.ENTITY, 4, Severity.MEDIUM),
    "IdentityLinked": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "IdentityUnlinked": _Kind(Class.ENTITY, 4, Severity.LOW),
    "IdentityInvited": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "IdentityInvitationWithdrawn": _Kind(Class.ENTITY, 4, Severity.LOW),
    "ProviderGroupsChanged": _Kind(Class.ENTITY, 3, Severity.LOW),
    "ExternalSignInRefused": _Kind(Class.ENTITY, OTHER, Severity.LOW, is_failure=True),
    "SignedIn": _Kind(Class.ENTITY, OTHER),
    "TokenFamilyRevoked": _Kind(Class.ENTITY, 4, Severity.LOW),
    "SessionEnded": _Kind(Class.ENTITY, 4, Severity.LOW),
    "SignedOutEverywhere": _Kind(Class.ENTITY, 4, Severity.LOW),
    "DeviceCodeApproved": _Kind(Class.ENTITY, OTHER, Severity.LOW),
    "DeviceCodeRefused": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM),
    "SigningKeyRotated": _Kind(Class.ENTITY, 3, Severity.HIGH),
    "DenialsCounted": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM, is_failure=True),
    "AccessRequested": _Kind(Class.API, 1),
    "AccessDenied": _Kind(Class.API, 1, Severity.LOW, is_failure=True),
    "GrantCreated": _Kind(Class.ENTITY, 1),
    "GrantOpened": _Kind(Class.ACCESS, 1),
    "GrantExtended": _Kind(Class.ENTITY, 3),
    "GrantShortened": _Kind(Class.ENTITY, 3),
    "GrantEnded": _Kind(Class.ACCESS, 2),
    "GrantFailed": _Kind(Class.ACCESS, 1, Severity.MEDIUM, is_failure=True),
    "GrantClosed": _Kind(Class.ENTITY, 4),
    "SessionsCut": _Kind(Class.ENTITY, OTHER, Severity.LOW),
    "EnrolmentCreated": _Kind(Class.ENTITY, 1, Severity.LOW),
    "EnrolmentRefused": _Kind(Class.ENTITY, 1, Severity.MEDIUM, is_failure=True),
    "AgentEnrolled": _Kind(Class.ENTITY, 1, Severity.LOW),
    "AgentRemoved": _Kind(Class.ENTITY, 4, Severity.MEDIUM),
    "AgentWentSilent": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM, is_failure=True),
    "AgentCameBack": _Kind(Class.ENTITY, OTHER),
    "GenerationOvertaken": _Kind(Class.ENTITY, OTHER, Severity.HIGH, is_failure=True),
    "AgentDoubted": _Kind(Class.ENTITY, OTHER, Severity.HIGH),
    "AgentBelieved": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM),
    "DriftHealed": _Kind(Class.ENTITY, OTHER, Severity.HIGH),
    "OpenedLocally": _Kind(Class.ACCESS, 1, Severity.HIGH),
    "AgentReported": _Kind(Class.ENTITY, OTHER, Severity.LOW),
    "NotesWithheld": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM),
    "RecordPruned": _Kind(Class.ENTITY, 4, Severity.MEDIUM),
    "ClockLeapt": _Kind(Class.ENTITY, OTHER, Severity.HIGH, is_failure=True),
    "ClockConfirmed": _Kind(Class.ENTITY, OTHER, Severity.MEDIUM),
    "RecordBroken": _Kind(Class.ENTITY, OTHER, Severity.CRITICAL),
    "RecordDisputed": _Kind(Class.ENTITY, OTHER, Severity.CRITICAL),
    "SinkAdded": _Kind(Class.ENTITY, 1, Severity.MEDIUM),
    "SinkChanged": _Kind(Class.ENTITY, 3, Severity.MEDIUM),
    "SinkRemoved": _Kind(Class.ENTITY, 4, Severity.MEDIUM),
    "SinkDisabled": _Kind(Class.ENTITY, OTHER, Severity.HIGH, is_failure=True),
    "SinkParked": _Kind(Class.ENTITY, OTHER, Severity.HIGH, is_failure=True),
    "SinkSkipped": _Kind(Class.ENTITY, OTHER, Severity.HIGH),
    GAP: _Kind(Class.ENTITY, OTHER, Severity.HIGH),
    TEST: _Kind(Class.ENTITY, OTHER),
}


_THEFT = _Kind(Class.ENTITY, 4, Severity.CRITICAL)  # a token or code came a second time


def ocsf_event(link: Link, grants: Mapping[str, Grant]) -> dict[str, Any]:
    """One event of OCSF; ``grants`` are those that the event may name, by id."""
    record = link.record
    data: Mapping[str, Any] = record["data"]
    kind = _kind_of(record["kind"], data)
    activity = _ACTIVITIES[kind.class_uid].get(kind.activity, record["kind"])
    category = kind.class_uid // 1000
    event = {
        "activity_id": kind.activity,
        "activity_name": activity,
        "category_uid": category,
        "category_name": _CATEGORIES[category],
        "class_uid": int(kind.class_uid),
        "class_name": _CLASS_NAMES[kind.class_uid],
        "type_uid": kind.class_uid * 100 + kind.activity,
        "type_name": f"{_CLASS_NAMES[kind.class_uid]}: {activity}",
        "time": (parse_instant(record["at"]) - _EPOCH) // _MILLISECOND,
        "severity_id": int(kind.severity),
        "severity": kind.severity.name.capitalize(),
        "status_id": 2 if kind.is_failure else 1,
        "status": "Failure" if kind.is_failure else "Success",
        "message": record["kind"],
        "metadata": _metadata(link),
        "actor": {"user": _user(record["actor"])},
        "unmapped": {"kind": record["kind"], "data": data, "hash": link.hash},
    }
    return {**event, **_of_class(kind, record, data, grants)}


def severity_of(record: Mapping[str, Any]) -> Severity:
    """How much an event matters."""
    return _kind_of(record["kind"], record["data"]).severity


def tells_of_failure(record: Mapping[str, Any]) -> bool:
    """Does the event tell of something that was refused or failed?"""
    return _kind_of(record["kind"], record["data"]).is_failure


def class_name(record: Mapping[str, Any]) -> str:
    return _CLASS_NAMES[_kind_of(record["kind"], record["data"]).class_uid]


def _kind_of(name: str, data: Mapping[str, Any]) -> _Kind:
    if name == "CallerDenied":
        activity = _METHODS.get(data.get("method", ""), OTHER)
        return _Kind(Class.API, activity, Severity.MEDIUM, is_failure=True)
    if name == "TokenFamilyRevoked" and data.get("is_theft"):
        return _THEFT
    is_failure = name.endswith(("Denied", "Refused", "Failed"))
    return _KINDS.get(name) or _Kind(Class.ENTITY, OTHER, Severity.HIGH, is_failure)


def _of_class(
    kind: _Kind,
    record: Mapping[str, Any],
    data: Mapping[str, Any],
    grants: Mapping[str, Grant],
) -> dict[str, Any]:
    if kind.class_uid is Class.ACCESS:
        return _access(record, data, grants.get(str(data.get("grant_id", ""))))
    if kind.class_uid is Class.API:
        return _api(record, data)
    entity = _resource(record["resourceId"])
    comment = data.get("justification") or data.get("what") or data.get("why")
    return {"entity": entity, **({"comment": comment} if comment else {})}


def _access(
    record: Mapping[str, Any], data: Mapping[str, Any], grant: Grant | None
) -> dict[str, Any]:
    """Whose privilege, and to what; root on a host opens for whomever he named."""
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
