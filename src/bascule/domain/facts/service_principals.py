"""Service principals and their credentials."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class ServicePrincipalCreated(Fact):
    principal_id: str
    service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalChanged(Fact):
    principal_id: str
    service_principal: str
    previous_service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalDisabled(Fact):
    principal_id: str
    service_principal: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class ServicePrincipalEnabled(Fact):
    principal_id: str
    service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalDeleted(Fact):
    principal_id: str
    service_principal: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class CredentialAdded(Fact):
    """Which one and until when; never what it is."""

    principal_id: str
    service_principal: str
    key_id: str
    kind: str  # secret or certificate
    display_name: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class CredentialRemoved(Fact):
    principal_id: str
    service_principal: str
    key_id: str
    kind: str
    display_name: str
