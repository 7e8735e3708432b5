"""Users."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class UserCreated(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class UserChanged(Fact):
    user_id: str
    user: str
    display_name: str
    previous_user: str
    previous_display_name: str


@dataclass(frozen=True, slots=True)
class UserDisabled(Fact):
    user_id: str
    user: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class UserEnabled(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class UserDeleted(Fact):
    user_id: str
    user: str
    grants_ended: int
