"""Servers that share one database: which hosts may be one."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Text
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact(
    "Bascule.Audit/replicas/invite/action",
    "Invite replica",
    Activity.CREATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class ReplicaInvited(Fact):
    """A token lets one host become a server of this installation, with its keys."""

    invite_id: Text
    ends_at: Text


@fact(
    "Bascule.Audit/replicas/write",
    "Add replica",
    Activity.CREATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class ReplicaJoined(Fact):
    """A host was given the installation's keys."""

    invite_id: Text
    host: Text  # as it calls itself


@fact(
    "Bascule.Audit/replicas/write",
    "Add replica",
    Activity.CREATE,
    severity=Severity.HIGH,
    outcome=Outcome.FORBIDDEN,
    level=Level.WARNING,
)
class ReplicaRefused(Fact):
    """A token that was used before, or has ended, or is unknown: it may be stolen."""

    host: Text
    why: Text
