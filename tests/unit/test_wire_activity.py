"""The activity log's entries: every event as EventData of the Administrative category."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bascule.api.wire.activity import SELECTABLE, Log, entries_of, select
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts import installation as facts
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, Unknown
from bascule.domain.facts.grants import AccessDenied, AccessRequested, GrantEnded, GrantOpened
from bascule.domain.facts.kinds import kind_of
from bascule.domain.facts.machines import MachineDeleted
from tests.contracts.store.samples import FACTS, a_fact
from tests.samples import NOW

S = "/subscriptions/11111111-2222-3333-4444-555555555555"
VM = f"{S}/resourceGroups/Default/providers/Microsoft.Compute/virtualMachines/web-1"
POLICY = (
    f"{S}/resourceGroups/Default/providers/Microsoft.Security/locations/local"
    "/jitNetworkAccessPolicies/default"
)
LOG = Log("tenant", S.rpartition("/")[2])
ALICE = Actor("a11ce", "Alice", "ServicePrincipal", "192.0.2.7")
REQUESTED = AccessRequested("r-1", POLICY, (VM,), "ticket 4711")
INITIATE = "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"


def entries(fact: Fact, resource: str = VM, actor: Actor = ALICE) -> list[dict[str, Any]]:
    return list(entries_of(Event("e-1", NOW, actor, resource, fact, "c-1"), LOG))


def test_initiate_is_told_as_azure_tells_it() -> None:
    """Microsoft's own sample query: that display name, with status Started."""
    end, begin = entries(REQUESTED, POLICY)
    for each, status, name in ((begin, "Started", "BeginRequest"), (end, "Accepted", "EndRequest")):
        assert each["operationName"] == {
            "value": INITIATE,
            "localizedValue": "Initiate JIT Network Access Policy",
        }
        assert each["status"]["value"] == status
        assert each["eventName"]["value"] == name
        assert each["authorization"] == {"action": INITIATE, "scope": POLICY}
        assert each["caller"] == "a11ce"
        assert each["claims"]["ipaddr"] == "192.0.2.7"
        assert each["httpRequest"] == {"clientIpAddress": "192.0.2.7", "method": "POST"}
        assert each["resourceId"] == POLICY
        assert each["resourceGroupName"] == "Default"
        assert each["resourceProviderName"]["value"] == "Microsoft.Security"
        assert (
            each["resourceType"]["value"] == "Microsoft.Security/locations/jitNetworkAccessPolicies"
        )
        assert each["eventTimestamp"] == "2030-01-31T12:00:00.0000000Z"
    assert begin["correlationId"] == end["correlationId"] == "c-1"
    assert begin["eventDataId"] != end["eventDataId"] == "e-1"
    assert end["subStatus"]["value"] == end["properties"]["statusCode"] == "Accepted"
    body = json.loads(end["properties"]["requestbody"])
    assert body == {"virtualMachines": [{"id": VM}], "justification": "ticket 4711"}


def test_ids_have_the_ticks_of_dotnet() -> None:
    """638... for our years: 100 ns since the year 1."""
    (end, *_) = entries(GrantOpened("g", "r", VM))
    assert end["id"] == f"{VM}/events/e-1/ticks/640316880000000000"


def test_a_denied_request_failed() -> None:
    end, begin = entries(AccessDenied(POLICY, ("PortNotInPolicy: no", "x")), POLICY)
    assert (begin["status"]["value"], end["status"]["value"]) == ("Started", "Failed")
    assert end["level"] == "Error"
    assert end["properties"]["reasons"] == "PortNotInPolicy: no, x"


def test_what_the_system_does_is_nobodys_call() -> None:
    (only,) = entries(GrantEnded("g", "r", VM, "Expired", "time"), actor=SYSTEM)
    assert only["operationName"]["value"] == "Bascule.Access/grants/expire/action"
    assert (only["caller"], only["claims"], only["httpRequest"]) == ("bascule", {}, None)


@pytest.mark.parametrize(
    ("reason", "verb"),
    [("UserRequested", "revoke"), ("Expired", "expire"), ("NewerRequestInitiated", "supersede")],
)
def test_ends_are_named_by_their_reasons(reason: str, verb: str) -> None:
    assert kind_of(GrantEnded("g", "r", VM, reason, "x")).action.endswith(f"/{verb}/action")


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("POST", f"{POLICY}/initiate", INITIATE),
        ("PUT", POLICY, "Microsoft.Security/locations/jitNetworkAccessPolicies/write"),
        ("DELETE", VM, "Microsoft.Compute/virtualMachines/delete"),
        ("GET", f"{S}/providers/Bascule.Audit/events", "Bascule.Audit/events/read"),
        ("POST", f"{VM}/providers/Bascule.Fleet/enrolments", "Bascule.Fleet/enrolments/action"),
        ("GET", "/bascule/points/u/state", "Bascule.Audit/calls/deny/action"),
        ("GET", f"{S}/providers", "Bascule.Audit/calls/deny/action"),
        ("BREW", f"{S}/providers/X", "X/action"),
    ],
)
def test_a_refused_call_is_told_as_what_it_meant(method: str, path: str, action: str) -> None:
    end, *_ = entries(CallerDenied(method, path, "no"), "")
    assert end["operationName"]["value"] == action
    assert end["status"]["value"] == "Failed"
    assert end["httpRequest"]["uri"] == path


@pytest.mark.parametrize("kind", FACTS, ids=lambda each: each.__name__)
def test_every_kind_of_event_is_told(kind: type[Fact]) -> None:
    """All fields are there, all properties are texts, and nothing of the fact is left out."""
    for each in entries(a_fact(kind)):
        assert set(each) == set(SELECTABLE)
        assert all(isinstance(value, str) for value in each["properties"].values())
        assert each["operationName"]["localizedValue"]
        assert each["resourceType"]["value"]
        assert each["level"] in ("Critical", "Error", "Warning", "Informational")
        shown = set(each["properties"].values())
        assert {"wörd", "7", "true", "a, b"} & shown
        assert json.dumps(each)


def test_a_kind_that_is_not_listed_is_told_under_its_own_name() -> None:
    end, *_ = entries(Unknown("SomethingRefused", {"what": "x"}))
    assert end["operationName"] == {
        "value": "Bascule.Audit/somethingRefused/action",
        "localizedValue": "Unknown event SomethingRefused",
    }
    assert end["status"]["value"] == "Failed"


def test_people_are_named_and_programs_numbered() -> None:
    """As Azure's own log: a user principal name, or an object id."""
    (person, *_) = entries(MachineDeleted(VM, "u"), actor=replace(ALICE, kind="User"))
    assert person["caller"] == "Alice"
    assert "appid" not in person["claims"]


def test_what_is_about_the_installation_is_about_its_subscription() -> None:
    end, *_ = entries(facts.InstallationCreated("t", "s"), "")
    assert (end["resourceId"], end["resourceGroupName"]) == (S, "")


def test_select_keeps_what_is_named() -> None:
    (end, *_) = entries(GrantOpened("g", "r", VM))
    assert select(end, frozenset()) == end
    assert select(end, frozenset({"caller"})) == {"caller": "a11ce"}
