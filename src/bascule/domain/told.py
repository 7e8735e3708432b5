"""What an agent is told of a desired state: what it knows, counted from when it asked. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.desired import LONGEST_CUT, LONGEST_DRAIN, DesiredState
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.features import KNOWN, Feature, needs
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol


def known_part(state: DesiredState, knows: frozenset[Feature]) -> DesiredState:
    """What an agent that knows this much is told of it (EDGES F4).

    A port that takes more of the agent is closed as far as it knows how, and nothing on it is opened.
    """
    missing = KNOWN - knows
    if not missing:
        return state

    def is_known(port: PortKey) -> bool:
        return Feature.UDP not in missing or port.protocol is not TransportProtocol.UDP

    beyond = {
        each.port for each in state.closed if needs(each.port, is_kill=each.is_kill) & missing
    }
    undrained = {each.grant_id for each in state.drains} if Feature.DRAIN in missing else set[str]()
    kept = {OnExpiry.KILL: OnExpiry.KEEP} if Feature.KILL in missing else {}
    return replace(
        state,
        closed=frozenset(
            ClosedPort(each.port, kept.get(each.on_expiry, each.on_expiry))
            for each in state.closed
            if is_known(each.port)
        ),
        released={port: since for port, since in state.released.items() if is_known(port)},
        leases=tuple(
            each
            for each in state.leases
            if beyond.isdisjoint(each.ports) and each.grant_id not in undrained
        ),
        cuts=()
        if Feature.CUTS in missing
        else tuple(each for each in state.cuts if all(map(is_known, each.ports))),
        drains=tuple(
            each
            for each in state.drains
            if each.grant_id not in undrained and beyond.isdisjoint(each.ports)
        ),
    )


def counted_from_before(state: DesiredState, ago: timedelta) -> DesiredState:
    """The same state for an agent that counts from a moment ``ago`` before now, so that each lease,
    cut and drain ends when it did.

    None lasts longer than the point accepts: what would is told with an earlier end.
    """
    return replace(
        state,
        leases=tuple(
            replace(each, remaining=min(each.remaining + ago, MAXIMUM_DURATION))
            for each in state.leases
        ),
        cuts=tuple(
            replace(each, remaining=min(each.remaining + ago, LONGEST_CUT)) for each in state.cuts
        ),
        drains=tuple(
            replace(each, remaining=min(each.remaining + ago, LONGEST_DRAIN))
            for each in state.drains
        ),
    )
