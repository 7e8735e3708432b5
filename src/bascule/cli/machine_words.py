"""A machine as it is told: in words for people, as one stable object for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from bascule.cli.find import port_words
from bascule.cli.printing import render_table
from bascule.cli.spans import show_instant, show_span
from bascule.client.fleet import Point
from bascule.client.machines import (
    OFFLINE,
    PARTLY_ONLINE,
    ClosedPort,
    EnforcementPoint,
    HostGuard,
    Machine,
    PointWeakness,
    RootOpening,
)
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import Gravity, Shadow

MOST_NAMED = 20  # claimed ports in one line


def machine_json(each: Machine) -> dict[str, object]:
    return {
        "id": str(each.id),
        "name": each.name,
        "uid": each.uid,
        "location": each.location,
        "osType": each.os_type,
        "addresses": list(each.addresses),
        "closedPorts": [
            {
                "number": port.number,
                "protocol": port.protocol,
                "onExpiry": port.on_expiry,
                "inPolicy": port.is_in_policy,
                "readBack": port.is_read_back,
                "shadow": port.shadow or None,
                "reachedAt": list(port.reached_at),
            }
            for port in each.closed_ports
        ],
        "tags": dict(each.tags),
        "closedAt": list(each.closed_at),
        "claimedPorts": [
            {"number": port.number, "protocol": port.protocol, "onExpiry": port.on_expiry}
            for port in each.claimed_ports
        ],
        "stillClosed": [
            {"number": number, "protocol": protocol} for number, protocol in each.still_closed
        ],
        "localOpenings": [
            {
                "ports": [
                    {"number": number, "protocol": protocol} for number, protocol in opened.ports
                ],
                "endTimeUtc": format_utc(opened.ends_at) if opened.ends_at else None,
                "gateway": opened.gateway,
            }
            for opened in each.by_root
        ],
        "agent": _agent_json(each.point) if each.point is not None else None,
        "state": each.state,
        "reasons": [asdict(reason) for reason in each.reasons],
    }


def _agent_json(point: EnforcementPoint) -> dict[str, object]:
    return {
        "state": point.state,
        "silentGateways": list(point.silent),
        "lastContactAt": format_utc(point.last_contact_at) if point.last_contact_at else None,
        "agentVersion": point.agent_version,
        "isVersionBehind": point.is_version_behind,
        "serverVersion": point.server_version or None,
        "generation": point.generation,
        "observedGeneration": point.observed_generation,
        "patienceSeconds": int(point.patience.total_seconds()) if point.patience else None,
        "notEnforcedSince": format_utc(point.not_enforced_since)
        if point.not_enforced_since
        else None,
        "notBelievedSince": format_utc(point.doubted_since) if point.doubted_since else None,
        "weaknesses": [
            {
                "code": each.code,
                "severity": Gravity.SEVERE if each.is_severe else Gravity.LIMITED,
                "arguments": dict(each.arguments),
                "text": each.text,
                "advice": each.advice,
                "effect": each.effect,
            }
            for each in point.weaknesses
        ],
        "blockedAttempts": point.blocked_attempts,
        "countedAt": format_utc(point.counted_at) if point.counted_at else None,
        "driver": point.driver,
        "lacks": sorted(point.lacks),
        "guard": None if point.guard is None else _guard_json(point.guard),
    }


def _guard_json(guard: HostGuard) -> dict[str, object]:
    longest = guard.max_duration
    return {
        "ports": None
        if guard.ports is None
        else [{"number": number, "protocol": protocol} for number, protocol in guard.ports],
        "sources": None if guard.sources is None else list(guard.sources),
        "maxDurationSeconds": None if longest is None else int(longest.total_seconds()),
        "maxDrainSeconds": None
        if guard.max_drain is None
        else int(guard.max_drain.total_seconds()),
        "mayRelease": guard.may_release,
        "isUsable": guard.is_usable,
        "behind": None
        if guard.behind is None
        else {
            "networks": list(guard.behind.networks),
            "publicAddresses": list(guard.behind.addresses),
            "publicPorts": "{}-{}".format(*guard.behind.ports) if guard.behind.ports else None,
        },
    }


# What follows from each thing that a point's driver cannot do; the worst first.
_LACKING = {
    "endsLeases": "end an opening by itself, so nothing is opened there: if its agent died, the "
    "port would stay open",
    "endsSessions": "end connections, so those that an opening admitted continue after it, also on "
    "kill ports",
    "countsSessions": "count connections, so it is not known whether some continue",
    "seesBlocked": "see blocked attempts, so none are shown even if there were some",
    "seesChanges": "see at once when another program changes its rules",
    "drains": "let connections stay for a time and then end them, so nothing is opened there on ports "
    "that drain",
}


def agent_words(point: EnforcementPoint | None, now: datetime) -> str:
    """online, away since when, too old, that it enforces nothing, or that there is none."""
    if point is None:
        return "none"
    words = _heard_words(point, now)
    if point.is_too_old:
        words += ", too old for this server"
    if point.doubted_since is not None:
        return f"{words}, not trusted since {show_instant(point.doubted_since, now)}"
    if point.not_enforced_since is None:
        return words
    return f"{words}, enforcing nothing since {show_instant(point.not_enforced_since, now)}"


def guarded_words(found: Machine, now: datetime) -> str:
    """The same in a list of machines: of one that only gateways guard, theirs, named."""
    words = agent_words(found.point, now)
    return f"{' and '.join(found.closed_at)}: {words}" if found.closed_at else words


def _heard_words(point: EnforcementPoint, now: datetime) -> str:
    if point.silent:
        is_served = point.state == PARTLY_ONLINE
        follows = "requests open through the other gateways" if is_served else "requests fail"
        return f"{' and '.join(point.silent)} away, {follows}"
    if point.state == OFFLINE and point.last_contact_at is not None:
        return (
            f"away since {show_instant(point.last_contact_at, now)} "
            f"({show_span(now - point.last_contact_at)})"
        )
    return {"online": "online", "offline": "away", "neverSeen": "never contacted"}.get(
        point.state, point.state
    )


def state_words(each: Machine) -> str:
    """The state as people read it; of a server that does not tell it, nothing."""
    return {"notConfigured": "not configured"}.get(each.state, each.state)


def shadow_words(shadow: str, reached_at: Sequence[str] = ()) -> str:
    """What is said of a closed port instead of *closed*, and at which gateways (EDGES G7)."""
    where = f" at {' and '.join(reached_at)}" if reached_at else ""
    return ("open past us" if shadow == Shadow.ADMITS else "cannot be told") + where


def closed_words(each: Machine) -> str:
    """The ports that are to be closed, those in no policy marked, and why they may not be."""
    if not each.closed_ports:
        return _still_closed_words(each)
    if each.point is None:
        return f"{_port_words(each.closed_ports)}; not enforced: no agent"
    if not each.point.is_enforcing:
        return f"{_port_words(each.closed_ports)}; not enforced"
    applied = [port for port in each.closed_ports if port.is_read_back]
    waiting = [port for port in each.closed_ports if not port.is_read_back]
    parts = [f"{_port_words(waiting)} to be closed, not applied yet"] if waiting else []
    if applied:
        away = "; last known" if each.point.state in (OFFLINE, PARTLY_ONLINE) else ""
        away += f" at {' and '.join(each.point.silent)}" if away and each.point.silent else ""
        where = f" at {' and '.join(each.closed_at)}" if each.closed_at else ""
        plain = [port for port in applied if not port.shadow]
        past = [port for port in applied if port.shadow]
        parts = [f"{_port_words(past)}{away}"] * bool(past) + parts
        parts = [f"{_port_words(plain)}{where}{away}"] * bool(plain) + parts
    if each.still_closed:
        parts.append(_still_closed_words(each))
    return "; ".join(parts)


def past_us_json(machines: Sequence[Machine]) -> list[dict[str, object]]:
    """The ports that may not be called closed (EDGES G7)."""
    return [
        {
            "machine": str(each.id),
            "number": port.number,
            "protocol": port.protocol,
            "shadow": port.shadow,
            "reachedAt": list(port.reached_at),
            "rule": _rule_of(each, port),
        }
        for each in machines
        for port in each.closed_ports
        if port.shadow
    ]


def past_us_table(machines: Sequence[Machine]) -> str:
    """The same as a table; empty: there are none."""
    rows = [
        [
            each.name,
            port_words(port.number, port.protocol),
            shadow_words(port.shadow, port.reached_at),
            _rule_of(each, port),
        ]
        for each in machines
        for port in each.closed_ports
        if port.shadow
    ]
    return render_table(["NOT CALLED CLOSED", "PORT", "STATE", "RULE"], rows) if rows else ""


def _rule_of(each: Machine, port: ClosedPort) -> str:
    """The rule that makes it so, of several the first; where there is none, the finding's code."""
    weaknesses = each.point.weaknesses if each.point is not None else ()
    causes = (
        found.arguments.get("rule") or found.code
        for found in weaknesses
        if found.effect == port.shadow and found.concerns(port.number, port.protocol)
    )
    return next(causes, "")


def elsewhere_words(gateways: Sequence[str]) -> str:
    """Of a machine that only gateways guard (EDGES G7)."""
    return (
        f"Only {' and '.join(gateways)} closes its ports: whoever reaches it without passing there "
        "reaches them."
    )


def _still_closed_words(each: Machine) -> str:
    """What its agent keeps closed until it hears of the release."""
    if not each.still_closed:
        return ""
    ports = ", ".join(port_words(*port) for port in each.still_closed)
    return f"{ports} released; closed until its agent hears of that"


def kept_closed(each: Machine) -> str:
    """The ports that its agent was last read back to keep closed; empty when there is none, or it
    enforces nothing.
    """
    if each.point is None or not each.point.is_enforcing:
        return ""
    ports = [(port.number, port.protocol) for port in each.closed_ports if port.is_read_back]
    return ", ".join(port_words(*port) for port in sorted({*ports, *each.still_closed}))


def _port_words(ports: Sequence[ClosedPort]) -> str:
    return ", ".join(
        port_words(port.number, port.protocol)
        + ("" if port.is_in_policy else " (in no policy)")
        + (f" ({shadow_words(port.shadow, port.reached_at)})" if port.shadow else "")
        for port in ports
    )


def guard_words(guard: HostGuard) -> str:
    """What the host itself admits, whatever a policy says."""
    if not guard.is_usable:
        return "its file on the host is invalid: nothing opens, nothing is released"
    parts = []
    if guard.ports is not None:
        named = ", ".join(port_words(*each) for each in guard.ports)
        parts.append(f"opens {named or 'no port'}" + (" and no others" if named else ""))
    if guard.sources is not None:
        parts.append(f"from {', '.join(guard.sources)}" if guard.sources else "from nowhere")
    if guard.max_duration is not None:
        parts.append(f"for {show_span(guard.max_duration)} at most")
    if guard.max_drain is not None:
        stay = show_span(guard.max_drain) if guard.max_drain else ""
        parts.append(f"connections stay {stay} beyond at most" if stay else "none stays beyond")
    if not guard.may_release:
        parts.append("no releases")
    return "; ".join(parts) or "none: the host admits everything that a policy allows"


def behind_words(guard: HostGuard) -> str:
    """What a gateway's guard file gives behind it; empty of a file that is no gateway's."""
    if guard.behind is None or not guard.is_usable:
        return ""
    found = guard.behind
    words = f"opens machines in {', '.join(found.networks) or 'no network'}"
    if found.ports is None or not found.addresses:
        return words
    first, last = found.ports
    return f"{words}; public ports {first} to {last} of {', '.join(found.addresses)}"


def port_list(ports: Sequence[ClosedPort]) -> str:
    return ", ".join(port_words(port.number, port.protocol) for port in ports)


def few_ports(ports: Sequence[ClosedPort]) -> str:
    """The first MOST_NAMED: an agent may say that it closes a thousand."""
    more = f" and {len(ports) - MOST_NAMED} more" if len(ports) > MOST_NAMED else ""
    return port_list(ports[:MOST_NAMED]) + more


def _weakness_words(weakness: PointWeakness) -> str:
    """Its sentence; its code too when it is severe, by which it can be found in the documentation."""
    at = f"At {weakness.gateway}: " if weakness.gateway else ""
    words = f"{at}{weakness.text} {weakness.advice}".strip()
    return f"{weakness.code} (severe): {words}" if weakness.is_severe else words


def _skew_words(skew: timedelta) -> str:
    way = "ahead of" if skew > timedelta(0) else "behind"
    return f"{show_span(abs(skew))} {way} the server's clock; access ends on time all the same"


def _blocked_words(point: EnforcementPoint, now: datetime) -> str:
    if point.blocked_attempts is None:
        return "not known"
    many = "" if point.blocked_attempts == 1 else "s"
    return f"{point.blocked_attempts} attempt{many}{counted_words(point, now)}"


def counted_words(point: EnforcementPoint | None, now: datetime) -> str:
    """How old the number of attempts is, as an agent reports it with other news; may be empty."""
    if point is None or point.blocked_attempts is None or point.counted_at is None:
        return ""
    return f", counted {show_span(now - point.counted_at)} ago"


def _guard_lines(found: Machine, now: datetime) -> list[str]:
    words = agent_words(found.point, now)
    if not found.closed_at:
        return [f"agent      {words}"]
    return ["agent      none of its own", f"gateway    {' and '.join(found.closed_at)}, {words}"]


def _root_words(each: RootOpening, now: datetime) -> str:
    ports = ", ".join(port_words(*port) for port in each.ports) or "ports that are not known"
    until = f" until {show_instant(each.ends_at, now)}" if each.ends_at else ""
    return f"{ports} opened by root {f'at {each.gateway}' if each.gateway else 'on it'}{until}"


def _tag_lines(found: Machine) -> list[str]:
    words = " ".join(f"{name}={value}" for name, value in found.tags.items())
    return [f"tags       {words}"] if words else []


def _version_lines(point: EnforcementPoint) -> list[str]:
    if not point.agent_version:
        return []
    old = f", older than the server ({point.server_version})" if point.is_version_behind else ""
    return [f"version    {point.agent_version}{old}"]


def detail_lines(found: Machine, now: datetime) -> list[str]:
    lines = [
        f"machine    {found.name}",
        f"id         {found.id}",
        f"addresses  {', '.join(found.addresses) or 'none'}",
        f"system     {found.os_type}, location {found.location}",
        *_tag_lines(found),
        *_guard_lines(found, now),
        f"state      {state_words(found)}",
    ]
    for reason in found.reasons:
        lines += [f"           {reason.message}", f"           {reason.advice}"]
    if found.point is not None:
        point = found.point
        lines += _version_lines(point)
        if point.observed_generation < point.generation:
            lines.append(
                f"           has applied generation {point.observed_generation} of "
                f"{point.generation}"
            )
        if (
            point.guard is not None and not found.closed_at
        ):  # a gateway's is not told of each machine
            lines.append(f"guard      {guard_words(point.guard)}")
            if behind := behind_words(point.guard):
                lines.append(f"behind     {behind}")
        worst_first = sorted(point.weaknesses, key=lambda each: not each.is_severe)
        lines += [f"weak       {_weakness_words(each)}" for each in worst_first]
        lines += [f"cannot     {words}" for key, words in _LACKING.items() if key in point.lacks]
        if point.clock_skew is not None:
            lines.append(f"clock      {_skew_words(point.clock_skew)}")
        if point.managed_by:
            lines.append(f"managed    by {point.managed_by}, for the machines behind it")
        if point.patience is not None:
            lines.append(
                f"patience   a request fails that is not open in {show_span(point.patience)}"
            )
        lines.append(f"blocked    {_blocked_words(point, now)}")
    lines.append(f"closed     {closed_words(found) or 'nothing'}")
    if found.closed_at:
        lines.append(f"           {elsewhere_words(found.closed_at)}")
    lines += [f"open       {_root_words(each, now)}" for each in found.by_root]
    if found.claimed_ports:
        lines += [
            f"claimed    {few_ports(found.claimed_ports)}, closed only according to its agent",
            f"           to open one: bascule machine release {found.name} -p PORT",
            f"           to keep one closed: bascule machine take {found.name} -p PORT",
        ]
    return lines


def point_json(each: Point) -> dict[str, object]:
    return {
        "id": str(each.gateway) if each.gateway else None,
        "uid": each.uid,
        "state": each.state,
        "addresses": list(each.addresses),
        "formerAddresses": list(each.former),
        "parallel": each.is_parallel,
        "trustRoute": each.trusts_route,
        "isEnforcing": each.is_enforcing,
    }


def point_lines(points: Sequence[Point], own_uid: str) -> list[str]:
    """Each of the points that guard a machine: its order, where it forwards to, whether it is heard."""
    lines: list[str] = []
    for each in points:
        words = "its own agent"
        if each.uid != own_uid:
            name = each.gateway.name if each.gateway else each.uid
            order = "in parallel" if each.is_parallel else "in series"
            at = f", forwards to {' and '.join(each.addresses)}" if each.addresses else ""
            trusted = ", route trusted" if each.trusts_route else ""
            words = f"{name}, {order}{at}{trusted}"
        heard = {"online": "online", "offline": "silent", "neverSeen": "never contacted"}
        stands = heard.get(each.state, each.state) if each.is_enforcing else "enforces nothing"
        lines.append(f"{'point' if not lines else '':<11}{words}: {stands}")
    return lines
