"""Policies of just-in-time access, and where it is switched on."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class PolicyCreated(Fact):
    policy: str
    rules: str  # the machines and ports, as the wire writes them


@dataclass(frozen=True, slots=True)
class PolicyChanged(Fact):
    policy: str
    rules: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class PolicyDeleted(Fact):
    policy: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class PricingChanged(Fact):
    """The plan that just-in-time access belongs to was switched at a subscription or group."""

    scope: str
    tier: str  # that holds there now: Standard is on, Free is off
    previous_tier: str
    is_enforced: bool  # no group below can differ
    is_inherited: bool  # the scope's own setting was taken away
