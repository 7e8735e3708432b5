"""Machines: the inventory, with what is closed on each and the agent in front of it.

Source: Microsoft.Compute/virtualMachines with Bascule's additions in ``properties.bascule``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bascule.client.located import inventory, named
from bascule.client.reading import Data, flag, inner, instant, number, objects, text, texts
from bascule.client.versions import COMPUTE_VERSION
from bascule.domain.ids import ResourceId
from bascule.domain.times import parse_duration
from bascule.domain.weaknesses import PROTOCOL_TOO_OLD, UNINSTALLED, Gravity

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

ONLINE, OFFLINE, NEVER_SEEN = "online", "offline", "neverSeen"
PARTLY_ONLINE = "partlyOnline"  # of gateways in parallel some are silent


@dataclass(frozen=True, slots=True)
class ClosedPort:
    number: int
    protocol: str  # TCP or UDP
    on_expiry: str  # keep or kill
    is_in_policy: bool  # False: closed although no policy names it any more
    is_read_back: bool = True  # closed when its agent last reported; of an older server: not told
    shadow: str = ""  # openPastUs, cannotBeTold; empty: it is closed
    reached_at: tuple[str, ...] = ()  # gateways past which that is so; empty: at the machine itself


@dataclass(frozen=True, slots=True)
class Behind:
    """What a gateway's guard file admits behind it."""

    networks: tuple[str, ...]  # of no other is anything opened
    addresses: tuple[str, ...]  # public ones
    ports: tuple[int, int] | None  # at each of those, both inclusive; None: it leads nobody by one


@dataclass(frozen=True, slots=True)
class HostGuard:
    """What the host itself admits, whatever a policy says; None bounds nothing."""

    ports: tuple[tuple[int, str], ...] | None  # number and protocol
    sources: tuple[str, ...] | None
    max_duration: timedelta | None  # of one opening
    may_release: bool
    is_usable: bool  # False: its file cannot be used, and nothing is admitted
    max_drain: timedelta | None = None  # for which connections may stay beyond it
    behind: Behind | None = None  # None: it is no gateway's


@dataclass(frozen=True, slots=True)
class RootOpening:
    """What root opened without the server."""

    ports: tuple[tuple[int, str], ...]  # number and protocol
    ends_at: datetime | None  # None: not known
    gateway: str  # at which; empty: on the host itself


@dataclass(frozen=True, slots=True)
class PointWeakness:
    """What is wrong at a machine's enforcement point."""

    code: str
    is_severe: bool
    arguments: Mapping[str, str]
    text: str
    advice: str = ""  # empty: ``text`` says what to do
    effect: str = ""  # of a shadow: openPastUs, cannotBeTold, blocked; empty: it is none
    gateway: str = ""  # at which it is found; empty: at the machine itself

    def concerns(self, number: int, protocol: str) -> bool:
        """Is it about this port? One that names none is about every port."""
        return self.arguments.get("port", "") in ("", f"{number}/{protocol.lower()}")


@dataclass(frozen=True, slots=True)
class EnforcementPoint:
    """A machine's agent, as the server knows it."""

    state: str  # online, partlyOnline, offline, neverSeen
    last_contact_at: datetime | None
    enrolled_at: datetime | None
    generation: int
    observed_generation: int
    agent_version: str
    weaknesses: tuple[PointWeakness, ...]
    blocked_attempts: int | None  # None: it does not see them
    counted_at: datetime | None = None  # when that number came
    not_enforced_since: datetime | None = None  # it says that it can enforce nothing
    guard: HostGuard | None = None  # None: not told, by an older agent or server
    doubted_since: datetime | None = None  # its reports are not believed
    clock_skew: timedelta | None = None  # its host's clock less the server's; None: little
    driver: str = ""  # empty: not told yet
    managed_by: str = ""  # an owner's word; empty: none
    lacks: frozenset[str] = frozenset()  # what its driver cannot do, as the wire names it
    has_gateways: bool = False  # gateways guard the machine, beside an agent of its own or alone
    patience: timedelta | None = (
        None  # after which a request that is not open fails; None: not told
    )
    silent: tuple[str, ...] = ()  # gateways, while others are heard
    is_version_behind: bool = False  # its agent is older than the server
    server_version: str = ""

    @property
    def is_uninstalled(self) -> bool:
        """Did it say, as its last word, that root took it off its host?"""
        return any(each.code == UNINSTALLED.code for each in self.weaknesses)

    @property
    def is_too_old(self) -> bool:
        """Does it speak only what this server no longer understands (EDGES F4)?"""
        return any(each.code == PROTOCOL_TOO_OLD.code for each in self.weaknesses)

    @property
    def is_enforcing(self) -> bool:
        return self.not_enforced_since is None


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Machine:
    id: ResourceId
    uid: str
    location: str
    os_type: str
    addresses: tuple[str, ...]  # as the server says them; parse before use
    closed_ports: tuple[ClosedPort, ...]
    point: EnforcementPoint | None  # None: no agent has enrolled
    claimed_ports: tuple[ClosedPort, ...] = ()  # closed by its agent's word alone
    state: str = ""  # configured, notConfigured, unsupported; empty: of an older server
    reasons: tuple[Reason, ...] = ()  # why it is unsupported
    tags: Mapping[str, str] = field(default_factory=dict)
    # Released here, and its agent was last read back to keep them closed: number and protocol.
    still_closed: tuple[tuple[int, str], ...] = ()
    # Gateways at which alone its ports are closed; empty: its own agent closes them.
    closed_at: tuple[str, ...] = ()
    by_root: tuple[RootOpening, ...] = ()
    etag: str = ""  # empty: of an older server, or of a list

    @property
    def name(self) -> str:
        return self.id.name


def list_machines(connection: Connection) -> list[Machine]:
    """All that the caller may see, in the server's order."""
    return [read_machine(each) for each in connection.pages(inventory(connection), COMPUTE_VERSION)]


def machines_named(connection: Connection, name: str) -> list[Machine]:
    """Those of that name, in whatever resource group."""
    return [read_machine(each) for each in named(connection, name)]


def get_machine(connection: Connection, machine: ResourceId) -> Machine:
    answer = connection.call("GET", str(machine), COMPUTE_VERSION)
    return replace(read_machine(answer.body), etag=answer.headers.get("etag", ""))


def put_machine(
    connection: Connection,
    machine: ResourceId,
    addresses: Sequence[str] | None = None,
    os_type: str | None = None,
    location: str | None = None,
    tags: Mapping[str, str] | None = None,
    if_match: str = "",
) -> tuple[Machine, bool]:
    """Add a machine or change what is given of it; True when it is new.

    Raises PreconditionFailed when ``if_match`` is not its ETag; empty: whatever is there.
    """
    properties: dict[str, object] = {}
    if addresses is not None:
        properties["bascule"] = {"addresses": list(addresses)}
    if os_type is not None:
        properties["storageProfile"] = {"osDisk": {"osType": os_type}}
    body: dict[str, object] = {"properties": properties}
    if location is not None:
        body["location"] = location
    if tags is not None:
        body["tags"] = dict(tags)
    answer = connection.call("PUT", str(machine), COMPUTE_VERSION, body=body, if_match=if_match)
    return read_machine(answer.body), answer.status == 201


def delete_machine(connection: Connection, machine: ResourceId) -> None:
    connection.call("DELETE", str(machine), COMPUTE_VERSION)


def read_machine(data: Data) -> Machine:
    properties = inner(data, "properties")
    ours = inner(properties, "bascule")
    disk = inner(inner(properties, "storageProfile"), "osDisk")
    point = inner(ours, "enforcementPoint")
    return Machine(
        id=ResourceId.parse_machine(text(data, "id")),
        uid=text(properties, "vmId", ""),
        location=text(data, "location", ""),
        os_type=text(disk, "osType", ""),
        addresses=texts(ours, "addresses"),
        closed_ports=read_closed_ports(objects(ours, "closedPorts")),
        point=read_point(point) if point else None,
        claimed_ports=read_closed_ports(objects(ours, "claimedPorts")),
        state=text(ours, "state", ""),
        reasons=tuple(
            Reason(text(each, "code"), text(each, "message"), text(each, "advice", ""))
            for each in objects(ours, "reasons")
        ),
        still_closed=tuple(
            (number(each, "number"), text(each, "protocol"))
            for each in objects(ours, "stillClosed")
        ),
        closed_at=texts(ours, "closedAt"),
        by_root=tuple(
            RootOpening(
                tuple(
                    (number(port, "number"), text(port, "protocol"))
                    for port in objects(each, "ports")
                ),
                instant(each, "endTimeUtc"),
                text(each, "gateway", ""),
            )
            for each in objects(ours, "localOpenings")
        ),
        tags={name: str(value) for name, value in inner(data, "tags").items()},
    )


def read_closed_ports(ports: Iterable[Data]) -> tuple[ClosedPort, ...]:
    return tuple(
        ClosedPort(
            number(each, "number"),
            text(each, "protocol"),
            text(each, "onExpiry", "keep"),
            flag(each, "inPolicy"),
            each.get("readBack") is not False,
            text(each, "shadow", ""),
            texts(each, "reachedAt"),
        )
        for each in ports
    )


def read_point(data: Data) -> EnforcementPoint:
    """An enforcement point's properties, bare or inside a resource."""
    properties = inner(data, "properties") or data
    return EnforcementPoint(
        state=text(properties, "state", NEVER_SEEN),
        last_contact_at=instant(properties, "lastContactAt"),
        enrolled_at=instant(properties, "enrolledAt"),
        generation=number(properties, "generation", 0),
        observed_generation=number(properties, "observedGeneration", 0),
        agent_version=text(properties, "agentVersion", ""),
        weaknesses=tuple(map(_read_weakness, objects(properties, "weaknesses"))),
        blocked_attempts=None
        if properties.get("blockedAttempts") is None
        else number(properties, "blockedAttempts"),
        counted_at=instant(properties, "countedAt"),
        not_enforced_since=instant(properties, "notEnforcedSince"),
        doubted_since=instant(properties, "notBelievedSince"),
        clock_skew=None
        if properties.get("clockSkewSeconds") is None
        else timedelta(seconds=number(properties, "clockSkewSeconds")),
        guard=read_guard(inner(properties, "guard")),
        driver=text(properties, "driver", ""),
        managed_by=text(properties, "managedBy", ""),
        lacks=frozenset(k for k, has in inner(properties, "capabilities").items() if has is False),
        has_gateways=bool(texts(properties, "gateways")),
        patience=read_patience(properties),
        silent=texts(properties, "silentGateways"),
        is_version_behind="isVersionBehind" in properties and flag(properties, "isVersionBehind"),
        server_version=text(properties, "serverVersion", ""),
    )


def read_patience(properties: Data) -> timedelta | None:
    told = number(properties, "patienceSeconds", 0)
    return timedelta(seconds=told) if told > 0 else None


def _read_weakness(data: Data) -> PointWeakness:
    """One without a severity that is known here is severe (EDGES F2)."""
    told = {name: str(value) for name, value in inner(data, "arguments").items()}
    code = text(data, "code")
    is_severe = text(data, "severity", "") != Gravity.LIMITED
    advice, effect = text(data, "advice", ""), text(data, "effect", "")
    words, gateway = text(data, "text", code), text(data, "gateway", "")
    return PointWeakness(code, is_severe, told, words, advice, effect, gateway)


def read_guard(data: Data) -> HostGuard | None:
    if not data:
        return None
    longest, drain = text(data, "maxRequestAccessDuration", ""), text(data, "maxDrain", "")
    ports = tuple(
        (number(each, "number"), text(each, "protocol")) for each in objects(data, "ports")
    )
    return HostGuard(
        None if data.get("ports") is None else ports,
        None if data.get("sources") is None else texts(data, "sources"),
        parse_duration(longest) if longest else None,
        data.get("mayRelease") is not False,
        data.get("isUsable") is not False,
        parse_duration(drain) if drain else None,
        _read_behind(inner(data, "forwarding")),
    )


def _read_behind(data: Data) -> Behind | None:
    if not data:
        return None
    ports = inner(data, "publicPorts")
    return Behind(
        texts(data, "networks"),
        texts(data, "publicAddresses"),
        (number(ports, "first"), number(ports, "last")) if ports else None,
    )
