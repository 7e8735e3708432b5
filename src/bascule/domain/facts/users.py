"""Users."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Flag, Number, Text
from bascule.domain.facts.kind import Activity, Level, Severity


@fact(
    "Microsoft.Authorization/users/write",
    "Create user",
    Activity.CREATE,
    severity=Severity.LOW,
    is_call=True,
)
class UserCreated(Fact):
    user_id: Text
    user: Text


@fact(
    "Microsoft.Authorization/users/write",
    "Update user",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class UserChanged(Fact):
    user_id: Text
    user: Text
    display_name: Text
    previous_user: Text
    previous_display_name: Text


@fact(
    "Microsoft.Authorization/users/disable/action",
    "Disable user",
    Activity.UPDATE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class UserDisabled(Fact):
    user_id: Text
    user: Text
    grants_ended: Number


@fact(
    "Microsoft.Authorization/users/enable/action",
    "Enable user",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class UserEnabled(Fact):
    user_id: Text
    user: Text


@fact(
    "Microsoft.Authorization/users/delete",
    "Delete user",
    Activity.DELETE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class UserDeleted(Fact):
    user_id: Text
    user: Text
    grants_ended: Number


@fact(
    "Bascule.Identity/me/mail/confirm/action",
    "Ask for a code that confirms a mail address",
    Activity.OTHER,
    is_call=True,
)
class MailCodeAsked(Fact):
    """Nothing but that code goes to the address until it is given here."""

    user: Text
    address: Text


@fact(
    "Bascule.Identity/me/mail/write",
    "Choose mail",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class MailChosen(Fact):
    """Where somebody wants mail, by their own word."""

    user: Text
    address: Text  # empty: none
    previous_address: Text
    is_asked: Flag  # of what waits for them
    is_own: Flag  # of what becomes of their own requests
    is_ending: Flag = False  # that access of theirs ends soon
