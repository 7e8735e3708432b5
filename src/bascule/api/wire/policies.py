"""JitNetworkAccessPolicy on the wire (api-version 2020-01-01), and machine rules beside it.

A rule without a source allows any (the examples write ``*``). ``requests`` and read-only
fields of a PUT are ignored (EDGES A16). An absent ``bascule`` object keeps what is stored
for the same machine and port, TCP and UDP apart; null resets it (A15).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field, field_validator

from bascule.api.wire.counts import MOST_MACHINES, check_machines, check_ports
from bascule.api.wire.fields import (
    Body,
    Duration,
    Expiry,
    HostAddress,
    MachineId,
    PortNumber,
    Protocol,
    Text,
    Truth,
)
from bascule.api.wire.fleet import guard_json
from bascule.api.wire.problems import reject
from bascule.api.wire.requests import request_json
from bascule.api.wire.rules import ApprovalBody, PolicyExtras, read_stages
from bascule.api.wire.sources import Sources
from bascule.domain.ids import ResourceId, parse_name
from bascule.domain.machine import OnExpiry
from bascule.domain.net import Address, AddressPrefix, RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.weaknesses import Shadow
from bascule.errors import Problem
from bascule.protocol.port_rules import rule_json
from bascule.protocol.rules import policy_rules_json
from bascule.services.access_rules import Kept
from bascule.services.views import MachineView, PolicyView

JIT_TYPE = "Microsoft.Security/locations/jitNetworkAccessPolicies"
MACHINE_RULES_TYPE = "Bascule.Access/machineRules"
EVERYONE = (AddressPrefix(None),)
MOST_PORTS = 1000  # of one machine


class RuleExtras(Body):
    """A port rule's ``bascule`` object: what Azure's shape lacks."""

    on_expiry: Expiry | None = None
    drain_for: Duration | None = None
    justification_required: Truth | None = None
    public_port: PortNumber | None = None
    public_ip_address: HostAddress | None = None
    approval: ApprovalBody | None = None


class PortRuleBody(Sources):
    number: PortNumber
    protocol: Protocol
    max_request_access_duration: Duration
    bascule: RuleExtras | None = None

    def rule(self) -> PortRule:
        extras = self.bascule or RuleExtras()
        return PortRule(
            number=self.number,
            protocol=self.protocol,
            sources=self.sources or EVERYONE,
            max_duration=self.max_request_access_duration,
            on_expiry=extras.on_expiry or OnExpiry.KEEP,
            justification_required=extras.justification_required or False,
            is_source_list=self.is_source_list,
            public_port=extras.public_port,
            public_address=extras.public_ip_address,
            drain_for=extras.drain_for,
            approval=() if extras.approval is None else read_stages(extras.approval.stages),
        )

    @property
    def keeps_approval(self) -> bool:
        """Was none given, so that the one that is stored stays? Null removes it."""
        return self.bascule is None or not self.bascule.has("approval")


class PolicyMachineBody(Body):
    id: MachineId
    ports: list[PortRuleBody] = Field(max_length=MOST_PORTS)
    public_ip_address: HostAddress | None = None


class PolicyPropertiesBody(Body):
    virtual_machines: list[PolicyMachineBody] = Field(max_length=MOST_MACHINES)
    bascule: PolicyExtras | None = None

    @field_validator("virtual_machines", mode="before")
    @classmethod
    def _is_bounded(cls, machines: object) -> object:
        check_machines(machines)
        return machines


class PolicyBody(Body):
    kind: Text | None = None
    properties: PolicyPropertiesBody


class MachineRulesPropertiesBody(Body):
    ports: list[PortRuleBody] = Field(max_length=MOST_PORTS)
    policy_name: Text | None = None

    @field_validator("ports", mode="before")
    @classmethod
    def _is_bounded(cls, ports: object) -> object:
        check_ports(ports)
        return ports


class MachineRulesBody(Body):
    properties: MachineRulesPropertiesBody


def read_policy(
    body: PolicyBody, policy_id: ResourceId
) -> tuple[Policy, list[tuple[ResourceId, int, RuleProtocol]], Kept]:
    """The policy; machine, number and protocol of rules without a ``bascule`` object; and what else
    was left out, so that it stays as it is stored.
    """
    machines = body.properties.virtual_machines
    reject(
        [
            *foreign_machines(
                [machine.id for machine in machines],
                policy_id.subscription_id,
                "properties.virtualMachines",
            )
        ]
    )
    kind = parse_name("Basic" if body.kind is None else body.kind, "The kind", "kind")
    rules = tuple(
        MachineRules(
            machine.id,
            tuple(port.rule() for port in machine.ports),
            str(machine.public_ip_address) if machine.public_ip_address else None,
        )
        for machine in machines
    )
    inherits = [
        (machine.id, port.number, port.protocol)
        for machine in machines
        for port in machine.ports
        if not port.has("bascule")
    ]
    extras = body.properties.bascule or PolicyExtras()
    policy = Policy(
        policy_id,
        kind,
        rules,
        extras.read_rules(),
        extras.self_approval or False,
        extras.pending_for,
        None if extras.tickets is None else extras.tickets.check(),
    )
    kept = Kept(
        frozenset(
            (machine.id, port.number, port.protocol)
            for machine in machines
            for port in machine.ports
            if port.keeps_approval
        ),
        *(
            _is_kept(body.properties, name)
            for name in ("rules", "self_approval", "pending_for", "tickets")
        ),
    )
    return policy, inherits, kept


def _is_kept(properties: PolicyPropertiesBody, name: str) -> bool:
    """Was it left out? A null in the place of all removes all."""
    if properties.bascule is None:
        return not properties.has("bascule")
    return not properties.bascule.has(name)


def foreign_machines(
    machine_ids: Sequence[ResourceId], subscription_id: str, where: str
) -> Iterable[Problem]:
    """A problem for each machine of another subscription (CONTRACT 1.3)."""
    for position, machine_id in enumerate(machine_ids):
        if machine_id.subscription_id != subscription_id:
            yield Problem(
                "LinkedAuthorizationFailed",
                f"Machine {machine_id} is in subscription {machine_id.subscription_id}, but this "
                f"is subscription {subscription_id}.",
                f"{where}[{position}].id",
            )


def read_rules(
    properties: MachineRulesPropertiesBody,
) -> tuple[
    tuple[PortRule, ...], str, list[tuple[int, RuleProtocol]], list[tuple[int, RuleProtocol]]
]:
    """Port rules, policy name, number and protocol of those without a ``bascule`` object, and of
    those without an approval in it.
    """
    name = properties.policy_name
    name = parse_name(
        "default" if name is None else name, "The policy name", "properties.policyName"
    )
    inherits = [
        (port.number, port.protocol) for port in properties.ports if not port.has("bascule")
    ]
    kept = [(port.number, port.protocol) for port in properties.ports if port.keeps_approval]
    return tuple(port.rule() for port in properties.ports), name, inherits, kept


def policy_json(view: PolicyView) -> dict[str, Any]:
    policy = view.stored.policy
    return {
        "kind": policy.kind,
        "properties": {
            "virtualMachines": [
                _machine_json(rules, view.public_addresses.get(rules.machine_id))
                for rules in policy.machines
            ],
            "requests": [request_json(request) for request in view.requests],
            "provisioningState": "Updating" if view.is_updating else "Succeeded",
            "appendMode": False,
            "bascule": {
                "away": [str(machine_id) for machine_id in view.away],
                "partlyOnline": [
                    {"id": str(machine_id), "silentGateways": list(gateways)}
                    for machine_id, gateways in view.silent_gateways.items()
                ],
                **policy_rules_json(policy),
            },
        },
        "id": str(policy.id),
        "name": policy.id.name,
        "type": JIT_TYPE,
        "location": policy.id.location,
        "etag": view.stored.etag,
    }


def _machine_json(rules: MachineRules, public: Address | None) -> dict[str, Any]:
    """``public`` is its gateway's, where its writer has named none."""
    machine: dict[str, Any] = {
        "id": str(rules.machine_id),
        "ports": [rule_json(rule) for rule in rules.ports],
    }
    address = rules.public_ip_address or public
    if address is not None:
        machine["publicIpAddress"] = str(address)
    return machine


def machine_rules_json(view: MachineView) -> dict[str, Any]:
    """One machine's rules in every policy; the etag is that of the policy ``default``."""
    body: dict[str, Any] = {
        "id": f"{view.machine.id}/providers/{MACHINE_RULES_TYPE}/default",
        "name": "default",
        "type": MACHINE_RULES_TYPE,
        "properties": {
            "machineId": str(view.machine.id),
            "policies": [
                {
                    "policyId": str(stored.policy.id),
                    "etag": stored.etag,
                    "ports": [rule_json(rule) for rule in rules.ports],
                }
                for stored in view.policies
                if (rules := stored.policy.rules_for(view.machine.id)) is not None
            ],
            "closedPorts": closed_ports_json(view),
            "hostGuard": guard_json(view.point.guard) if view.point and view.point.guard else None,
            "claimedPorts": claimed_ports_json(view),
            "patienceSeconds": int(view.patience.total_seconds()),
        },
    }
    if view.default_etag:
        body["etag"] = view.default_etag
    return body


def claimed_ports_json(view: MachineView) -> list[dict[str, Any]]:
    """What its agent alone says it keeps closed (EDGES E7)."""
    return [
        {
            "number": each.port.number,
            "protocol": str(each.port.protocol),
            "onExpiry": str(each.on_expiry),
        }
        for each in sorted(view.claimed, key=lambda each: (each.port.number, each.port.protocol))
    ]


def shadow_json(shadow: Shadow | None) -> str | None:
    """Why a closed port is not to be called closed; None: it is closed."""
    return None if shadow is None else str(shadow)


def closed_ports_json(view: MachineView) -> list[dict[str, Any]]:
    """What is to be closed, and whether it was read back so when the agent last reported."""
    return [
        {
            "number": each.port.number,
            "protocol": str(each.port.protocol),
            "onExpiry": str(each.on_expiry),
            "inPolicy": each.port in view.named,
            "readBack": each.port in view.read_back,
            "shadow": shadow_json(view.past_us(each.port)),
            "reachedAt": list(view.reached_at(each.port)),
        }
        for each in sorted(view.closed, key=lambda each: (each.port.number, each.port.protocol))
    ]
