"""Requests for access and the grants that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class AccessRequested(Fact):
    request_id: str
    policy: str
    machines: tuple[str, ...]
    justification: str


@dataclass(frozen=True, slots=True)
class AccessDenied(Fact):
    policy: str
    reasons: tuple[str, ...]
    machines: tuple[str, ...] = ()  # that were asked for, the first MOST_PLACES
    more_machines: int = 0  # besides those
    ports: tuple[str, ...] = ()  # numbers that were asked for, the first MOST_PLACES
    sources: tuple[str, ...] = ()  # likewise
    justification: str = ""


@dataclass(frozen=True, slots=True)
class GrantCreated(Fact):
    grant_id: str
    request_id: str
    machine: str
    port: str
    sources: tuple[str, ...]
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantOpened(Fact):
    """Its enforcement point read it back in force."""

    grant_id: str
    request_id: str
    machine: str


@dataclass(frozen=True, slots=True)
class GrantExtended(Fact):
    grant_id: str
    request_id: str
    machine: str
    previous_end: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantShortened(Fact):
    """A policy's shorter maximum cut its end."""

    grant_id: str
    request_id: str
    machine: str
    previous_end: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantEnded(Fact):
    grant_id: str
    request_id: str
    machine: str
    reason: str  # StatusReason
    cause: str  # which act or rule ended it
    kills_sessions: bool = False


@dataclass(frozen=True, slots=True)
class GrantFailed(Fact):
    grant_id: str
    request_id: str
    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class GrantClosed(Fact):
    """Its enforcement point read it back shut."""

    grant_id: str
    request_id: str
    machine: str
    sessions_alive: int | None  # None: they could not be counted


@dataclass(frozen=True, slots=True)
class SessionsCut(Fact):
    """Somebody had cut what a grant had admitted, after its end."""

    grant_id: str
    request_id: str
    machine: str
