"""Hypothesis strategies for the domain: small worlds, so that things meet.

Sources come from a /29 and its neighbours, ports from three numbers, people from three
names: two random values overlap often, which is where the bugs are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st

from bascule.domain.desired import Cut, DesiredState, Lease, Opening, OpeningKey, RuleSet
from bascule.domain.durations import MAXIMUM_DURATION, MINIMUM_DURATION
from bascule.domain.held import Held, HeldLease
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol, TransportProtocol
from bascule.domain.plan import TOLERANCE
from bascule.domain.policy import PortRule

V4_BASE = int(IPv4Network("192.0.2.0/24").network_address)
V6_BASE = int(IPv6Network("2001:db8::/64").network_address)


@st.composite
def small_networks(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    """A prefix inside 192.0.2.0/28 or 2001:db8::/124: sixteen addresses each."""
    size = draw(st.integers(0, 4))
    start = draw(st.integers(0, 15)) >> size << size
    if draw(st.booleans()):
        return IPv4Network((V4_BASE + start, 32 - size))
    return IPv6Network((V6_BASE + start, 128 - size))


small_prefixes = small_networks().map(AddressPrefix)
prefixes = st.one_of(st.just(AddressPrefix(None)), small_prefixes)
prefix_sets = st.lists(prefixes, min_size=1, max_size=3).map(tuple)

any_prefixes = st.one_of(
    st.just(AddressPrefix(None)),
    st.ip_addresses(v=4).map(AddressPrefix.of),
    st.builds(
        lambda address, length: AddressPrefix(IPv4Network((int(address), length), strict=False)),
        st.ip_addresses(v=4),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: AddressPrefix(IPv6Network((int(address), length), strict=False)),
        st.ip_addresses(v=6, network="2000::/3"),
        st.integers(0, 128),
    ),
)

TCP, UDP = TransportProtocol
port_keys = st.sampled_from([PortKey(TCP, 22), PortKey(UDP, 53), PortKey(TCP, 3389)])
closed_sets = st.one_of(
    st.just(frozenset({ClosedPort(PortKey(TCP, 22)), ClosedPort(PortKey(UDP, 53), OnExpiry.KILL)})),
    st.dictionaries(port_keys, st.sampled_from([OnExpiry.KEEP, OnExpiry.KILL]), max_size=3).map(
        lambda found: frozenset(ClosedPort(port, after) for port, after in found.items())
    ),
)
spans = st.one_of(
    st.sampled_from([1, 60, 300, 3600, 7200]).map(lambda count: timedelta(seconds=count)),
    st.integers(1, 7_200_000).map(lambda count: timedelta(milliseconds=count)),
)
few_sources = st.lists(
    st.sampled_from(["*", "192.0.2.0/29", "192.0.2.2", "2001:db8::1"]).map(AddressPrefix.parse),
    min_size=1,
    max_size=2,
).map(tuple)
instants = st.datetimes(timezones=st.just(UTC), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001  # reason: hypothesis wants naive bounds
    lambda each: each.astimezone(UTC)
)

grant_ids = st.sampled_from(["a", "b", "c", "d"])
leases = st.builds(
    Lease,
    grant_ids,
    st.lists(port_keys, min_size=1, max_size=2).map(tuple),
    few_sources,
    spans,
    st.integers(0, 2),
)
cuts = st.builds(
    Cut, grant_ids, st.lists(port_keys, min_size=1, max_size=2).map(tuple), few_sources, spans
)
states = st.builds(
    DesiredState,
    st.just("uid-web"),
    st.sampled_from([0, 2, 2, 3, 4]),
    closed_sets,
    st.dictionaries(port_keys, st.integers(0, 4), max_size=2),
    st.lists(leases, min_size=1, max_size=4, unique_by=lambda lease: lease.grant_id).map(tuple),
    st.lists(cuts, max_size=2).map(tuple),
)

held_leases = st.builds(
    HeldLease,
    st.lists(port_keys, min_size=1, max_size=2).map(tuple),
    few_sources,
    st.integers(0, 7200).map(float),
    st.integers(0, 2),
    st.sampled_from([False, False, True]),
)
helds = st.builds(
    Held,
    st.sampled_from([0, 1, 2, 3]),
    closed_sets,
    st.dictionaries(grant_ids, held_leases, max_size=4),
    st.just({}),
)

opening_keys = st.builds(OpeningKey, small_networks(), port_keys)


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    """As ``rule_set`` makes them: openings and cuts of closed ports only."""
    closed = draw(closed_sets)
    shut = {each.port for each in closed}
    openings = draw(st.dictionaries(opening_keys, spans, max_size=5))
    cut = draw(st.dictionaries(opening_keys, spans, max_size=3))
    drains = draw(st.dictionaries(opening_keys, spans, max_size=3))
    kill = {each.port for each in closed if each.is_kill and each.port.protocol is TCP}
    return RuleSet(
        closed,
        {key: Opening(key, span, "g") for key, span in openings.items() if key.port in shut},
        {key: span for key, span in cut.items() if key.port in shut},
        {key: span for key, span in drains.items() if key.port in kill},
    )


@st.composite
def near_rule_sets(draw: st.DrawFn, rules: RuleSet) -> RuleSet:
    """What a firewall may hold when it should hold ``rules``: some missing, some late, some extra."""
    other = draw(rule_sets())
    kept = draw(st.sets(st.sampled_from(sorted(rules.openings, key=str)))) if rules.openings else []
    slip = draw(st.integers(-60, 60)) * (TOLERANCE / 50)
    openings = {
        key: Opening(key, max(timedelta(0), rules.openings[key].remaining + slip), "g")
        for key in kept
    }
    return RuleSet(
        draw(st.sampled_from([rules.closed, other.closed])),
        {**other.openings, **openings},
        other.cuts,
        {**other.drains, **{key: left + slip for key, left in list(rules.drains.items())[:1]}},
    )


rules_of_a_port = st.builds(
    PortRule,
    st.sampled_from([22, 53, 3389]),
    st.sampled_from(RuleProtocol),
    prefix_sets,
    st.integers(int(MINIMUM_DURATION.total_seconds()), int(MAXIMUM_DURATION.total_seconds())).map(
        lambda count: timedelta(seconds=count)
    ),
    st.sampled_from([OnExpiry.KEEP, OnExpiry.KILL]),
    st.booleans(),
)
