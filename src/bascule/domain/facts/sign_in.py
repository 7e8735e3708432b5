"""People who sign in, and their factors."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Flag, Number, Text, Texts
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact("Bascule.Identity/signIns/complete/action", "Sign in")
class SignInSucceeded(Fact):
    user_id: Text
    user: Text
    methods: Texts  # RFC 8176


@fact(
    "Bascule.Identity/signIns/complete/action",
    "Sign in",
    severity=Severity.LOW,
    outcome=Outcome.UNAUTHORIZED,
    level=Level.WARNING,
)
class SignInRefused(Fact):
    user: Text  # empty when nobody has the name that was typed, which may be a password
    what: Text  # the factor presented: password, totp, passkey, recoveryCode
    reason: Text


@fact(
    "Bascule.Identity/signIns/begin/action",
    "Begin sign-in, second factor required",
    severity=Severity.LOW,
)
class SecondFactorOwed(Fact):
    """The first factor was right and a second one is required: nobody is signed in yet."""

    user_id: Text
    user: Text
    shown: Text  # RFC 8176: pwd, or fed at an external provider


@fact(
    "Microsoft.Authorization/users/write",
    "Set password",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class PasswordSet(Fact):
    user_id: Text
    user: Text
    is_first: Flag  # else it replaced another one, and all tokens of the user are void


@fact(
    "Microsoft.Authorization/users/write",
    "Enrol second factor",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class FactorEnrolled(Fact):
    user_id: Text
    user: Text
    factor: Text  # totp or passkey
    label: Text = ""  # a passkey's name


@fact(
    "Microsoft.Authorization/users/write",
    "Remove second factor",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class FactorRemoved(Fact):
    user_id: Text
    user: Text
    factor: Text  # totp, passkey or recoveryCode
    label: Text = ""  # a passkey's name


@fact(
    "Microsoft.Authorization/users/write",
    "Create recovery codes",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class RecoveryCodesMade(Fact):
    user_id: Text
    user: Text
    count: Number


@fact(
    "Bascule.Identity/recoveryCodes/use/action",
    "Use recovery code",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class RecoveryCodeUsed(Fact):
    user_id: Text
    user: Text
    left: Number
