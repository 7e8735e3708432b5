"""What an enforcement point tells its server after each pass, and what is answered.

Lists and texts are cut off at their bounds, because a report that is refused settles nothing.
What grants are settled by (``generation``, ``in_force``, ``sessions``) is taken whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import HOST, Capabilities
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.features import KNOWN
from bascule.domain.knocks import Knock
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address
from bascule.domain.weaknesses import Weakness
from bascule.protocol.shape import LENIENT, SKIP, Crop, Most
from bascule.protocol.shapes import LONGEST_ID, LONGEST_NOTE, MOST_IN_FRONT, Knows

LOCAL = "local-"  # how ids of openings by root begin
MOST_OPENINGS = 64  # by root, of one report
MOST_NOTES = 64
MOST_KNOCKS = 256
MOST_FACTS = 64
MOST_CLOSED = 1024
MOST_HOPS = 64  # addresses of one gateway
MOST_REFUSED = 4096  # grants by a guard; of more, patience ends the rest
MAXIMUM_SKEW = timedelta(seconds=30)  # of a host's clock, until its machine says so

Note = Annotated[str, Crop(LONGEST_NOTE)]


@dataclass(frozen=True, slots=True)
class LocalOpening:
    """Root on the host opened a port."""

    port: Note  # 22/tcp
    sources: Annotated[tuple[Annotated[str, Crop(64)], ...], Crop(MOST_OPENINGS)]
    seconds: int
    id: Annotated[str, Crop(LONGEST_ID)] = ""  # under which reports have it in force


@dataclass(frozen=True, slots=True)
class Report:
    """What an enforcement point says after it has read its firewall back."""

    generation: int  # 0: the firewall cannot be managed, and nothing is settled
    in_force: frozenset[str]  # grant ids whose openings were read back
    local_port_range: (
        tuple[Annotated[int, Most(65535, 1)], Annotated[int, Most(65535, 1)]] | None
    ) = None
    blocked_attempts: int = 0
    # New since the last report that was answered.
    knocks: Annotated[tuple[Knock, ...], Crop(MOST_KNOCKS)] = ()
    # Grant id -> live connections; None: they could not be counted.
    sessions: Mapping[str, int] | None = field(default_factory=dict)
    weaknesses: Annotated[tuple[Weakness, ...], Crop(MOST_NOTES)] = ()
    flushed_by: Note = ""  # which service there empties the rules; empty: none
    facts: Annotated[Mapping[Note, Note], Crop(MOST_FACTS)] = field(default_factory=dict)
    agent_version: Annotated[str, Crop(64)] = ""
    drift: Annotated[tuple[Note, ...], Crop(MOST_NOTES)] = ()
    local_openings: Annotated[tuple[LocalOpening, ...], Crop(MOST_OPENINGS)] = ()
    notes: Annotated[tuple[Note, ...], Crop(MOST_NOTES)] = ()
    # How the record differs from what the point has seen.
    disputes: Annotated[tuple[Note, ...], Crop(MOST_NOTES)] = ()
    clock: datetime | None = None
    # What was read back closed.
    closed: Annotated[frozenset[ClosedPort], SKIP, Crop(MOST_CLOSED)] = frozenset()
    guard: Guard | None = None  # the host's own bounds
    driver: Annotated[str, Crop(64)] = ""  # its name in the registry of drivers
    capabilities: Capabilities = HOST
    knows: Knows = KNOWN  # what its version knows (EDGES F4)
    # By the guard; by grant id. A word of a newer agent fails by patience.
    refused: Annotated[Mapping[str, Objection], SKIP, Crop(MOST_REFUSED)] = field(
        default_factory=dict
    )
    # Gateways in front of this machine by whose public ports who is let in gets no answer: their uids, by
    # grant id.
    past: Annotated[
        Mapping[str, Annotated[tuple[Annotated[str, Most(LONGEST_ID)], ...], Crop(MOST_IN_FRONT)]],
        SKIP,
        Crop(MOST_REFUSED),
    ] = field(default_factory=dict)
    # All that root opened and that is not over, whether or not its port is closed.
    held_locally: Annotated[tuple[LocalOpening, ...], Crop(MOST_OPENINGS)] = ()
    # What is left of leases that the host ends earlier than it was told to; by grant id.
    ends: Annotated[
        Mapping[str, Annotated[timedelta, Crop(MAXIMUM_DURATION)]],
        Crop(MAXIMUM_OPENINGS_PER_MACHINE),
    ] = field(default_factory=dict)
    # Of a machine behind this gateway: its addresses by which answers of the machine come back through it.
    # All of them or none: with some left out, answers that come back would be said to go elsewhere.
    answered_by: Annotated[frozenset[Address], LENIENT, Most(MOST_HOPS)] = frozenset()
    # Of all that settles anything, made by the agent (``line.digest_of``); empty: none was made.
    digest: Annotated[str, Crop(LONGEST_ID)] = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """The server's generation for a machine: the answer to a report over HTTP."""

    generation: int
