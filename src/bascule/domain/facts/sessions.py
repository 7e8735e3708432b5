"""Browsers and programs that are signed in."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class SignedIn(Fact):
    """A program was given a person's tokens."""

    user_id: str
    user: str
    client: str  # what people call the program
    client_id: str
    flow: str  # browser, device code, password
    methods: tuple[str, ...]  # RFC 8176


@dataclass(frozen=True, slots=True)
class TokenFamilyRevoked(Fact):
    """All tokens of one sign-in of one program are void."""

    user_id: str
    user: str
    client_id: str
    why: str
    is_theft: bool  # a token or a code came a second time: somebody has a copy


@dataclass(frozen=True, slots=True)
class SessionEnded(Fact):
    """A browser is signed out before its time."""

    user_id: str
    user: str
    session_id: str  # as it is listed
    began_at: str
    address: str  # that it began from
    why: str


@dataclass(frozen=True, slots=True)
class SignedOutEverywhere(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class DeviceCodeApproved(Fact):
    user_id: str
    user: str
    client_id: str
    device_address: str


@dataclass(frozen=True, slots=True)
class DeviceCodeRefused(Fact):
    user_id: str
    user: str
    client_id: str
    device_address: str
