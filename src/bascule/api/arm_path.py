"""Paths in one spelling before they are routed (CONTRACT 1.1, CLIENTS 1.4).

ARM compares the fixed words of a path without regard to case, and clients send
``resourcegroups``, ``microsoft.Security`` and ``/Initiate``; names keep their spelling.
Empty segments are dropped. The router cannot do this, so an ASGI middleware does it.

A segment is decoded after the path is split: an encoded slash stays encoded inside its
segment, is no legal name, and never makes a new segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_PROVIDERS = "providers"
_WORDS = {
    word.casefold(): word
    for word in (
        "tenants",
        "subscriptions",
        "resources",
        "resourceGroups",
        _PROVIDERS,
        "Microsoft.Security",
        "locations",
        "jitNetworkAccessPolicies",
        "initiate",
        "Microsoft.Compute",
        "virtualMachines",
        "instanceView",
        "Bascule.Access",
        "accessRequests",
        "revoke",
        "extend",
        "machineRules",
        "machineAccess",
        "blockedAttempts",
        "exposures",
        "portHours",
        "release",
        "Bascule.Fleet",
        "enforcementPoints",
        "enrolments",
        "Bascule.Audit",
        "events",
        "activity",
        "activityCounts",
        "key",
        "checkpoints",
        "verification",
        "export",
        "prune",
        "sinks",
        "test",
        "pause",
        "resume",
        "rotateSecret",
        "Bascule.Identity",
        "me",
        "users",
        "groups",
        "members",
        "servicePrincipals",
        "credentials",
        "identityProviders",
        "identities",
        "link",
        "unlink",
        "Microsoft.Authorization",
        "roleDefinitions",
        "roleAssignments",
        "permissions",
        "providerOperations",
        "ownerCredentials",
        "password",
        "factors",
        "signIns",
        "signOut",
        "Microsoft.Network",
        "networkInterfaces",
        "publicIPAddresses",
        "networkSecurityGroups",
        "securityRules",
        "defaultSecurityRules",
        "azureFirewalls",
        "pricings",
        "policies",
        "machineStates",
        "signingKeys",
        "rotate",
        "Microsoft.Insights",
        "eventtypes",
        "values",
    )
}


_FIRST_WORDS = ("subscriptions", "tenants", _PROVIDERS)


def is_arm_path(path: str) -> bool:
    """Is this path, in its canonical spelling, one of ARM's?"""
    return path.split("/", 2)[1] in _FIRST_WORDS


class ArmPaths:
    """ASGI middleware: rewrite ``scope["path"]`` to its canonical spelling."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": canonical_path(segments_of(scope))}
        await self._app(scope, receive, send)


def segments_of(scope: Scope) -> list[str]:
    """The path's segments, each decoded once, empty ones left out."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return [segment for segment in scope["path"].split("/") if segment]
    encoded = raw.partition(b"?")[0].decode("latin-1").split("/")
    return [_decode(segment) for segment in encoded if segment]


def _decode(segment: str) -> str:
    decoded = unquote(segment, errors="replace")
    return segment if "/" in decoded else decoded


def canonical_path(segments: Sequence[str]) -> str:
    """Join segments, the fixed words of ARM's grammar in their own spelling."""
    if segments and segments[0].casefold() in _FIRST_WORDS:
        segments = _canonical_segments(segments)
    return "/" + "/".join(segments)


def _canonical_segments(segments: Sequence[str]) -> list[str]:
    """Words and names take turns; after ``providers`` comes a namespace, which is a word too."""
    canonical: list[str] = []
    is_word = True
    for segment in segments:
        if not is_word:
            canonical.append(segment)
            is_word = True
            continue
        word = _WORDS.get(segment.casefold(), segment)
        # The namespace after ``providers`` stands where a name would, and is followed by a type.
        follows_providers = bool(canonical) and canonical[-1] == _PROVIDERS
        canonical.append(word)
        is_word = word == _PROVIDERS or follows_providers
    return canonical
