"""What happens to the installation as a whole: its set-up, its clock, its signing key."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class InstallationCreated(Fact):
    tenant_id: str
    subscription_id: str


@dataclass(frozen=True, slots=True)
class AdministratorRecovered(Fact):
    client_id: str


@dataclass(frozen=True, slots=True)
class SetUpLinkMade(Fact):
    """A link by which the first person of the installation can be made."""

    ends_at: str


@dataclass(frozen=True, slots=True)
class SetUpLinkUsed(Fact):
    user_id: str  # who was made by it, an owner
    user: str


@dataclass(frozen=True, slots=True)
class SetUpRefused(Fact):
    """Somebody came with a set-up link that is none, or none any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClockLeapt(Fact):
    """The wall clock and the time since boot do not agree; retention waits."""

    last_seen: str  # the wall clock when they last agreed
    seconds: int  # that it moved since; of a server that was off too


@dataclass(frozen=True, slots=True)
class ClockConfirmed(Fact):
    """Somebody on the server's own host said that the clock is right."""

    at: str


@dataclass(frozen=True, slots=True)
class SigningKeyRotated(Fact):
    previous_key_id: str
    key_id: str
    is_previous_void: bool  # what it signed was refused from then on
