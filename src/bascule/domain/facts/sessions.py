"""Browsers and programs that are signed in."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Flag, Text, Texts
from bascule.domain.facts.kind import Activity, Level, Severity


@fact("Microsoft.Authorization/tokens/issue/action", "Sign in to program", severity=Severity.LOW)
class SignedIn(Fact):
    """A program was given a person's tokens."""

    user_id: Text
    user: Text
    client: Text  # the program's display name
    client_id: Text
    flow: Text  # browser, device code, password
    methods: Texts  # RFC 8176


@fact(
    "Microsoft.Authorization/tokens/revoke/action",
    "Revoke tokens of a program",
    Activity.DELETE,
    severity=Severity.LOW,
    level=Level.WARNING,
    critical_if="is_theft",
)
class TokenFamilyRevoked(Fact):
    """All tokens of one sign-in of one program are void."""

    user_id: Text
    user: Text
    client_id: Text
    why: Text
    is_theft: Flag  # a token or code was used a second time: somebody has a copy


@fact(
    "Microsoft.Authorization/users/sessions/end/action",
    "End session",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class SessionEnded(Fact):
    """A browser session ended early."""

    user_id: Text
    user: Text
    session_id: Text  # as it is listed
    began_at: Text
    address: Text  # where the session began
    why: Text


@fact(
    "Microsoft.Authorization/users/signOut/action",
    "Sign out everywhere",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class SignedOutEverywhere(Fact):
    user_id: Text
    user: Text


@fact(
    "Microsoft.Authorization/deviceCodes/approve/action",
    "Approve device code",
    severity=Severity.LOW,
)
class DeviceCodeApproved(Fact):
    user_id: Text
    user: Text
    client_id: Text
    device_address: Text


@fact(
    "Microsoft.Authorization/deviceCodes/refuse/action",
    "Refuse device code",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class DeviceCodeRefused(Fact):
    user_id: Text
    user: Text
    client_id: Text
    device_address: Text
