"""Events in OCSF 1.5.0: every kind fits its class, and says what it should."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from bascule.domain.chain import ChainHead, Link, link_after
from bascule.domain.delivery import Form, Sink, parse_target
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts import (
    agents,
    grants,
    installation,
    machines,
    policies,
    providers,
    sessions,
)
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, Unknown
from bascule.domain.facts.kind import Severity
from bascule.domain.grant import Grant
from bascule.services.ocsf import kind_of_record, ocsf_event
from tests.contracts.store.samples import FACTS, a_fact, a_grant
from tests.ocsf_schema import SCHEMAS
from tests.samples import NOW

ALICE = Actor("a11ce", "Alice", "ServicePrincipal", "192.0.2.7")
VM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web-1"
CHECKS = {uid: jsonschema_rs.validator_for(schema) for uid, schema in SCHEMAS.items()}


def sealed(fact: Fact, actor: Actor = ALICE, resource: str = VM) -> Link:
    """As it comes from the store: JSON has lists where facts have tuples."""
    record = Event("e-1", NOW, actor, resource, fact, "c-1").record()
    return link_after(ChainHead(6, "ab" * 32), json.loads(json.dumps(record)))


def mapped(
    fact: Fact, actor: Actor = ALICE, resource: str = VM, grant: Grant | None = None
) -> dict[str, Any]:
    event = ocsf_event(sealed(fact, actor, resource), {grant.id: grant} if grant else {})
    CHECKS[event["class_uid"]].validate(event)
    return event


@pytest.mark.parametrize("kind", FACTS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("actor", [ALICE, SYSTEM, Actor("u", "web-1", "Agent", "10.0.0.1")])
@pytest.mark.parametrize("resource", [VM, ""])
def test_every_kind_fits_its_class(kind: type[Fact], actor: Actor, resource: str) -> None:
    event = mapped(a_fact(kind), actor, resource)
    assert event["unmapped"]["kind"] == event["message"] == kind.__name__
    assert event["metadata"]["sequence"] == 7


def test_the_schemas_can_fail() -> None:
    """A schema that lets all pass shows nothing."""
    event = mapped(a_fact(grants.GrantOpened))
    wrongs: list[dict[str, Any]] = [
        {"time": 1_900_000},
        {"type_uid": 300_502},
        {"metadata": {**event["metadata"], "version": "1.6.0"}},
        {"user": {}},
        {"more": 1},
    ]
    for wrong in wrongs:
        assert not CHECKS[3005].is_valid({**event, **wrong}), wrong


def test_an_opening_assigns_a_privilege_to_its_requestor() -> None:
    """Not to the agent, whose report makes it known."""
    grant = a_grant()
    opened = grants.GrantOpened(grant.id, grant.request_id, VM)
    agent = Actor("u", "web-1", "Agent", "10.0.0.1")
    event = mapped(opened, agent, grant=grant)
    assert (event["class_uid"], event["activity_id"], event["type_uid"]) == (3005, 1, 300_501)
    assert event["user"] == {"uid": grant.requestor_id, "name": grant.requestor}
    assert event["privileges"][0].startswith(f"reach port {grant.number}/{grant.protocol} from ")
    assert event["resources"] == [{"uid": VM, "name": "web-1", "type": "virtualMachines"}]
    ended = grants.GrantEnded(grant.id, grant.request_id, VM, "Expired", "time")
    assert mapped(ended, SYSTEM, grant=grant)["type_uid"] == 300_502


def test_an_opening_by_root_is_serious() -> None:
    event = mapped(agents.OpenedLocally(VM, "22/tcp", ("192.0.2.9",), 900))
    assert event["severity"] == "High"
    assert event["privileges"] == ["reach port 22/tcp from 192.0.2.9"]


def test_a_refused_call_is_api_activity_that_failed() -> None:
    event = mapped(CallerDenied("DELETE", VM, "no right"))
    assert event["type_uid"] == 600_304
    assert (event["status"], event["status_detail"]) == ("Failure", "no right")
    assert event["api"]["operation"] == f"DELETE {VM}"
    assert event["src_endpoint"] == {"ip": "192.0.2.7"}


def test_time_is_in_milliseconds() -> None:
    event = mapped(a_fact(machines.MachineAdded))
    assert event["time"] == int(NOW.timestamp() * 1000)


def severity(fact: Fact) -> Severity:
    return kind_of_record(sealed(fact).record).severity


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (sessions.TokenFamilyRevoked, Severity.CRITICAL),  # its sample is a theft
        (policies.PricingChanged, Severity.HIGH),
        (providers.ProviderAdded, Severity.HIGH),
        (providers.ProviderChanged, Severity.HIGH),
        (installation.SigningKeyRotated, Severity.HIGH),
        (installation.ClockLeapt, Severity.HIGH),
        (providers.IdentityLinked, Severity.MEDIUM),
        (sessions.DeviceCodeRefused, Severity.MEDIUM),
        (providers.ExternalSignInRefused, Severity.LOW),
        (sessions.SessionEnded, Severity.LOW),
    ],
)
def test_what_matters_reaches_a_sink_with_a_level(kind: type[Fact], least: Severity) -> None:
    sink = Sink("s", "s", parse_target("file:s"), Form.OCSF, NOW, level=int(least))
    assert sink.wants(kind.__name__, int(severity(a_fact(kind))))


def test_a_revocation_that_is_no_theft_is_not_as_grave() -> None:
    plain = sessions.TokenFamilyRevoked("u", "anna", "c", "signed out", is_theft=False)
    assert severity(plain) is Severity.LOW


def test_a_kind_that_is_not_listed_is_not_left_out() -> None:
    refused = Unknown("UserRefused", {"user": "x"})
    event = mapped(refused)
    assert severity(refused) is Severity.HIGH, "no level keeps it from a sink"
    assert (event["class_uid"], event["activity_id"]) == (3004, 99)
    assert (event["activity_name"], event["status"]) == ("UserRefused", "Failure")
