"""Agents of enforcement points: enrolment, contact, and what they report."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, Flag, MachineId, Number, Port, Seconds, Sources, Text
from bascule.domain.facts.kind import Activity, Category, Level, Outcome, Severity


@fact(
    "Bascule.Fleet/enrolments/write",
    "Create enrolment token",
    Activity.CREATE,
    severity=Severity.LOW,
    is_call=True,
)
class EnrolmentCreated(Fact):
    machine: MachineId
    enrolment_id: Text
    expires_at: Text
    replaces: Flag


@fact(
    "Bascule.Fleet/enforcementPoints/write",
    "Enrol agent",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    outcome=Outcome.FORBIDDEN,
)
class EnrolmentRefused(Fact):
    machine: MachineId
    why: Text


@fact(
    "Bascule.Fleet/enforcementPoints/write", "Enrol agent", Activity.CREATE, severity=Severity.LOW
)
class AgentEnrolled(Fact):
    machine: MachineId
    uid: Bulk
    key_fingerprint: Text


@fact(
    "Microsoft.Authorization/enrolments/delete",
    "Remove agent",
    Activity.DELETE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class AgentRemoved(Fact):
    """An enforcement point's key is refused from now on; what it keeps shut stays shut."""

    machine: MachineId
    machine_uid: Text


@fact(
    "Bascule.Fleet/enforcementPoints/lose/action",
    "Lose contact with agent",
    severity=Severity.MEDIUM,
    outcome=Outcome.UNAVAILABLE,
    level=Level.WARNING,
)
class AgentWentSilent(Fact):
    machine: MachineId
    last_contact_at: Text


@fact("Bascule.Fleet/enforcementPoints/find/action", "Hear from agent again")
class AgentCameBack(Fact):
    machine: MachineId


@fact(
    "Bascule.Fleet/enforcementPoints/overtake/action",
    "Find the server older than its agent",
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class GenerationOvertaken(Fact):
    """An agent had applied more than this server knows: the server is from an older backup."""

    machine: MachineId
    server_generation: Number
    agent_generation: Number


@fact(
    "Bascule.Fleet/enforcementPoints/doubt/action",
    "Stop believing an agent",
    severity=Severity.HIGH,
    level=Level.CRITICAL,
)
class AgentDoubted(Fact):
    """An agent had applied more than this server knows, again and with nothing that explains it, or
    told of more changes than a host makes (then its generation is not above the server's):
    nothing that it reports is believed until an owner has looked.
    """

    machine: MachineId
    server_generation: Number
    agent_generation: Number


@fact(
    "Bascule.Fleet/enforcementPoints/believe/action",
    "Believe an agent again",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class AgentBelieved(Fact):
    """An owner has looked: what the agent reports is believed again."""

    machine: MachineId
    machine_uid: Text


@fact(
    "Bascule.Fleet/enforcementPoints/heal/action",
    "Put changed rules back",
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class DriftHealed(Fact):
    machine: MachineId
    what: Text


@fact(
    "Bascule.Fleet/enforcementPoints/open/action",
    "Open port on the host",
    Activity.ASSIGN,
    category=Category.ACCESS,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class OpenedLocally(Fact):
    """Root on the host opened a port without the server."""

    machine: MachineId
    port: Port
    sources: Sources
    seconds: Seconds


@fact(
    "Bascule.Fleet/enforcementPoints/note/action",
    "Take a note of an agent",
    severity=Severity.LOW,
    level=Level.WARNING,
)
class AgentReported(Fact):
    """Something else that an enforcement point wants on record."""

    machine: MachineId
    what: Text


@fact(
    "Bascule.Fleet/enforcementPoints/hush/action",
    "Leave notes of an agent out of the record",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class NotesWithheld(Fact):
    """An enforcement point says more in a minute than goes on record."""

    machine: MachineId
    at_least: Number  # what was left out of the report at which this was noticed
