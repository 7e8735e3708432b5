"""Sinks: where the record is sent."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class SinkAdded(Fact):
    """The record is sent to one more place from now on."""

    sink: str
    target: str  # without a webhook's path
    settings: str  # as the wire writes them


@dataclass(frozen=True, slots=True)
class SinkChanged(Fact):
    sink: str
    target: str
    what: str  # which act: settings, secret, paused, resumed
    settings: str = ""


@dataclass(frozen=True, slots=True)
class SinkRemoved(Fact):
    sink: str
    target: str
    position: int  # how far it had got


@dataclass(frozen=True, slots=True)
class SinkDisabled(Fact):
    """Its receiver said that it is gone."""

    sink: str
    target: str
    position: int
    why: str


@dataclass(frozen=True, slots=True)
class SinkParked(Fact):
    """An event was refused too often; nothing is sent until an operator says how to go on."""

    sink: str
    target: str
    position: int  # of the refused event
    why: str


@dataclass(frozen=True, slots=True)
class SinkSkipped(Fact):
    """Events that a sink does not get: retention deleted them, or an operator said so."""

    sink: str
    first: int  # position
    last: int
    why: str
