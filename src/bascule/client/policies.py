"""One machine's port rules (Bascule.Access/machineRules), and the policies as Azure lists them.

Setting one machine's rules never reads or writes
another's (EDGES A16).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bascule.client.machines import (
    ClosedPort,
    HostGuard,
    read_closed_ports,
    read_guard,
    read_patience,
)
from bascule.client.reading import Data, flag, inner, member, number, objects, read_sources, text
from bascule.client.versions import BASCULE_VERSION, SECURITY_VERSION
from bascule.domain.ids import ResourceId
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, PublicPort, RuleProtocol, parse_address
from bascule.domain.policy import PortRule
from bascule.domain.times import parse_duration
from bascule.protocol.port_rules import rule_json
from bascule.protocol.rules import read_stages

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

_DRY_RUN = {"dryRun": "true"}


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """What one policy says of one machine."""

    policy_id: ResourceId
    ports: tuple[PortRule, ...]

    def rules_for(self, number: int) -> tuple[PortRule, ...]:
        """TCP and UDP of one number may be two rules."""
        return tuple(rule for rule in self.ports if rule.number == number)


@dataclass(frozen=True, slots=True)
class MachineRules:
    """What every policy says of one machine, and what is closed on it."""

    machine_id: ResourceId
    policies: tuple[PolicyRules, ...]
    closed_ports: tuple[ClosedPort, ...]
    guard: HostGuard | None = None  # what the host itself admits; None: not told
    patience: timedelta | None = (
        None  # after which a request that is not open fails; None: not told
    )


def get_machine_rules(connection: Connection, machine: ResourceId) -> MachineRules:
    return _read_machine_rules(machine, connection.get(_path(machine), BASCULE_VERSION))


def put_machine_rules(
    connection: Connection,
    machine: ResourceId,
    ports: Sequence[PortRule],
    policy_name: str,
    *,
    drops_approval: bool = False,
) -> MachineRules:
    """Replace this machine's rules in one policy, which is made when it is absent.

    A rule without approval keeps the one that its port has, or drops it.
    """
    body = _rules_body(ports, policy_name, drops_approval)
    answer = connection.call("PUT", _path(machine), BASCULE_VERSION, body=body)
    return _read_machine_rules(machine, answer.body)


@dataclass(frozen=True, slots=True)
class PortChange:
    """A port that a change would close, open, or leave in no policy."""

    number: int
    protocol: str


@dataclass(frozen=True, slots=True)
class GrantChange:
    """Live access that a change would end, or end earlier."""

    requestor: str  # empty: the caller may not see whose it is
    number: int  # 0 then
    ends_at: str  # the earlier end; empty: at once


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What may be asked of a port from now on; empty where it is as before."""

    number: int
    protocol: str
    is_new: bool  # no request could ask for it by this policy
    longest: str  # ISO 8601
    sources: tuple[str, ...]
    justified: bool | None  # must a reason be given now?
    public: str | None = None  # the public port that is named now; empty: one is chosen


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of one machine's rules would do; nothing was changed."""

    closes: tuple[PortChange, ...]
    alters: tuple[PortChange, ...]  # what becomes of sessions at the end
    leaves: tuple[PortChange, ...]  # they stay closed, in no policy
    opens: tuple[PortChange, ...]
    ends: tuple[GrantChange, ...]
    shortens: tuple[GrantChange, ...]
    rules: tuple[RuleChange, ...] = ()


def _rules_body(
    ports: Sequence[PortRule], policy_name: str, drops_approval: bool
) -> dict[str, object]:
    told = list(map(rule_json, ports))
    if drops_approval:
        for each in told:
            each["bascule"]["approval"] = None
    return {"properties": {"ports": told, "policyName": policy_name}}


def preview_machine_rules(
    connection: Connection,
    machine: ResourceId,
    ports: Sequence[PortRule],
    policy_name: str,
    *,
    drops_approval: bool = False,
) -> Preview:
    """What ``put_machine_rules`` would do."""
    answer = connection.call(
        "PUT",
        _path(machine),
        BASCULE_VERSION,
        query=_DRY_RUN,
        body=_rules_body(ports, policy_name, drops_approval),
    )
    return _read_preview(answer.body)


def preview_removal(connection: Connection, machine: ResourceId) -> Preview:
    """What ``delete_machine_rules`` would do."""
    answer = connection.call("DELETE", _path(machine), BASCULE_VERSION, query=_DRY_RUN)
    return _read_preview(answer.body)


def _read_preview(data: Data) -> Preview:
    return Preview(
        closes=_read_changes(data, "closes"),
        alters=_read_changes(data, "alters"),
        leaves=_read_changes(data, "leaves"),
        opens=_read_changes(data, "opens"),
        ends=_read_touched(data, "endsGrants"),
        shortens=_read_touched(data, "shortensGrants"),
        rules=_read_rule_changes(data) if "changesRules" in data else (),
    )


def _read_rule_changes(data: Data) -> tuple[RuleChange, ...]:
    return tuple(
        RuleChange(
            number(each, "number"),
            text(each, "protocol"),
            each.get("isNew") is True,
            text(each, "maxRequestAccessDuration", ""),
            tuple(str(source) for source in each.get("sources", ())),
            each.get("justificationRequired"),
            _named_public(each),
        )
        for each in objects(data, "changesRules")
    )


def _named_public(data: Data) -> str | None:
    if "publicPort" not in data:
        return None
    if data["publicPort"] is None:
        return ""
    port, at = number(data, "publicPort"), data.get("publicIpAddress")
    return str(port) if at is None else str(PublicPort(parse_address(str(at)), port))


def _read_changes(data: Data, name: str) -> tuple[PortChange, ...]:
    return tuple(
        PortChange(number(each, "number"), text(each, "protocol")) for each in objects(data, name)
    )


def _read_touched(data: Data, name: str) -> tuple[GrantChange, ...]:
    return tuple(
        GrantChange(
            text(each, "requestor", ""), number(each, "number", 0), text(each, "endTimeUtc", "")
        )
        for each in objects(data, name)
    )


def delete_machine_rules(connection: Connection, machine: ResourceId) -> bool:
    """Take it out of every policy and open what they named; False when none named it."""
    return connection.call("DELETE", _path(machine), BASCULE_VERSION).status == 200


def release_ports(
    connection: Connection, machine: ResourceId, ports: Sequence[tuple[int, str]]
) -> list[tuple[int, str]]:
    """Open ports that no policy names; none given means all of them."""
    body = {"ports": [{"number": n, "protocol": p} for n, p in ports]} if ports else {}
    answer = connection.call("POST", f"{_path(machine)}/release", BASCULE_VERSION, body=body)
    return [
        (number(each, "number"), text(each, "protocol"))
        for each in objects(answer.body, "released")
    ]


def take_ports(
    connection: Connection, machine: ResourceId, ports: Sequence[tuple[int, str]]
) -> list[tuple[int, str]]:
    """Close on the server too what the machine's agent alone keeps closed; none given means all."""
    body = {"ports": [{"number": n, "protocol": p} for n, p in ports]} if ports else {}
    answer = connection.call("POST", f"{_path(machine)}/take", BASCULE_VERSION, body=body)
    return [
        (number(each, "number"), text(each, "protocol")) for each in objects(answer.body, "taken")
    ]


def list_policies(connection: Connection) -> list[MachineRules]:
    """Every machine that a policy names, in the order of the policies; closed ports left out."""
    path = f"{connection.subscription}/providers/Microsoft.Security/jitNetworkAccessPolicies"
    found: dict[ResourceId, list[PolicyRules]] = {}
    for policy in connection.pages(path, SECURITY_VERSION):
        policy_id = ResourceId.parse(text(policy, "id"))
        for machine in objects(inner(policy, "properties"), "virtualMachines"):
            rules = PolicyRules(policy_id, _read_rules(objects(machine, "ports")))
            found.setdefault(ResourceId.parse_machine(text(machine, "id")), []).append(rules)
    return [MachineRules(machine, tuple(rules), ()) for machine, rules in found.items()]


def _path(machine: ResourceId) -> str:
    return f"{machine}/providers/Bascule.Access/machineRules/default"


def _read_machine_rules(machine: ResourceId, data: Data) -> MachineRules:
    properties = inner(data, "properties")
    return MachineRules(
        machine,
        tuple(
            PolicyRules(
                ResourceId.parse(text(each, "policyId")), _read_rules(objects(each, "ports"))
            )
            for each in objects(properties, "policies")
        ),
        read_closed_ports(objects(properties, "closedPorts")),
        read_guard(inner(properties, "hostGuard")),
        read_patience(properties),
    )


def _read_rules(ports: Iterable[Data]) -> tuple[PortRule, ...]:
    return tuple(
        PortRule(
            number=number(each, "number"),
            protocol=member(RuleProtocol, each, "protocol"),
            sources=tuple(map(AddressPrefix.parse, read_sources(each))),
            max_duration=parse_duration(text(each, "maxRequestAccessDuration")),
            on_expiry=member(OnExpiry, inner(each, "bascule"), "onExpiry", OnExpiry.KEEP),
            justification_required=flag(inner(each, "bascule"), "justificationRequired"),
            is_source_list="allowedSourceAddressPrefixes" in each,
            public_port=number(inner(each, "bascule"), "publicPort", 0) or None,
            public_address=parse_address(public)
            if (public := text(inner(each, "bascule"), "publicIpAddress", ""))
            else None,
            drain_for=parse_duration(stay)
            if (stay := text(inner(each, "bascule"), "drainFor", ""))
            else None,
            approval=read_stages(objects(inner(inner(each, "bascule"), "approval"), "stages")),
        )
        for each in ports
    )
