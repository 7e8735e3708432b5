"""What the wire adds to the domain's own types: bounds, and how their fields are grouped.

Imported by whatever is sent with them (``report``, ``state``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from bascule.domain.bindings import MOST_FORMER, GatewayInFront, InFront, Whereabouts
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.capabilities import Capabilities, Latency
from bascule.domain.desired import (
    LONGEST_CUT,
    LONGEST_DRAIN,
    MOST_CUTS,
    Cut,
    DesiredState,
    Drain,
    Lease,
)
from bascule.domain.durations import MAXIMUM_DRAIN, MAXIMUM_DURATION
from bascule.domain.features import BASELINE, Feature
from bascule.domain.grant import opening_count
from bascule.domain.knocks import LONGEST_AGE, OTHERS, Knock
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import Address, AddressPrefix, PortKey, PublicPort, parse_address
from bascule.domain.weaknesses import Weakness
from bascule.errors import InvalidInput
from bascule.protocol.codec import describe
from bascule.protocol.shape import INLINE, LENIENT, REQUIRED, SKIP, Absent, Crop, Entries, Most

LONGEST_ID = 64  # characters of a grant's id
LONGEST_NOTE = 500
MOST_ARGUMENTS = 8  # of a weakness
LONGEST_NAME = 500  # characters of a machine's id
MOST_FEATURES = 256
MOST_BOUNDS = 1024  # ports, and sources, of a guard
MOST_IN_FRONT = 64  # gateways, and addresses of each
MOST_PUBLIC = 16  # public ports that stand for one of a machine

# Words of a newer agent are left out; an agent that names nothing knows the baseline.
Knows = Annotated[frozenset[Feature], SKIP, Crop(MOST_FEATURES), Absent(BASELINE)]
GrantId = Annotated[str, Most(LONGEST_ID, 1)]
Name = Annotated[str, Most(LONGEST_NAME, 1)]


def _check_openings(given: tuple[Lease | Cut | Drain, ...], most: int) -> None:
    counts = [opening_count(each.ports, each.sources) for each in given]
    if not all(counts):
        raise InvalidInput("a grant names no port or no source.")
    if sum(counts) > most:
        raise InvalidInput(
            f"{sum(counts)} openings are more than the {most} that a machine may have."
        )


def _possible(state: DesiredState) -> DesiredState:
    """A server that lies must not have this host keep what its firewall refuses: it would be
    refused again after every reboot, with all that is beside it.
    """
    if len({each.port for each in state.closed}) != len(state.closed):
        raise InvalidInput("a port is closed twice.", target="closed")
    if any(each.on_expiry is OnExpiry.DRAIN for each in state.closed):
        raise InvalidInput(
            "a port does not drain: what came to it by a lease does.", target="closed"
        )
    if state.where is not None:
        versions = [each.version for each in state.where.addresses]
        if len(set(versions)) != len(versions):
            raise InvalidInput("two addresses are of one IP version.", target="where")
    _check_openings(state.leases, MAXIMUM_OPENINGS_PER_MACHINE)
    _check_openings(state.cuts, MOST_CUTS)
    _check_openings(state.drains, MAXIMUM_OPENINGS_PER_MACHINE)
    return state


def _named(knock: Knock) -> Knock:
    """One that names no address or no port counts as another's: it was dropped all the same."""
    if knock.port is not None:
        try:
            return Knock(str(parse_address(knock.source)), knock.port, knock.attempts, knock.age)
        except InvalidInput:
            pass
    return Knock(OTHERS, None, knock.attempts, knock.age)


describe(PortKey, number=Annotated[int, Most(65535, 1)])
describe(PublicPort, number=Annotated[int, Most(65535, 1)])
describe(
    ClosedPort,
    port=Annotated[PortKey, INLINE],
    on_expiry=Annotated[OnExpiry, REQUIRED],
)
describe(
    Lease,
    grant_id=GrantId,
    remaining=Annotated[timedelta, Most(MAXIMUM_DURATION)],
    extension=Annotated[int, REQUIRED],
)
describe(Capabilities, latency=Annotated[Latency, LENIENT])
describe(
    Weakness,
    code=Annotated[str, Crop(LONGEST_ID)],
    arguments=Annotated[
        Mapping[Annotated[str, Crop(LONGEST_ID)], Annotated[str, Crop(LONGEST_NOTE)]],
        Crop(MOST_ARGUMENTS),
    ],
)
describe(Cut, grant_id=GrantId, remaining=Annotated[timedelta, Most(LONGEST_CUT)])
describe(
    Drain,
    grant_id=GrantId,
    remaining=Annotated[timedelta, Most(LONGEST_DRAIN)],
    extension=Annotated[int, REQUIRED],
)
describe(
    Whereabouts,
    addresses=Annotated[tuple[Address, ...], Most(2)],
    former=Annotated[frozenset[Address], Most(MOST_FORMER)],
    released=Annotated[Mapping[Address, int], Most(MOST_FORMER)],
    mapped=Annotated[
        Mapping[PortKey, Annotated[tuple[PublicPort, ...], Most(MOST_PUBLIC)]], Entries("at")
    ],
    name=Annotated[str, Crop(LONGEST_NAME)],
)
describe(
    GatewayInFront,
    uid=GrantId,
    addresses=Annotated[tuple[Address, ...], Most(MOST_IN_FRONT)],
    mapped=Annotated[
        Mapping[PortKey, Annotated[tuple[PublicPort, ...], Most(MOST_PUBLIC)]], Entries("at")
    ],
    versions=Annotated[frozenset[Annotated[int, Most(6, 4)]], Most(2)],
    name=Annotated[str, Crop(LONGEST_NAME)],
)
describe(
    InFront,
    gateways=Annotated[tuple[GatewayInFront, ...], Most(MOST_IN_FRONT)],
    addresses=Annotated[tuple[Address, ...], Most(MOST_IN_FRONT)],
)
describe(
    DesiredState,
    _possible,
    machine_uid=GrantId,
    in_front=Annotated[InFront | None, LENIENT],
    released=Annotated[dict[PortKey, int], Entries("generation")],
    cuts=Annotated[tuple[Cut, ...], REQUIRED],
)
# The host goes by its guard all the same: of one that is too large, no bounds are known here.
describe(
    Guard,
    ports=Annotated[tuple[PortKey, ...] | None, LENIENT, Most(MOST_BOUNDS)],
    sources=Annotated[tuple[AddressPrefix, ...] | None, LENIENT, Most(MOST_BOUNDS)],
    max_duration=Annotated[timedelta | None, Crop(MAXIMUM_DURATION)],
    max_drain=Annotated[timedelta | None, Crop(MAXIMUM_DRAIN)],
    problem=Annotated[str, Crop(LONGEST_NOTE)],
    forwarding=Annotated[Forwarding | None, LENIENT],
)
describe(
    Forwarding,
    networks=Annotated[tuple[AddressPrefix, ...], Most(MOST_BOUNDS)],
    addresses=Annotated[tuple[Address, ...], Most(MOST_BOUNDS)],
    first=Annotated[int, Most(65535)],
    last=Annotated[int, Most(65535)],
)
describe(
    Knock,
    _named,
    source=Annotated[str, Absent(OTHERS)],
    port=Annotated[PortKey | None, INLINE, LENIENT, Absent(None)],
    age=Annotated[timedelta, Crop(LONGEST_AGE)],
)
