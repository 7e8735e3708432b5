"""Users, groups and service principals, as the installation keeps them. No secrets.

Ids are GUIDs in lower case, as Entra ID's object ids are. A service principal's id is its
client id too: there is one installation, so an application and its presence in it are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bascule.domain.access import PrincipalKind


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str  # the user principal name, unique without regard to case
    display_name: str
    is_enabled: bool
    created_at: datetime
    epoch: int = 0  # raised to void every token and session that the user has


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    id: str
    display_name: str  # not unique
    is_enabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    name: str  # unique without regard to case
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """One principal in one group. Groups are not nested."""

    group_id: str
    member_id: str
    member_kind: PrincipalKind  # USER or SERVICE
    provider_id: str = ""  # the external provider that said so; empty: put here by hand
    expires_at: datetime | None = None  # not inclusive; at most an hour ahead if a provider says so

    @property
    def stated_end(self) -> datetime | None:
        """The end that somebody here gave it; no access that rests on it is to last longer (EDGES
        J9). A provider's word is renewed within its hour, so its end is none (EDGES B3).
        """
        return None if self.provider_id else self.expires_at

    def holds_at(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class CredentialKind(StrEnum):
    SECRET = "secret"  # noqa: S105  # reason: the name of a kind
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Credential:
    """One of a service principal's proofs, as stored: never a secret itself."""

    key_id: str  # GUID
    principal_id: str
    kind: CredentialKind
    proof: str  # SHA-256 hex of a generated secret, or a certificate in PEM
    display_name: str  # for people: what uses it; empty when nobody said
    created_at: datetime
    expires_at: datetime | None  # None: does not expire (the first administrator's alone)

    def holds_at(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at
