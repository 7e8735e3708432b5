"""An access request as it is told: sentences for people, one stable object for programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bascule.cli.find import port_words, short_id
from bascule.cli.spans import show_instant, show_span
from bascule.client.access import AccessRequest, GrantedMachine, GrantedPort
from bascule.domain.ids import parse_name
from bascule.domain.lifecycle import NOT_CONFIRMED, GrantState
from bascule.domain.net import AddressPrefix, PublicPort, parse_address, parse_port_number
from bascule.domain.times import format_utc
from bascule.domain.ways_in import Door, Kind, command, door, kind_of
from bascule.errors import EnforcementFailed, InvalidInput, NotFound

SSH_PORT = 22


def request_json(request: AccessRequest) -> dict[str, object]:
    return {
        "requestId": request.id,
        "state": request.state,
        "requestor": request.requestor,
        "justification": request.justification,
        **(_emergency_json(request) if request.is_emergency else {}),
        "policyId": request.policy_id,
        "startTimeUtc": format_utc(request.started_at),
        **({"opensAt": format_utc(request.starts_at)} if request.starts_at else {}),
        "endTimeUtc": format_utc(request.ends_at) if request.ends_at else None,
        "machines": [
            {
                "id": str(machine.id),
                "name": machine.id.name,
                "addresses": list(machine.addresses),
                "ports": [_port_json(port) for port in machine.ports],
            }
            for machine in request.machines
        ],
    }


def _emergency_json(request: AccessRequest) -> Mapping[str, object]:
    review = request.review
    return {
        "emergency": True,
        "needsReview": request.needs_review,
        "review": None
        if review is None
        else {"by": review.name, "at": format_utc(review.at), "note": review.note},
    }


def _port_json(port: GrantedPort) -> Mapping[str, object]:
    led = port.public[0] if port.public else None
    optional: dict[str, object] = {
        "publicIpAddress": led.address if led else None,
        "mappedPort": led.number if led else None,
        "publicPorts": [
            {
                "publicIpAddress": each.address,
                "mappedPort": each.number,
                "protocol": each.protocol,
                "gateway": each.gateway or None,
            }
            for each in port.public
        ]
        or None,
        "failure": port.failure or None,
        "sessionsAlive": port.sessions_alive,
        "drainsUntil": format_utc(port.drains_until) if port.drains_until else None,
        "endsWithMembershipOf": port.ends_with_group or None,
        "endsWithCredential": port.ends_with_credential or None,
        "notConfirmedSince": format_utc(port.not_confirmed_since)
        if port.not_confirmed_since
        else None,
    }
    if port.points:
        optional["points"] = [
            {"name": each.name, "state": each.state, "why": each.why or None}
            for each in port.points
        ]
    if port.unanswered:
        optional["unanswered"] = [
            {"gateway": each.gateway, "why": each.why} for each in port.unanswered
        ]
    return {
        "number": port.number,
        "protocol": port.protocol,
        "sources": list(port.sources),
        "state": port.state,
        "endTimeUtc": format_utc(port.ends_at),
        "grantId": port.grant_id,
        **{key: value for key, value in optional.items() if value is not None},
    }


def opened_lines(request: AccessRequest, now: datetime) -> list[str]:
    """What is open, from where, until when, and how to get there."""
    lines = []
    for machine, port in request.ports():
        if not port.row.was_read_back:
            continue
        lines.append(
            f"{machine.id.name} port {port_words(port.number, port.protocol)} is open "
            f"from {', '.join(port.sources)} until {until_words(port.ends_at, now)}"
        )
        if port.state == NOT_CONFIRMED:
            lines.append(
                "  its agent is silent or cannot enforce anything: this is its last report"
            )
        if port.ends_with_group:
            lines.append(
                "  that is when the membership of group "
                f"{port.ends_with_group} ends, which gives the right to it"
            )
        if port.ends_with_credential:
            lines.append(
                "  that is when the secret or certificate "
                f"{port.ends_with_credential} ends, by which it was asked for"
            )
        if port.drains_until:
            lines.append(
                f"  its connections may stay until {show_instant(port.drains_until, now)} at most, "
                "then they are cut"
            )
        lines += points_lines(port)
        lines += [f"  {line}" for line in unanswered_lines(port)]
        lines += way_in_lines(machine, port)
    lines.append(
        f"  request {short_id(request)}; to close it early: bascule revoke {short_id(request)}"
    )
    return lines


def points_lines(port: GrantedPort) -> list[str]:
    """Through which of several points it is open, and which are silent or were withdrawn."""
    if all(each.state == "open" for each in port.points):
        return []
    ways = [each.name for each in port.points if each.state == "open"]
    lines = [f"  open through {' and '.join(ways)}"] if ways and port.row.was_read_back else []
    for each in port.points:
        if each.state == "withdrawn":
            lines.append(f"  {each.name} was withdrawn: {each.why}")
        elif each.state in ("silent", "waiting"):
            is_silent = each.state == "silent"
            lines.append(f"  {each.name} {'is silent' if is_silent else 'has not answered yet'}")
    return lines


def unanswered_lines(port: GrantedPort) -> list[str]:
    """Through which gateways whoever came so far got no answer, and why."""
    return [f"no answer through {each.gateway}: {each.why}" for each in port.unanswered]


def way_in_lines(machine: GrantedMachine, port: GrantedPort) -> list[str]:
    """The line that gets in; of a port that a gateway leads, the public address and port are in it."""
    name = machine.id.name
    try:
        at = door_to(name, machine.addresses, port)
    except (NotFound, InvalidInput) as error:
        return [f"  {error.message}"]
    kind = kind_of(port.number, is_tcp=port.protocol != "UDP")
    if kind is Kind.PLAIN:
        return [f"  address {at.address}, port {at.number}"]
    return [f"  {command(kind, port.number, at, parse_name(name, 'Machine'))}"]


def until_words(ends_at: datetime, now: datetime) -> str:
    return f"{show_instant(ends_at, now)} ({show_span(ends_at - now)} left)"


def unopened(request: AccessRequest, patience: timedelta) -> EnforcementFailed | None:
    """The error for ports that did not open, or None when all did."""
    reasons = [
        f"{machine.id.name} port {port_words(port.number, port.protocol)} "
        + (
            f"did not open: {port.failure or 'its agent did not report it as open'}"
            if port.state == GrantState.FAILED
            else f"was not reported as open within {show_span(patience)}"
            if port.state == GrantState.OPENING
            else f"was ended before it opened (it is {port.state})"
        )
        for machine, port in request.ports()
        if not port.row.was_read_back
    ]
    if not reasons:
        return None
    name = request.machines[0].id.name
    return EnforcementFailed(
        "; ".join(reasons), advice=f"To see its agent: bascule machine show {name}"
    )


def door_to(name: str, addresses: tuple[str, ...], port: GrantedPort, family: int = 0) -> Door:
    """Where to connect to: the first public port that leads to it, else the machine's first address,
    of a family that the grant lets in (EDGES A22).

    ``family`` 4 or 6 narrows it. Each address is parsed again here, because it goes into
    commands; raises InvalidInput for one that is none, NotFound when no family fits.
    """
    wanted = "UDP" if port.protocol == "UDP" else "TCP"
    public = [
        PublicPort(parse_address(each.address), parse_port_number(each.number))
        for each in port.public
        if each.protocol == wanted
    ]
    if not addresses and not public:
        raise NotFound(
            f"No address of {name} is known.",
            advice=f"To add one: bascule machine add {name} --address ADDRESS",
        )
    granted = {
        network.version
        for source in port.sources
        for network in AddressPrefix.parse(source).networks
    }
    parsed = [parse_address(each) for each in addresses]
    found = door(port.number, public, parsed, granted & {family} if family else granted)
    if found is not None:
        return found
    families = " and ".join(f"IPv{version}" for version in sorted(granted))
    asked = f", IPv{family} was wanted" if family else ""
    advice = f"To add an address of that family: bascule machine add {name} --address ADDRESS"
    if family and family not in granted:
        advice = (
            f"Request access for your IPv{family} address first: bascule request {name} "
            f"--from ADDRESS"
        )
    known = [*map(str, public), *map(str, parsed)]
    raise NotFound(
        f"{name} cannot be reached: access was granted from {', '.join(port.sources)} ({families})"
        f"{asked}, and its addresses are {', '.join(known)}.",
        code="NoAddressInFamily",
        advice=advice,
    )
