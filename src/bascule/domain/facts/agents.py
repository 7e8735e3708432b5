"""Agents of enforcement points: enrolment, contact, and what they report."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class EnrolmentCreated(Fact):
    machine: str
    enrolment_id: str
    expires_at: str
    replaces: bool


@dataclass(frozen=True, slots=True)
class EnrolmentRefused(Fact):
    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class AgentEnrolled(Fact):
    machine: str
    uid: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class AgentRemoved(Fact):
    """An enforcement point's key is refused from now on; what it keeps shut stays shut."""

    machine: str
    machine_uid: str


@dataclass(frozen=True, slots=True)
class AgentWentSilent(Fact):
    machine: str
    last_contact_at: str


@dataclass(frozen=True, slots=True)
class AgentCameBack(Fact):
    machine: str


@dataclass(frozen=True, slots=True)
class GenerationOvertaken(Fact):
    """An agent had applied more than this server knows: the server is from an older backup."""

    machine: str
    server_generation: int
    agent_generation: int


@dataclass(frozen=True, slots=True)
class AgentDoubted(Fact):
    """An agent had applied more than this server knows, again and with nothing that explains it, or
    told of more changes than a host makes (then its generation is not above the server's):
    nothing that it reports is believed until an owner has looked.
    """

    machine: str
    server_generation: int
    agent_generation: int


@dataclass(frozen=True, slots=True)
class AgentBelieved(Fact):
    """An owner has looked: what the agent reports is believed again."""

    machine: str
    machine_uid: str


@dataclass(frozen=True, slots=True)
class DriftHealed(Fact):
    machine: str
    what: str


@dataclass(frozen=True, slots=True)
class OpenedLocally(Fact):
    """Root on the host opened a port without the server."""

    machine: str
    port: str
    sources: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class AgentReported(Fact):
    """Something else that an enforcement point wants on record."""

    machine: str
    what: str


@dataclass(frozen=True, slots=True)
class NotesWithheld(Fact):
    """An enforcement point says more in a minute than goes on record."""

    machine: str
    at_least: int  # what was left out of the report at which this was noticed
