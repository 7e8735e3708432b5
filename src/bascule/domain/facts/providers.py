"""External identity providers and the identities that they vouch for."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Number, Text, Texts
from bascule.domain.facts.kind import Activity, Outcome, Severity


@fact(
    "Bascule.Identity/identityProviders/write",
    "Create or Update Identity Provider",
    Activity.CREATE,
    severity=Severity.HIGH,
    outcome=Outcome.CREATED,
    is_call=True,
)
class ProviderAdded(Fact):
    """People may sign in through this external provider from now on."""

    provider: Text
    issuer: Text
    settings: Text  # as the wire writes them; never the client secret


@fact(
    "Bascule.Identity/identityProviders/write",
    "Create or Update Identity Provider",
    Activity.UPDATE,
    severity=Severity.HIGH,
    is_call=True,
)
class ProviderChanged(Fact):
    provider: Text
    issuer: Text
    settings: Text
    previous_settings: Text


@fact(
    "Bascule.Identity/identityProviders/delete",
    "Delete Identity Provider",
    Activity.DELETE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class ProviderRemoved(Fact):
    provider: Text
    issuer: Text
    identities: Number  # that it vouched for


@fact(
    "Bascule.Identity/identityProviders/identities/write",
    "Link External Identity",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class IdentityLinked(Fact):
    """An identity at a provider signs in as this user from now on."""

    provider: Text
    issuer: Text
    subject: Text
    user_id: Text
    user: Text
    how: Text  # by hand, by invitation, or as a new user


@fact(
    "Bascule.Identity/identityProviders/identities/delete",
    "Unlink External Identity",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class IdentityUnlinked(Fact):
    provider: Text
    issuer: Text
    subject: Text
    user_id: Text
    user: Text


@fact(
    "Bascule.Identity/identityProviders/invitations/write",
    "Invite External Identity",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class IdentityInvited(Fact):
    """The first identity that proves this address at the provider is linked to this user, once."""

    provider: Text
    email: Text
    user_id: Text
    user: Text
    until: Text


@fact(
    "Bascule.Identity/identityProviders/invitations/delete",
    "Withdraw External Identity Invitation",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class IdentityInvitationWithdrawn(Fact):
    provider: Text
    email: Text
    user_id: Text
    user: Text


@fact(
    "Bascule.Identity/identityProviders/groups/write",
    "Update groups from identity provider",
    Activity.UPDATE,
    severity=Severity.LOW,
)
class ProviderGroupsChanged(Fact):
    """A provider reported other groups for a user than at the last sign-in."""

    provider: Text
    user_id: Text
    user: Text
    groups: Texts  # ids
    previous_groups: Texts


@fact(
    "Bascule.Identity/identityProviders/signIn/action",
    "Sign in with identity provider",
    severity=Severity.LOW,
    outcome=Outcome.FORBIDDEN,
)
class ExternalSignInRefused(Fact):
    """Somebody returned from a provider and was not signed in."""

    provider: Text
    subject: Text  # empty if the identity is not proved
    why: Text
