"""Values to store: small, valid, and different in every field from the defaults where it counts."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, TypeVar, get_type_hints

from bascule.domain.capabilities import HOST
from bascule.domain.event import Actor, Event
from bascule.domain.facts import kinds
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import GrantCreated
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, machine_id, policy_id
from bascule.domain.machine import EnforcementPoint, Machine, OnExpiry, OsType
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.points import PATIENCE, PointKind
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import Weakness
from bascule.interfaces.points import Enrolment
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Reader, Store, Transaction

T = TypeVar("T")

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2030, 1, 31, 17, 0, 0, 123_456, tzinfo=UTC)  # microseconds must survive
HOUR = timedelta(hours=1)
SOURCES = (AddressPrefix.parse("192.0.2.7"), AddressPrefix.parse("2001:db8::/64"))
ANYWHERE = (AddressPrefix.parse("*"),)


def write(store: Store, work: Callable[[Transaction], T]) -> T:
    """Run one transaction from a test that is not asynchronous."""

    async def run() -> T:
        return await store.write(work)

    return asyncio.run(run())


def close(store: Store) -> None:
    """Close it; fail when that does not come to its end, which would be no failure but a hang."""
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive(), "close() hangs"


def read(store: Store, work: Callable[[Reader], T]) -> T:
    async def run() -> T:
        return await store.read(work)

    return asyncio.run(run())


def an_id(name: str, group: str = "default") -> ResourceId:
    return machine_id(SUBSCRIPTION, group, name)


def a_policy_id(name: str = "default", group: str = "default") -> ResourceId:
    return policy_id(SUBSCRIPTION, group, "local", name)


def a_machine(name: str = "web-1", uid: str = "", group: str = "default") -> Machine:
    return Machine(
        id=an_id(name, group),
        uid=uid or f"uid-{name}",
        location="local",
        os_type=OsType.LINUX,
        addresses=(ip_address("10.1.2.3"), ip_address("2001:db8::3")),
        tags={"env": "prod", "Ünïcode": "naïve"},
        created_at=NOW,
    )


def a_rule(number: int = 22) -> PortRule:
    return PortRule(
        number=number,
        protocol=RuleProtocol.ALL,
        sources=SOURCES,
        max_duration=timedelta(hours=3),
        on_expiry=OnExpiry.KILL,
        justification_required=True,
        is_source_list=True,
    )


def a_policy(name: str = "default", *machines: str, group: str = "default") -> StoredPolicy:
    rules = tuple(
        MachineRules(an_id(machine), (a_rule(22), a_rule(3389)), "203.0.113.9")
        for machine in machines or ("web-1",)
    )
    return StoredPolicy(Policy(a_policy_id(name, group), "Basic", rules), '"etag-1"', {"uid-x": 7})


def a_request(
    request_id: str = "request-1",
    started_at: datetime = NOW,
    policy: str = "default",
    requestor_id: str = "ada",
) -> AccessRequest:
    port = RequestedPort(22, SOURCES, started_at + HOUR, "2030-01-31T18:00:00.1234567Z", True)
    return AccessRequest(
        id=request_id,
        policy_id=a_policy_id(policy),
        requestor_id=requestor_id,
        requestor="Ada Lovelace",
        justification="deploy \N{ROCKET}",
        started_at=started_at,
        machines=(RequestedMachine(an_id("web-1"), (port, replace(port, number=3389))),),
    )


def a_grant(
    grant_id: str = "grant-1",
    request_id: str = "request-1",
    machine: str = "web-1",
    ends_at: datetime = NOW + HOUR,
) -> Grant:
    return Grant(
        id=grant_id,
        request_id=request_id,
        policy_id=a_policy_id(),
        machine_uid=f"uid-{machine}",
        machine_id=an_id(machine),
        requestor_id="ada",
        requestor="Ada Lovelace",
        number=22,
        protocol=RuleProtocol.ALL,
        sources=SOURCES,
        on_expiry=OnExpiry.KILL,
        max_duration=timedelta(hours=3, microseconds=1),
        started_at=NOW,
        ends_at=ends_at,
        ends_at_text="2030-01-31T18:00:00.1234567Z",
        generation=3,
        is_source_list=True,
        answer_by=NOW + PATIENCE[PointKind.HOST],
    )


def a_point(machine_uid: str = "uid-web-1") -> EnforcementPoint:
    return EnforcementPoint(
        machine_uid=machine_uid,
        public_key="a2V5",
        enrolled_at=NOW,
        observed_generation=4,
        last_contact_at=NOW + HOUR,
        agent_version="1.2.3",
        local_port_range=(32768, 60999),
        driver="nftables",
        capabilities=dataclasses.replace(HOST, counts_sessions=False),
        weaknesses=(Weakness("TableUnowned", {"kernel": "6.1"}),),
        blocked_attempts=2**40,
        facts={"kernel": "6.18"},
    )


def an_enrolment(enrolment_id: str = "enrolment-1", machine_uid: str = "uid-web-1") -> Enrolment:
    return Enrolment(enrolment_id, machine_uid, f"hash of {enrolment_id}", NOW + HOUR, True)


def an_event(
    event_id: str = "event-1",
    resource: object = "",
    at: datetime = NOW,
    principal_id: str = "ada",
    fact: Fact | None = None,
) -> Event:
    return Event(
        id=event_id,
        at=at,
        actor=Actor(principal_id, "Ada Lovelace", "ServicePrincipal", "192.0.2.7", "az/2"),
        resource_id=str(resource),
        fact=fact or GrantCreated("g", "r", "web-1", "22/tcp", ("192.0.2.7", "*"), format_utc(NOW)),
        correlation_id="correlation",
    )


FACTS = list(kinds.FACTS.values())
_VALUES: dict[Any, Any] = {
    str: "wörd",
    int: 7,
    int | None: None,
    bool: True,
    tuple[str, ...]: ("a", "b"),
}


def a_fact(kind: type[Fact]) -> Fact:
    """A fact of this kind, with something in every field that must have it."""
    return kind(
        **{
            name: _VALUES[its]
            for name, its in get_type_hints(kind).items()
            if name in kind.described.holds
        }
    )
