"""The capabilities of an enforcement point, as its driver states them.

The driver states them, the agent reports them, and the server stores them with the point. Code
that depends on a capability checks it here instead of assuming it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from enum import StrEnum


class Latency(StrEnum):
    """How long a change takes from the order to the packets."""

    INSTANT = "instant"  # within a second: a local firewall
    SECONDS = "seconds"  # within a minute
    MINUTES = "minutes"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Everything is absent unless stated."""

    ends_leases: bool = False  # an opening ends on time though no process of ours is alive
    counts_sessions: bool = False
    ends_sessions: bool = False  # connections that exist can be cut
    sees_blocked: bool = False  # attempts that were kept out
    sees_changes: bool = False  # at once, when somebody else edits the rules; else at its next look
    drains: bool = False  # they may stay for a stated time, then end though no process is alive
    latency: Latency = Latency.MINUTES

    @classmethod
    def having(cls, names: Collection[str], latency: Latency) -> Capabilities:
        """What has these abilities and no other; names that are not known count for nothing."""
        return cls(
            "ends_leases" in names,
            "counts_sessions" in names,
            "ends_sessions" in names,
            "sees_blocked" in names,
            "sees_changes" in names,
            "drains" in names,
            latency,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the fields that it lacks, in the order above."""
        return tuple(each for each in ABILITIES if not getattr(self, each))


ABILITIES = tuple(each.name for each in fields(Capabilities) if each.name != "latency")
# A host's own firewall; also what an agent has that tells none, since only hosts' agents do so.
HOST = Capabilities.having(ABILITIES, Latency.INSTANT)
