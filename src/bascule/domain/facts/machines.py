"""Machines, their resource groups and their closed ports."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class ResourceGroupCreated(Fact):
    group: str


@dataclass(frozen=True, slots=True)
class ResourceGroupDeleted(Fact):
    group: str


@dataclass(frozen=True, slots=True)
class MachineAdded(Fact):
    machine: str
    uid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineChanged(Fact):
    machine: str
    uid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineDeleted(Fact):
    machine: str
    uid: str


@dataclass(frozen=True, slots=True)
class PortClosed(Fact):
    machine: str
    port: str
    on_expiry: str


@dataclass(frozen=True, slots=True)
class PortReleased(Fact):
    machine: str
    port: str
    by: str  # which act released it


@dataclass(frozen=True, slots=True)
class PortLeftPolicies(Fact):
    """No policy names the port any more; it stays shut."""

    machine: str
    port: str
