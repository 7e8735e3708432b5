"""The published examples replayed: subscription, ids, dates and ``requests`` substituted.

Source: spec/, api-version 2020-01-01. Every answer is held against the published schema.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.times import format_utc
from bascule.interfaces import Transaction
from bascule.services.act import Act
from tests.wire.house import JIT, House
from tests.wire.swagger import check, example

EXAMPLE_SUBSCRIPTIONS = (
    "20ff7fc3-e762-44dd-bd96-b71116dcdc23",
    "3eeab341-f466-499c-a8be-85427e154baf",  # the answer of the initiate example has another
)
JIT_KIND = "jitNetworkAccessPolicies"
LISTS = {
    "GetJitNetworkAccessPoliciesSubscription": "{s}/providers/Microsoft.Security",
    "GetJitNetworkAccessPoliciesSubscriptionLocation": (
        "{s}/providers/Microsoft.Security/locations/westeurope"
    ),
    "GetJitNetworkAccessPoliciesResourceGroup": (
        "{s}/resourceGroups/myRg1/providers/Microsoft.Security"
    ),
    "GetJitNetworkAccessPoliciesResourceGroupLocation": (
        "{s}/resourceGroups/myRg1/providers/Microsoft.Security/locations/westeurope"
    ),
}


@pytest.fixture
def europe(house: House) -> House:
    """The example's world: group myRg1, location westeurope, machine vm1."""

    def add_group(tx: Transaction, act: Act) -> None:
        tx.add_resource_group("myRg1")

    house.do(add_group)
    house.group = f"{house.subscription}/resourceGroups/myRg1"
    house.add_machine("vm1", location="westeurope")
    return house


def translated(house: House, node: Any) -> Any:
    """The example's JSON with our subscription and no dates of 2018."""
    written = json.dumps(node)
    for subscription in EXAMPLE_SUBSCRIPTIONS:
        written = written.replace(subscription, house.installation.subscription_id)
    soon = format_utc(house.clock.now() + timedelta(hours=1))
    written = written.replace("2018-07-12T09:53:03.3658798Z", soon[:-2] + "8Z")
    return json.loads(written)


def put_example(house: House) -> Any:
    body = translated(house, example("CreateJitNetworkAccessPolicy")["parameters"]["body"])
    return house.call("PUT", house.policy(location="westeurope"), body, JIT)


def test_create(europe: House) -> None:
    answer = put_example(europe)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "JitNetworkAccessPolicy")
    wanted = translated(europe, example("CreateJitNetworkAccessPolicy")["responses"]["200"]["body"])
    got = answer.json()
    for field in ("kind", "id", "name", "type", "location"):
        assert got[field] == wanted[field]
    machines = plain(got["properties"]["virtualMachines"])
    assert machines == wanted["properties"]["virtualMachines"]
    assert got["properties"]["requests"] == []  # what a PUT sends there is ignored (EDGES A16)
    assert got["properties"]["appendMode"] is False


def plain(machines: Any) -> Any:
    """Machines without what Azure's shapes lack."""
    return [
        {
            **machine,
            "ports": [
                {key: value for key, value in port.items() if key != "bascule"}
                for port in machine["ports"]
            ],
        }
        for machine in machines
    ]


@pytest.mark.parametrize("name", LISTS)
def test_lists(europe: House, name: str) -> None:
    put_example(europe)
    initiate_example(europe)
    path = LISTS[name].format(s=europe.subscription) + f"/{JIT_KIND}"
    answer = europe.call("GET", path, version=JIT)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "JitNetworkAccessPoliciesList")
    (policy,) = answer.json()["value"]
    (wanted,) = translated(europe, example(name)["responses"]["200"]["body"]["value"])
    assert set(wanted) <= set(policy)
    assert plain(policy["properties"]["virtualMachines"]) == wanted["properties"]["virtualMachines"]
    (request,) = policy["properties"]["requests"]
    (published,) = wanted["properties"]["requests"]
    assert set(published) <= set(request)
    assert "nextLink" not in answer.json()


def test_an_empty_list_is_exactly_this(house: House) -> None:
    """CONTRACT 1.2: twelve bytes."""
    path = "/providers/Microsoft.Security/jitNetworkAccessPolicies"
    assert house.call("GET", path, version=JIT).content == b'{"value":[]}'


def test_get(europe: House) -> None:
    put_example(europe)
    answer = europe.call("GET", europe.policy(location="westeurope"), version=JIT)
    assert answer.status_code == 200
    check(answer.json(), "JitNetworkAccessPolicy")
    wanted = translated(europe, example("GetJitNetworkAccessPolicy")["responses"]["200"]["body"])
    assert set(wanted) <= set(answer.json())
    # Nobody guards vm1, so there is nothing to wait for.
    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert answer.json()["properties"]["bascule"]["away"] == [europe.machine("vm1")]


def initiate_example(house: House) -> Any:
    body = translated(house, example("InitiateJitNetworkAccessPolicy")["parameters"]["body"])
    path = house.policy(location="westeurope") + "/initiate"
    return house.call("POST", path, body, JIT)


def test_initiate(europe: House) -> None:
    put_example(europe)
    answer = initiate_example(europe)
    assert answer.status_code == 202, answer.text
    got = answer.json()
    check(got, "JitNetworkAccessRequest")
    wanted = translated(
        europe, example("InitiateJitNetworkAccessPolicy")["responses"]["202"]["body"]
    )
    assert plain(got["virtualMachines"]) == wanted["virtualMachines"]  # the end to its 7th digit
    assert got["justification"] == wanted["justification"]
    assert got["startTimeUtc"] == "2030-01-01T12:00:00.0000000Z"
    assert got["requestor"] == "administrator"


def test_delete(europe: House) -> None:
    put_example(europe)
    first = europe.call("DELETE", europe.policy(location="westeurope"), version=JIT)
    assert (first.status_code, first.content) == (200, b"")
    again = europe.call("DELETE", europe.policy(location="westeurope"), version=JIT)
    assert (again.status_code, again.content) == (204, b"")


def test_an_error_is_a_cloud_error(house: House) -> None:
    answer = house.call("GET", house.policy("nothing"), version=JIT)
    assert answer.status_code == 404
    check(answer.json(), "CloudError")
    assert answer.json()["error"]["code"] == "ResourceNotFound"


def test_the_schema_check_can_fail() -> None:
    with pytest.raises(ValueError, match="required"):
        check({"kind": "Basic"}, "JitNetworkAccessPolicy")
