"""A state as the wire writes it, read and bounded.

A server that lies or is broken must not be able to give this host something to keep that its
firewall refuses: it would be refused again after every reboot, with all that is beside it. So
what no server of ours can send makes the whole state refused, and what is held stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from bascule.domain.decide import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.desired import CUT_FOR, MOST_CUTS, Cut, DesiredState, Lease
from bascule.domain.grant import opening_count
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol, parse_port_number
from bascule.domain.policy import MAXIMUM_DURATION
from bascule.errors import BasculeError, ServerUnreachable

LARGEST = 2**53 - 1  # what JSON numbers carry exactly (RFC 8259 section 6)
LONGEST_ID = 64  # characters of a grant's id
_WORDS = 200  # characters of a complaint that are passed on
_MILLISECOND = timedelta(milliseconds=1)


class StateRefused(ServerUnreachable):
    """The server sent a state that cannot be: what is held stays."""

    code = "StateRefused"


def parse_state(data: Mapping[str, Any]) -> DesiredState:
    """The state that the server sent; anything unexpected or out of bounds raises StateRefused."""
    try:
        return _state(data)
    except (KeyError, ValueError, TypeError, BasculeError) as error:
        words = f"{type(error).__name__}: {error}"[:_WORDS]
        raise StateRefused(f"The server sent a state that cannot be: {words}.") from error


def _state(data: Mapping[str, Any]) -> DesiredState:
    closed = [ClosedPort(_port(each), OnExpiry(each["onExpiry"])) for each in _list(data, "closed")]
    if len({each.port for each in closed}) != len(closed):
        raise ValueError("a port is closed twice")
    leases = tuple(
        Lease(
            _id(each["grantId"]),
            tuple(_port(port) for port in _list(each, "ports")),
            tuple(AddressPrefix.parse(text) for text in _list(each, "sources")),
            _remaining(each["remainingMs"], MAXIMUM_DURATION),
            _whole(each["extension"], LARGEST),
        )
        for each in _list(data, "leases")
    )
    cuts = tuple(
        Cut(
            _id(each["grantId"]),
            tuple(_port(port) for port in _list(each, "ports")),
            tuple(AddressPrefix.parse(text) for text in _list(each, "sources")),
            _remaining(each["remainingMs"], CUT_FOR),
        )
        for each in _list(data, "cuts")
    )
    _check_count(leases, MAXIMUM_OPENINGS_PER_MACHINE)
    _check_count(cuts, MOST_CUTS)
    return DesiredState(
        machine_uid=_id(data["machineUid"]),
        generation=_whole(data["generation"], LARGEST),
        closed=frozenset(closed),
        released={
            _port(each): _whole(each["generation"], LARGEST) for each in _list(data, "released")
        },
        leases=leases,
        cuts=cuts,
    )


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data[key]
    if not isinstance(value, list):
        raise TypeError(f"{key} is no list")
    return value


def _check_count(given: Collection[Lease | Cut], most: int) -> None:
    counts = [opening_count(each.ports, each.sources) for each in given]
    if not all(counts):
        raise ValueError("a grant names no port or no source")
    if sum(counts) > most:
        raise ValueError(f"{sum(counts)} openings are more than the {most} that a machine may have")


def _port(data: Mapping[str, Any]) -> PortKey:
    number = parse_port_number(_whole(data["number"], LARGEST))
    return PortKey(TransportProtocol(data["protocol"]), number)


def _remaining(value: object, longest: timedelta) -> timedelta:
    return _whole(value, longest // _MILLISECOND) * _MILLISECOND


def _whole(value: object, most: int) -> int:
    """A whole number from 0 on; a truth value is none, nor is 1.5."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:20]!r} is not a whole number from 0 to {most}")
    return value


def _id(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID:
        raise ValueError(f"an id has 1 to {LONGEST_ID} characters")
    return value
