"""Agents of enforcement points: contact, and what they report."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, MachineId, Number, Port, Seconds, Sources, Text
from bascule.domain.facts.kind import Activity, Category, Level, Outcome, Severity


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


@fact(
    "Bascule.Fleet/enforcementPoints/contend/action",
    "Detect agents that replace each other",
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class AgentsContended(Fact):
    """Connections of one enforcement point replaced each other many times within a minute: two
    agents hold its key, and one of them may be a thief.
    """

    machine: MachineId
    at_least: Number  # replacements in that minute when this was noticed


@fact("Bascule.Fleet/enforcementPoints/find/action", "Regain contact with agent")
class AgentCameBack(Fact):
    machine: MachineId


@fact(
    "Bascule.Fleet/enforcementPoints/overtake/action",
    "Detect that the server is older than its agent",
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class GenerationOvertaken(Fact):
    """An agent has applied a newer generation than this server knows: the server was restored from an
    older backup.
    """

    machine: MachineId
    server_generation: Number
    agent_generation: Number


@fact(
    "Bascule.Fleet/enforcementPoints/doubt/action",
    "Stop trusting an agent",
    severity=Severity.HIGH,
    level=Level.CRITICAL,
)
class AgentDoubted(Fact):
    """An agent reported an unexplained newer generation again, or more changes than a host makes.

    In the second case its generation is not above the server's. None of its reports is accepted
    until an owner has checked the machine.
    """

    machine: MachineId
    server_generation: Number
    agent_generation: Number


@fact(
    "Bascule.Fleet/enforcementPoints/believe/action",
    "Trust an agent again",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class AgentBelieved(Fact):
    """An owner has checked the machine: the agent's reports are accepted again."""

    machine: MachineId
    machine_uid: Bulk


@fact(
    "Bascule.Fleet/enforcementPoints/heal/action",
    "Restore changed rules",
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
    """Root on the host opened a port without asking the server."""

    machine: MachineId
    port: Port
    sources: Sources
    seconds: Seconds


@fact(
    "Bascule.Fleet/enforcementPoints/note/action",
    "Record a note from an agent",
    severity=Severity.LOW,
    level=Level.WARNING,
)
class AgentReported(Fact):
    """Any other note that an enforcement point sent for the record."""

    machine: MachineId
    what: Text


@fact(
    "Bascule.Fleet/enforcementPoints/hush/action",
    "Drop notes from an agent",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class NotesWithheld(Fact):
    """An enforcement point sent more notes in a minute than are recorded."""

    machine: MachineId
    at_least: Number  # notes left out of the report in which this was noticed


@fact(
    "Bascule.Fleet/enforcementPoints/findShadow/action",
    "Find a rule or service that bypasses or blocks a port",
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class ShadowFound(Fact):
    """Another program's rule or service lets a closed port be reached, or blocks what is opened."""

    machine: MachineId
    code: Text  # of the weakness
    port: Text  # the closed port; empty: every closed port
    rule: Text  # as written on the host
    what: Text


@fact(
    "Bascule.Fleet/enforcementPoints/loseShadow/action",
    "Find that a rule or service bypasses or blocks a port no longer",
)
class ShadowGone(Fact):
    """What ShadowFound told of is there no longer."""

    machine: MachineId
    code: Text
    port: Text
    rule: Text
    what: Text
