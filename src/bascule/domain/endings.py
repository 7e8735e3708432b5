"""What of an installation ends by itself, and when people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

THRESHOLDS = (60, 30, 14, 7, 1)  # days before an end at which it is told
WARNED_AHEAD = timedelta(days=THRESHOLDS[0])


class Ends(StrEnum):
    """What ends. The values are in metrics, events and the API."""

    CA = "ca"  # certificate of the installation's CA
    SERVER = "server"  # a server's certificate, issued by that CA
    OWN = "own"  # a server's certificate that an operator brought
    CLIENT_SECRET = "clientSecret"  # noqa: S105  # reason: a name
    CLIENT_CERTIFICATE = "clientCertificate"  # by which a program signs in
    SINK_CA = "sinkCa"  # of a CA that a sink's receiver is verified by
    PROVIDER_CA = "providerCa"  # of a CA that an identity provider is verified by


@dataclass(frozen=True, slots=True)
class Ending:
    """One thing with an end."""

    what: Ends
    id: str  # the same as long as it is the same thing, at all servers of the installation
    name: str  # for people: whose it is
    ends_at: datetime
    renews_at: datetime | None = None  # when it is renewed without anybody's doing

    def days_left(self, now: datetime) -> int:
        """Whole days, rounded down; negative when it is over."""
        return (self.ends_at - now) // timedelta(days=1)

    def threshold(self, now: datetime) -> int | None:
        """The smallest number of THRESHOLDS within which it ends, or ended; None: it is not near, or
        there is still time in which it renews itself.
        """
        if (
            self.renews_at is not None
            and now < self.renews_at + (self.ends_at - self.renews_at) / 2
        ):
            return None
        left = self.ends_at - now
        reached = [days for days in THRESHOLDS if left <= timedelta(days=days)]
        return min(reached, default=None)
