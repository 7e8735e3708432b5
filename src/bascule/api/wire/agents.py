"""What an enforcement point and its server say to each other.

Times of leases are what remains of them, in whole milliseconds rounded down: an agent
counts them from the moment it asked (EDGES A8). A report's lists and texts are bounded;
what is over the bound is cut off, because a report that is refused settles nothing.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from bascule.api.wire.fields import (
    Body,
    Count,
    EndTime,
    LongText,
    PortNumber,
    Protocol,
    Text,
    Truth,
    refuse,
)
from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import ABILITIES, HOST, Capabilities, Latency
from bascule.domain.desired import Cut, DesiredState, Lease
from bascule.domain.knocks import LONGEST_AGE, OTHERS, Knock
from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, parse_address
from bascule.domain.policy import MAXIMUM_DURATION
from bascule.errors import InvalidInput
from bascule.interfaces.store import Reader
from bascule.protocol.report import LocalOpening, Report

MOST_NOTES = 64
MOST_KNOCKS = 256
MOST_FACTS = 64
MOST_CLOSED = 1024
MOST_BOUNDS = 1024  # ports, and sources, of a guard
LONGEST_NOTE = 500
_OWN_KINDS = ("drift", "local-open", "record")  # of notes that are facts of their own
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_LEFT = MAXIMUM_DURATION // _MILLISECOND
_LONGEST_AGE = int(LONGEST_AGE.total_seconds())


def _read_public_key(value: object) -> str:
    """A raw Ed25519 public key (RFC 8032), base64url without padding."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # of which binascii.Error is one
            key = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            if len(key) == 32 and value.rstrip("=") == _base64url(key):
                return _base64url(key)
    raise refuse("must be a raw Ed25519 public key, 32 bytes as base64url.", "InvalidPublicKey")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


PublicKey = Annotated[
    str, PlainValidator(_read_public_key), WithJsonSchema({"type": "string", "maxLength": 44})
]


class EnrolBody(Body):
    token: Text
    public_key: PublicKey
    agent_version: Text | None = None


class KnockBody(Body):
    """New attempts of one source at one port; of many sources unnamed, when it has no source."""

    source: Text | None = None
    protocol: Protocol | None = None
    number: PortNumber | None = None
    attempts: Count
    age: Count | None = None  # seconds since they were seen, at most


class ClosedBody(Body):
    protocol: Protocol
    number: PortNumber
    on_expiry: Text


class LocalOpeningBody(Body):
    text: LongText  # its port: 22/tcp
    sources: list[Text] | None = None
    seconds: Count | None = None
    id: Text | None = None


class NoteBody(LocalOpeningBody):
    kind: Text


class GuardPortBody(Body):
    protocol: Protocol
    number: PortNumber


class GuardBody(Body):
    ports: list[GuardPortBody] | None = None
    sources: list[Text] | None = None
    max_duration_ms: Count | None = None
    may_release: Truth | None = None
    problem: LongText | None = None


class CapabilitiesBody(Body):
    """An ability that is not named is not there."""

    ends_leases: Truth | None = None
    counts_sessions: Truth | None = None
    ends_sessions: Truth | None = None
    sees_blocked: Truth | None = None
    sees_changes: Truth | None = None
    latency: Text | None = None


class ReportBody(Body):
    generation: Count
    in_force: list[Text]
    local_port_range: tuple[PortNumber, PortNumber] | None = None
    blocked_attempts: Count | None = None
    knocks: list[KnockBody] | None = None
    sessions: dict[str, Count] | None = None
    weaknesses: list[LongText] | None = None
    facts: dict[str, LongText] | None = None
    agent_version: Text | None = None
    notes: list[NoteBody] | None = None
    clock: EndTime | None = None
    closed: list[ClosedBody] | None = None
    held_locally: list[LocalOpeningBody] | None = None
    guard: GuardBody | None = None
    driver: Text | None = None
    capabilities: CapabilitiesBody | None = None
    refused: dict[str, Text] | None = None
    ends: dict[str, Count] | None = None


def read_report(body: ReportBody) -> Report:
    # Root's openings first: agents of before put what was healed in front of them.
    notes = sorted(body.notes or [], key=lambda note: note.kind != "local-open")[:MOST_NOTES]
    return Report(
        generation=body.generation,
        in_force=frozenset(body.in_force),
        local_port_range=body.local_port_range,
        blocked_attempts=body.blocked_attempts or 0,
        knocks=tuple(map(_read_knock, (body.knocks or [])[:MOST_KNOCKS])),
        sessions=body.sessions,
        weaknesses=tuple(text[:LONGEST_NOTE] for text in (body.weaknesses or [])[:MOST_NOTES]),
        facts={
            name[:LONGEST_NOTE]: text[:LONGEST_NOTE]
            for name, text in list((body.facts or {}).items())[:MOST_FACTS]
        },
        agent_version=(body.agent_version or "")[:64],
        drift=tuple(note.text[:LONGEST_NOTE] for note in notes if note.kind == "drift"),
        local_openings=tuple(_read_opening(note) for note in notes if note.kind == "local-open"),
        notes=tuple(note.text[:LONGEST_NOTE] for note in notes if note.kind not in _OWN_KINDS),
        disputes=tuple(note.text[:LONGEST_NOTE] for note in notes if note.kind == "record"),
        clock=body.clock.at if body.clock else None,
        closed=frozenset(_read_closed((body.closed or [])[:MOST_CLOSED])),
        held_locally=None
        if body.held_locally is None
        else tuple(map(_read_opening, body.held_locally[:MOST_NOTES])),
        guard=None if body.guard is None else _read_guard(body.guard),
        driver=(body.driver or "")[:64],
        capabilities=HOST if body.capabilities is None else _read_able(body.capabilities),
        refused=dict(_read_refused(body.refused or {})),
        ends={
            grant_id: min(left, _LONGEST_LEFT) * _MILLISECOND
            for grant_id, left in (body.ends or {}).items()
        },
    )


def _read_able(told: CapabilitiesBody) -> Capabilities:
    """A latency of a newer agent counts as the longest."""
    latency = Latency.MINUTES
    with contextlib.suppress(ValueError):
        latency = Latency(told.latency or latency)
    return Capabilities.having([name for name in ABILITIES if getattr(told, name)], latency)


def _read_guard(told: GuardBody) -> Guard:
    """What cannot be read or is too much to keep bounds nothing here: the host goes by it all the
    same.
    """
    ports = told.ports if told.ports is not None and len(told.ports) <= MOST_BOUNDS else None
    longest = told.max_duration_ms
    return Guard(
        None
        if ports is None
        else tuple(
            PortKey(each, port.number) for port in ports for each in port.protocol.transports
        ),
        _read_sources(told.sources),
        None if longest is None else min(longest, _LONGEST_LEFT) * _MILLISECOND,
        told.may_release is not False,
        (told.problem or "")[:LONGEST_NOTE],
    )


def _read_sources(told: list[str] | None) -> tuple[AddressPrefix, ...] | None:
    if told is None or len(told) > MOST_BOUNDS:
        return None
    with contextlib.suppress(InvalidInput):
        return tuple(AddressPrefix.parse(each) for each in told)
    return None


def _read_refused(told: Mapping[str, str]) -> Iterator[tuple[str, Objection]]:
    for grant_id, why in told.items():
        with contextlib.suppress(ValueError):  # a word of a newer agent: it fails by patience
            yield grant_id, Objection(why)


def _read_closed(closed: list[ClosedBody]) -> Iterator[ClosedPort]:
    for each in closed:
        for transport in each.protocol.transports:
            with contextlib.suppress(ValueError):  # a word of a newer agent: said in vain
                yield ClosedPort(PortKey(transport, each.number), OnExpiry(each.on_expiry))


def _read_knock(told: KnockBody) -> Knock:
    """One that names no address or no port counts as another's: it was dropped all the same."""
    age = timedelta(seconds=min(told.age or 0, _LONGEST_AGE))
    port = _port_of(told)
    with contextlib.suppress(InvalidInput):
        if told.source and port is not None:
            return Knock(str(parse_address(told.source)), port, told.attempts, age)
    return Knock(OTHERS, None, told.attempts, age)


def _port_of(told: KnockBody) -> PortKey | None:
    transports = told.protocol.transports if told.protocol else ()
    if told.number is None or len(transports) != 1:
        return None
    return PortKey(transports[0], told.number)


def _read_opening(note: LocalOpeningBody) -> LocalOpening:
    sources = tuple(source[:64] for source in (note.sources or [])[:MOST_NOTES])
    return LocalOpening(note.text[:LONGEST_NOTE], sources, note.seconds or 0, (note.id or "")[:64])


def seen_json(reader: Reader, seen: int, floor: timedelta) -> dict[str, Any]:
    """Where the record begins and ends, its hash at the place that the agent has seen, and
    for how long nothing of it is deleted.
    """
    head = reader.chain_head()
    told: dict[str, Any] = {
        "position": head.position,
        "hash": head.hash,
        "begin": reader.chain_begin().position,
        "floorSeconds": int(floor.total_seconds()),
    }
    return {**told, "seenHash": reader.seal_at(seen)} if seen else told


def state_json(
    machine: Machine, state: DesiredState, server_time: str, record: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "machineUid": state.machine_uid,
        "machineName": machine.id.name,
        "generation": state.generation,
        "closed": [
            {**_port_json(each.port), "onExpiry": str(each.on_expiry)}
            for each in sorted(state.closed, key=lambda each: each.port)
        ],
        "released": [
            {**_port_json(port), "generation": generation}
            for port, generation in sorted(state.released.items())
        ],
        "leases": [{**_lease_json(lease), "extension": lease.extension} for lease in state.leases],
        "cuts": [_lease_json(cut) for cut in state.cuts],
        "serverTime": server_time,
        "record": record,
    }


def _lease_json(lease: Lease | Cut) -> dict[str, Any]:
    return {
        "grantId": lease.grant_id,
        "ports": [_port_json(port) for port in lease.ports],
        "sources": [str(source) for source in lease.sources],
        "remainingMs": lease.remaining // _MILLISECOND,
    }


def _port_json(port: PortKey) -> dict[str, Any]:
    return {"protocol": str(port.protocol), "number": port.number}
