"""The record itself."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Flag, MachineId, Number, Text
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact(
    "Bascule.Audit/events/prune/action",
    "Prune record",
    Activity.DELETE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class RecordPruned(Fact):
    """Old events were deleted by retention; a signed checkpoint stands for them."""

    before: Text  # the date that was asked for
    through: Number  # position of the last one deleted
    checkpoint_hash: Text
    events: Number  # how many were deleted
    is_on_host: Flag = False  # by bascule admin, for which the floor does not hold


@fact(
    "Bascule.Audit/events/verify/action",
    "Verify record",
    severity=Severity.CRITICAL,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class RecordBroken(Fact):
    """The server's own look at the chain found it broken."""

    position: Number
    kind: Text
    what: Text


@fact(
    "Bascule.Audit/events/witness/action",
    "Witness record",
    severity=Severity.CRITICAL,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class RecordDisputed(Fact):
    """An enforcement point has seen another chain than this server tells of (EDGES B9)."""

    machine: MachineId
    what: Text
