"""The published examples replayed and compared field by field (EDGES B12).

Source: spec/, api-version 2020-01-01. The subscription and the dates are substituted, and
``requests`` where an example shows some that nobody has made here. Of our answers only what
Azure's shapes lack is left out of the comparison. Every answer is held against the published
schema too.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.builtin_roles import OWNER
from bascule.domain.times import format_utc
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.wire.house import JIT, House
from tests.wire.people import Person
from tests.wire.swagger import EXAMPLES, check, example

EXAMPLE_SUBSCRIPTIONS = (
    "20ff7fc3-e762-44dd-bd96-b71116dcdc23",
    "3eeab341-f466-499c-a8be-85427e154baf",  # the answer of the initiate example has another
)
STARTS = ("2018-05-17T08:06:45.5691611Z", "2018-07-12T08:53:03.3658798Z")
ENDS = ("2018-05-17T09:06:45.5691611Z", "2018-07-12T09:53:03.3658798Z")
NOT_AZURES = {"bascule", "etag", "appendMode"}  # the last is the live service's, undocumented
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
OTHERS = {
    f"{verb}JitNetworkAccessPolicy": f"test_{name}"
    for verb, name in (
        ("Create", "create"),
        ("Delete", "delete"),
        ("Get", "get"),
        ("Initiate", "initiate"),
    )
}


@pytest.fixture
def europe(house: House) -> House:
    """The example's world: group myRg1, location westeurope, machine vm1."""

    def add_group(tx: Transaction, act: Act) -> None:
        tx.add_resource_group("myRg1")

    house.do(add_group)
    house.group = f"{house.subscription}/resourceGroups/myRg1"
    house.add_machine("vm1", location="westeurope")
    house.client = Person(house, "barbara@contoso.com", (OWNER.id, house.subscription)).client
    return house


def translated(house: House, node: Any) -> Any:
    """The example's JSON with our subscription and no dates of 2018."""
    written = json.dumps(node)
    for subscription in EXAMPLE_SUBSCRIPTIONS:
        written = written.replace(subscription, house.installation.subscription_id)
    soon = format_utc(house.clock.now() + timedelta(hours=1))[:-2] + "8Z"  # to its 7th digit
    for dates, ours in ((STARTS, format_utc(house.clock.now())), (ENDS, soon)):
        for date in dates:
            written = written.replace(date, ours)
    return json.loads(written)


def answered(house: House, name: str, status: int = 200) -> Any:
    """The body that the example shows, translated."""
    return translated(house, example(name)["responses"][str(status)]["body"])


def azures(node: Any) -> Any:
    """An answer without what Azure's shapes lack."""
    if isinstance(node, list):
        return [azures(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: azures(value) for key, value in node.items() if key not in NOT_AZURES}


def put_example(house: House) -> Any:
    body = translated(house, example("CreateJitNetworkAccessPolicy")["parameters"]["body"])
    return house.call("PUT", house.policy(location="westeurope"), body, JIT)


def initiate_example(house: House) -> Any:
    body = translated(house, example("InitiateJitNetworkAccessPolicy")["parameters"]["body"])
    path = house.policy(location="westeurope") + "/initiate"
    return house.call("POST", path, body, JIT)


def make_example(house: House) -> None:
    """The policy, and the request of the examples in force on the machine."""
    uid = house.call("GET", house.machine("vm1")).json()["properties"]["vmId"]
    agent = house.enrol("vm1")
    put_example(house)
    (machine,) = initiate_example(house).json()["virtualMachines"]
    (port,) = machine["ports"]
    house.report(agent, uid, port["bascule"]["grantId"])


def test_every_example_is_replayed() -> None:
    names = {path.name.removesuffix("_example.json") for path in EXAMPLES.iterdir()}
    assert names == LISTS.keys() | OTHERS.keys()
    assert all(callable(globals()[test]) for test in OTHERS.values())


def test_create(europe: House) -> None:
    answer = put_example(europe)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "JitNetworkAccessPolicy")
    wanted = answered(europe, "CreateJitNetworkAccessPolicy")
    wanted["properties"]["requests"] = []  # what a PUT sends there is ignored (EDGES A16)
    assert azures(answer.json()) == wanted
    assert answer.json()["properties"]["appendMode"] is False


@pytest.mark.parametrize("name", LISTS)
def test_lists(europe: House, name: str) -> None:
    make_example(europe)
    path = LISTS[name].format(s=europe.subscription) + f"/{JIT_KIND}"
    answer = europe.call("GET", path, version=JIT)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "JitNetworkAccessPoliciesList")
    assert azures(answer.json()) == answered(europe, name)


def test_an_empty_list_is_exactly_this(house: House) -> None:
    """CONTRACT 1.2: twelve bytes."""
    path = "/providers/Microsoft.Security/jitNetworkAccessPolicies"
    assert house.call("GET", path, version=JIT).content == b'{"value":[]}'


def test_get(europe: House) -> None:
    make_example(europe)
    answer = europe.call("GET", europe.policy(location="westeurope"), version=JIT)
    assert answer.status_code == 200
    check(answer.json(), "JitNetworkAccessPolicy")
    assert azures(answer.json()) == answered(europe, "GetJitNetworkAccessPolicy")


def test_a_policy_of_a_machine_that_nobody_guards(europe: House) -> None:
    """There is nothing to wait for."""
    put_example(europe)
    answer = europe.call("GET", europe.policy(location="westeurope"), version=JIT)
    assert answer.json()["properties"]["provisioningState"] == "Succeeded"
    assert answer.json()["properties"]["bascule"]["away"] == [europe.machine("vm1")]


def test_initiate(europe: House) -> None:
    put_example(europe)
    answer = initiate_example(europe)
    assert answer.status_code == 202, answer.text
    check(answer.json(), "JitNetworkAccessRequest")
    assert azures(answer.json()) == answered(europe, "InitiateJitNetworkAccessPolicy", 202)


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
