"""Sinks: where the record is sent."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Number, Text
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact(
    "Microsoft.Authorization/recordSinks/write",
    "Add record destination",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    outcome=Outcome.CREATED,
    is_call=True,
)
class SinkAdded(Fact):
    """The record is sent to one more place from now on."""

    sink: Text
    target: Text  # without a webhook's path
    settings: Text  # as the wire writes them


@fact(
    "Microsoft.Authorization/recordSinks/write",
    "Change record destination",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class SinkChanged(Fact):
    sink: Text
    target: Text
    what: Text  # which act: settings, secret, paused, resumed
    settings: Text = ""


@fact(
    "Microsoft.Authorization/recordSinks/delete",
    "Remove record destination",
    Activity.DELETE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class SinkRemoved(Fact):
    sink: Text
    target: Text
    position: Number  # how far it had got


@fact(
    "Bascule.Audit/sinks/disable/action",
    "Send record",
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
)
class SinkDisabled(Fact):
    """The receiver answered that it is gone for good."""

    sink: Text
    target: Text
    position: Number
    why: Text


@fact(
    "Bascule.Audit/sinks/park/action",
    "Send record",
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
)
class SinkParked(Fact):
    """The receiver refused one event too often; nothing is sent until an operator decides how to go on."""

    sink: Text
    target: Text
    position: Number  # of the refused event
    why: Text


@fact(
    "Bascule.Audit/sinks/skip/action",
    "Skip events for a destination",
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class SinkSkipped(Fact):
    """Events that a sink does not receive: retention deleted them, or an operator skipped them."""

    sink: Text
    first: Number  # position
    last: Number
    why: Text
