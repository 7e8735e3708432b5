"""Access requests: ask, wait until it is really open, look, extend, revoke.

Source: JitNetworkAccessPolicies_Initiate (CONTRACT 1.4) and Bascule.Access/accessRequests.
A request's state is the worst of its ports', live ones first; a port is ``open`` only when
its enforcement point reported it in force. What is read is in named tuples: to make a class of them takes
a fifth of the time of a dataclass, for which everybody who types ``bascule ssh`` would wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from bascule.client.reading import (
    Data,
    flag,
    inner,
    instant,
    number,
    objects,
    read_sources,
    required_instant,
    text,
    texts,
)
from bascule.client.versions import BASCULE_VERSION, SECURITY_VERSION
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import STATES, UNKNOWN, RequestState, Row
from bascule.domain.times import format_duration, format_utc

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.approval import Approval
    from bascule.client.connection import Connection


class LedPort(NamedTuple):
    """A public port of a gateway that leads to a granted one."""

    address: str  # as it came
    number: int
    protocol: str
    gateway: str  # its machine's id; empty: not told


class PointShown(NamedTuple):
    """One of several enforcement points, for one port."""

    name: str
    state: str  # open, waiting, silent, withdrawn
    why: str  # empty, unless it was withdrawn


class NoAnswer(NamedTuple):
    """Who came through a gateway got no answer through it."""

    gateway: str
    why: str


class GrantedPort(NamedTuple):
    """One opened port of a request."""

    grant_id: str
    number: int
    protocol: str
    sources: tuple[str, ...]
    ends_at: datetime
    state: str  # a row of domain.lifecycle
    not_confirmed_since: datetime | None
    failure: str
    sessions_alive: int | None  # None: not told
    lacks: frozenset[str] = (
        frozenset()
    )  # what its enforcement point cannot do, as the wire names it
    public: tuple[LedPort, ...] = ()  # the one to name first; empty: it is not led
    points: tuple[PointShown, ...] = ()  # where there are several, or one was withdrawn
    drains_until: datetime | None = None  # when connections are cut that may stay beyond its end
    gateways: tuple[str, ...] = ()  # in front of it
    unanswered: tuple[NoAnswer, ...] = ()
    ends_with_group: str = ""  # the group whose membership ends when the grant does
    ends_with_credential: str = ""  # id of the secret or certificate that ends when the grant does
    approved_until: datetime | None = None  # extensions until then need no new approval

    @property
    def row(self) -> Row:
        """What is so in its state; one that a newer server knows is taken for live and open."""
        return STATES.get(self.state, UNKNOWN)

    @property
    def is_live(self) -> bool:
        return self.row.is_live


class GrantedMachine(NamedTuple):
    """A machine of a request, with the ports opened on it."""

    id: ResourceId
    addresses: tuple[str, ...]
    ports: tuple[GrantedPort, ...]


class Review(NamedTuple):
    """What somebody else found of emergency access."""

    name: str
    at: datetime
    note: str


class AccessRequest(NamedTuple):
    """What was asked for at once, and what became of it."""

    id: str
    requestor: str
    requestor_id: str
    justification: str
    policy_id: str
    state: str
    started_at: datetime
    ends_at: datetime | None
    machines: tuple[GrantedMachine, ...]
    reasons: tuple[str, ...] = ()  # why it was refused or denied
    approval: Approval | None = None  # None: it never waited for one
    is_emergency: bool = False
    needs_review: bool = False  # emergency access that nobody has reviewed
    may_review: bool = False  # the caller may
    review: Review | None = None
    starts_at: datetime | None = None  # when it is to open; None: as soon as it may
    closes_unused: bool = False  # when the last bascule ssh --close ends that uses it

    def ports(self) -> list[tuple[GrantedMachine, GrantedPort]]:
        return [(machine, port) for machine in self.machines for port in machine.ports]

    @property
    def is_live(self) -> bool:
        """Is something open, or may it still open?"""
        return self.is_pending or any(port.is_live for _, port in self.ports())

    @property
    def is_waiting(self) -> bool:
        return self.state == RequestState.WAITING

    @property
    def is_scheduled(self) -> bool:
        return self.state == RequestState.SCHEDULED

    @property
    def is_pending(self) -> bool:
        """Does it wait for people, or for its start?"""
        return self.is_waiting or self.is_scheduled


class Asked(NamedTuple):
    """A new request, or the one that waited already."""

    id: str
    is_pending: bool  # it waits for people, or for its start; False: it is decided


class PortRequest(NamedTuple):
    """One port of a new request: a span from the server's now, or an instant."""

    number: int
    span: timedelta | None
    ends_at: datetime | None
    source: str | None  # None: the address that the call comes from
    up_to: timedelta | None = None  # since the opening: what is approved with it


def ask(
    connection: Connection,
    policy: ResourceId,
    machine: ResourceId,
    ports: Sequence[PortRequest],
    justification: str = "",
    starts_at: datetime | None = None,
    *,
    is_emergency: bool = False,
    run_id: str = "",
) -> Asked:
    """Ask; with a start each port has to name its source. ``run_id``: the run whose end closes it
    (``client.runs``). Raises RequestDenied with every reason.
    """
    body: dict[str, object] = {
        "virtualMachines": [{"id": str(machine), "ports": [_asked_json(each) for each in ports]}]
    }
    if justification:
        body["justification"] = justification
    own: dict[str, object] = {"emergency": True} if is_emergency else {}
    if starts_at is not None:
        own["startTimeUtc"] = format_utc(starts_at)
    if run_id:
        own["run"] = run_id
    if own:
        body["bascule"] = own
    answer = connection.call(
        "POST", f"{policy}/initiate", SECURITY_VERSION, body=body, is_decided=True
    )
    ours = inner(answer.body, "bascule")
    pending = (RequestState.WAITING, RequestState.SCHEDULED)
    return Asked(text(ours, "requestId"), text(ours, "state", "") in pending)


def initiate(
    connection: Connection,
    policy: ResourceId,
    machine: ResourceId,
    ports: Sequence[PortRequest],
    justification: str = "",
) -> str:
    """The same; its id alone."""
    return ask(connection, policy, machine, ports, justification).id


def get_request(
    connection: Connection, request_id: str, wait_seconds: int = 0, *, until_closed: bool = False
) -> AccessRequest:
    """Look at one; with a wait, as soon as no port is opening (or closing) any more."""
    query = {"waitSeconds": str(wait_seconds)} if wait_seconds else {}
    if until_closed:
        query["waitFor"] = "closed"
    answer = connection.call(
        "GET",
        f"{requests_path(connection)}/{request_id}",
        BASCULE_VERSION,
        query=query,
        wait_seconds=wait_seconds,
    )
    return read_request(answer.body)


def list_requests(
    connection: Connection,
    *,
    is_live: bool = False,
    is_mine: bool = False,
    machine: ResourceId | None = None,
    state: RequestState | None = None,
    waits_for_me: bool = False,
    was_decided_by_me: bool = False,
    needs_review: bool = False,
) -> list[AccessRequest]:
    """Newest first; those for which all holds that is asked for."""
    terms = []
    if waits_for_me:
        terms.append("waitingFor eq 'me'")
    if was_decided_by_me:
        terms.append("decidedBy eq 'me'")
    if needs_review:
        terms.append("needsReview eq true")
    if state is not None:
        terms.append(f"state eq '{state}'")
    if is_live:
        terms.append("live eq true")
    if machine is not None:
        terms.append(f"machine eq '{machine}'")
    if is_mine:
        terms.append("requestor eq 'me'")
    query = {"$filter": " and ".join(terms)} if terms else {}
    pages = connection.pages(requests_path(connection), BASCULE_VERSION, query)
    return [read_request(each) for each in pages]


def own_requests(
    connection: Connection, limit: int, machine: ResourceId | None = None
) -> list[AccessRequest]:
    """The caller's newest, those that are over too; page by page as far as the limit."""
    on = f" and machine eq '{machine}'" if machine is not None else ""
    query = {"$filter": f"requestor eq 'me'{on}", "$top": str(min(limit, 1000))}
    pages = connection.pages(requests_path(connection), BASCULE_VERSION, query)
    return [read_request(each) for each in islice(pages, limit)]


def revoke(
    connection: Connection, request_id: str, *, kill: bool, grant_ids: Sequence[str] | None = None
) -> AccessRequest:
    """End it, or some of its grants; ``kill`` cuts what they admitted, too."""
    body: dict[str, object] = {"kill": kill}
    if grant_ids is not None:
        body["grantIds"] = list(grant_ids)
    path = f"{requests_path(connection)}/{request_id}/revoke"
    return read_request(connection.call("POST", path, BASCULE_VERSION, body=body).body)


def extend(
    connection: Connection, request_id: str, span: timedelta | None, ends_at: datetime | None
) -> AccessRequest:
    """Move its end to now + ``span``, or to ``ends_at``; decided like a new request."""
    body = (
        {"duration": format_duration(span)}
        if span is not None
        else {"endTimeUtc": format_utc(ends_at)}
        if ends_at is not None
        else {}
    )
    path = f"{requests_path(connection)}/{request_id}/extend"
    answer = connection.call("POST", path, BASCULE_VERSION, body=body, is_decided=True)
    return read_request(answer.body)


def requests_path(connection: Connection) -> str:
    return f"{connection.subscription}/providers/Bascule.Access/accessRequests"


def _asked_json(port: PortRequest) -> dict[str, object]:
    body: dict[str, object] = {"number": port.number}
    if port.span is not None:
        body["duration"] = format_duration(port.span)
    elif port.ends_at is not None:
        body["endTimeUtc"] = format_utc(port.ends_at)
    if port.source is not None:
        body["allowedSourceAddressPrefix"] = port.source
    if port.up_to is not None:
        body["upTo"] = format_duration(port.up_to)
    return body


def read_request(data: Data) -> AccessRequest:
    properties = inner(data, "properties")
    return AccessRequest(
        id=text(data, "name"),
        requestor=text(properties, "requestor", ""),
        requestor_id=text(properties, "requestorId", ""),
        justification=text(properties, "justification", ""),
        policy_id=text(properties, "policyId", ""),
        state=text(properties, "state"),
        started_at=required_instant(properties, "startTimeUtc"),
        ends_at=instant(properties, "endTimeUtc"),
        machines=tuple(_read_machine(each) for each in objects(properties, "virtualMachines")),
        reasons=tuple(text(each, "message") for each in objects(properties, "reasons")),
        approval=_read_approval(properties),
        is_emergency=flag(properties, "emergency"),
        needs_review=flag(properties, "needsReview"),
        may_review=flag(properties, "mayReview"),
        review=_read_review(inner(properties, "review")) if properties.get("review") else None,
        starts_at=instant(inner(properties, "bascule"), "startTimeUtc"),
        closes_unused=properties.get("closesUnused") is True,
    )


def _read_review(data: Data) -> Review:
    return Review(text(data, "displayName", ""), required_instant(data, "at"), text(data, "note"))


def _read_approval(properties: Data) -> Approval | None:
    if not properties.get("approval"):
        return None
    from bascule.client.approval import read_approval  # noqa: PLC0415  # reason: most requests never waited

    return read_approval(inner(properties, "approval"))


def _read_machine(data: Data) -> GrantedMachine:
    return GrantedMachine(
        ResourceId.parse_machine(text(data, "id")),
        texts(inner(data, "bascule"), "addresses"),
        tuple(_read_port(each) for each in objects(data, "ports")),
    )


def _read_port(data: Data) -> GrantedPort:
    ours = inner(data, "bascule")
    alive = ours.get("sessionsAlive")
    return GrantedPort(
        grant_id=text(ours, "grantId", ""),
        number=number(data, "number"),
        protocol=text(data, "protocol", ""),
        sources=read_sources(data),
        ends_at=required_instant(data, "endTimeUtc"),
        state=text(ours, "state"),
        not_confirmed_since=instant(ours, "notConfirmedSince"),
        failure=text(ours, "failure", ""),
        sessions_alive=None if alive is None else number(ours, "sessionsAlive"),
        lacks=frozenset(texts(ours, "pointLacks")),
        drains_until=instant(ours, "drainsUntil"),
        public=tuple(_read_led(each) for each in objects(ours, "publicPorts")),
        points=tuple(
            PointShown(text(each, "name"), text(each, "state"), text(each, "why", ""))
            for each in objects(ours, "points")
        ),
        gateways=texts(ours, "gateways"),
        unanswered=tuple(
            NoAnswer(text(each, "gateway"), text(each, "why"))
            for each in objects(ours, "unanswered")
        ),
        ends_with_group=text(ours, "endsWithMembershipOf", ""),
        ends_with_credential=text(ours, "endsWithCredential", ""),
        approved_until=instant(ours, "approvedUntil"),
    )


def _read_led(data: Data) -> LedPort:
    return LedPort(
        text(data, "publicIpAddress"),
        number(data, "mappedPort"),
        text(data, "protocol"),
        text(data, "gateway", ""),
    )
