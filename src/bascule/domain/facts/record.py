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
    """Retention deleted old events; a signed checkpoint replaces them."""

    before: Text  # the requested date
    through: Number  # position of the last one deleted
    checkpoint_hash: Text
    events: Number  # how many were deleted
    is_on_host: Flag = False  # by bascule admin, which may go below the minimum


@fact(
    "Bascule.Audit/events/verify/action",
    "Verify record",
    severity=Severity.CRITICAL,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class RecordBroken(Fact):
    """The server verified the chain and found it broken."""

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
    """An enforcement point has seen a different chain than this server has (EDGES B9)."""

    machine: MachineId
    what: Text
