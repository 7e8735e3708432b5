"""External identity providers and the identities that they vouch for."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class ProviderAdded(Fact):
    """People may sign in through this external provider from now on."""

    provider: str
    issuer: str
    settings: str  # as the wire writes them; never the client secret


@dataclass(frozen=True, slots=True)
class ProviderChanged(Fact):
    provider: str
    issuer: str
    settings: str
    previous_settings: str


@dataclass(frozen=True, slots=True)
class ProviderRemoved(Fact):
    provider: str
    issuer: str
    identities: int  # that it vouched for


@dataclass(frozen=True, slots=True)
class IdentityLinked(Fact):
    """Somebody at a provider is this user from now on."""

    provider: str
    issuer: str
    subject: str
    user_id: str
    user: str
    how: str  # by hand, by invitation, or as a new user


@dataclass(frozen=True, slots=True)
class IdentityUnlinked(Fact):
    provider: str
    issuer: str
    subject: str
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class IdentityInvited(Fact):
    """Whoever first proves this address at the provider becomes this user, once."""

    provider: str
    email: str
    user_id: str
    user: str
    until: str


@dataclass(frozen=True, slots=True)
class IdentityInvitationWithdrawn(Fact):
    provider: str
    email: str
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class ProviderGroupsChanged(Fact):
    """A provider's word put a user into other groups than the last one did."""

    provider: str
    user_id: str
    user: str
    groups: tuple[str, ...]  # ids
    previous_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExternalSignInRefused(Fact):
    """Somebody came back from a provider and was not let in."""

    provider: str
    subject: str  # empty: who it was is not proved
    why: str
