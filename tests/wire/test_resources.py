"""What stands around the resources: tenant, subscription, locations, groups, providers."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.api.wire.resources import PROVIDERS
from tests.wire.house import COMPUTE, JIT, House, port_rule
from tests.wire.swagger import check
from tests.wire.test_principals import routes_of

RESOURCES = "2022-12-01"


def get(house: House, path: str, **more: Any) -> Any:
    return house.call("GET", path, version=RESOURCES, **more)


def top(house: House, path: str, **params: str) -> Any:
    return house.client.get(path, params=params)


# -- above the resources ------------------------------------------------------------------


def test_one_tenant_with_one_subscription(house: House) -> None:
    """What signing in with Azure's own clients asks for first."""
    tenant, subscription = house.installation.tenant_id, house.installation.subscription_id
    version = {"api-version": RESOURCES}
    (found,) = top(house, "/tenants", **version).json()["value"]
    assert (found["id"], found["tenantId"]) == (f"/tenants/{tenant}", tenant)
    (listed,) = top(house, "/Subscriptions/", **version).json()["value"]
    assert listed == get(house, house.subscription).json()
    assert (listed["subscriptionId"], listed["tenantId"]) == (subscription, tenant)
    assert listed["state"] == "Enabled"


@pytest.mark.parametrize("path", ["/tenants", "/subscriptions", "/TENANTS"])
@pytest.mark.parametrize(
    ("params", "code"),
    [({}, "MissingApiVersionParameter"), ({"api-version": "x"}, "InvalidApiVersionParameter")],
)
def test_these_want_an_api_version_too(
    house: House, path: str, params: dict[str, str], code: str
) -> None:
    answer = top(house, path, **params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_another_subscription_is_not_found(house: House) -> None:
    other = "/subscriptions/00000000-0000-4000-8000-000000000009"
    for path in ("", "/locations", "/resourcegroups", "/providers", "/resources"):
        answer = get(house, other + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "SubscriptionNotFound")


def test_locations_are_those_in_use(house: House) -> None:
    house.add_machine("far-1", location="Elsewhere")
    names = [each["name"] for each in get(house, "/locations").json()["value"]]
    assert names == ["Elsewhere", "local"]
    security = "/providers/microsoft.security/locations"
    assert [each["name"] for each in get(house, security).json()["value"]] == names
    one = get(house, f"{security}/LOCAL").json()
    assert one["id"] == f"{house.subscription}/providers/Microsoft.Security/locations/local"
    unknown = get(house, f"{security}/mars")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "InvalidLocation")


# -- providers ----------------------------------------------------------------------------


def test_the_providers_are_what_is_served(house: House) -> None:
    """Each type of each provider has a route, and each route's type is listed."""
    served = set()
    for route in routes_of(house):
        before, _, after = route.path.rpartition("/providers/")
        if not before or after.startswith("{"):
            continue
        namespace, *words = after.split("/")
        names = [word for word in words[0::2] if not word.startswith("{")]
        served.add((namespace, names[0]))
        if names[0] == "locations" and len(names) > 1:
            served.add((namespace, "/".join(names[:2])))  # what follows is an action
    listed = {(n, kind) for n, kinds in PROVIDERS.items() if "Resources" not in n for kind in kinds}
    assert listed == served
    paths = {route.path.replace("/{subscription_id}", "") for route in routes_of(house)}
    assert {f"/{kind}" for kind in PROVIDERS["Microsoft.Resources"]} <= paths


def test_a_provider_by_its_name_in_any_case(house: House) -> None:
    every = get(house, "/providers").json()["value"]
    assert [each["namespace"] for each in every] == sorted(PROVIDERS)
    one = get(house, "/PROVIDERS/MICROSOFT.SECURITY").json()
    assert one in every
    types = {each["resourceType"]: each for each in one["resourceTypes"]}
    jit = types["locations/jitNetworkAccessPolicies"]
    assert (jit["apiVersions"], jit["locations"]) == ([JIT], ["local"])
    unknown = get(house, "/providers/Microsoft.Storage")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (
        404,
        "InvalidResourceNamespace",
    )


# -- resource groups ----------------------------------------------------------------------


def test_groups_come_and_go(house: House) -> None:
    def put(name: str, **body: Any) -> Any:
        return house.call("PUT", f"/resourcegroups/{name}", body, RESOURCES)

    made = put("Team-A", location="local", tags={})
    assert made.status_code == 201
    assert made.json()["id"] == f"{house.subscription}/resourceGroups/Team-A"
    again = put("team-a", location="LOCAL")
    assert (again.status_code, again.json()["name"]) == (200, "Team-A")  # as it was created
    assert get(house, "/resourceGroups/TEAM-A").json() == made.json()
    assert house.call("HEAD", "/resourceGroups/TEAM-A", version=RESOURCES).status_code == 204
    assert house.call("HEAD", "/resourceGroups/team-b", version=RESOURCES).status_code == 404
    pages = get(house, "/resourceGroups", params={"$top": 1})
    assert [each["name"] for each in pages.json()["value"]] == ["default"]
    rest = house.client.get(pages.json()["nextLink"]).json()
    assert ([each["name"] for each in rest["value"]], "nextLink" in rest) == (["Team-A"], False)
    machine = f"{house.subscription}/resourceGroups/team-a/providers/Microsoft.Compute/virtualMachines/a-1"
    assert house.call("PUT", machine, {}, COMPUTE).status_code == 201
    full = house.call("DELETE", "/resourceGroups/Team-A", version=RESOURCES)
    assert (full.status_code, full.json()["error"]["code"]) == (409, "ResourceGroupNotEmpty")
    assert "virtualMachines/a-1" in full.json()["error"]["message"]
    house.call("DELETE", machine, version=COMPUTE)
    assert house.call("DELETE", "/resourceGroups/team-a", version=RESOURCES).status_code == 200
    for method in ("GET", "DELETE"):
        gone = house.call(method, "/resourceGroups/team-a", version=RESOURCES)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "ResourceGroupNotFound")
    assert house.events("ResourceGroupCreated", "ResourceGroupDeleted") == [
        "ResourceGroupDeleted",
        "ResourceGroupCreated",
    ]


def test_a_group_with_a_policy_stays(house: House) -> None:
    """Its deletion would open ports or end grants by the way."""
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": []}}, JIT)
    full = house.call("DELETE", "/resourceGroups/default", version=RESOURCES)
    assert full.status_code == 409
    assert "jitNetworkAccessPolicies/default" in full.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("a", {"location": "mars"}, "InvalidLocation"),
        ("a", {"location": "local", "tags": {"a": "b"}}, "TagsNotSupported"),
        ("a.", {"location": "local"}, "InvalidResourceName"),
        ("a" * 91, {"location": "local"}, None),
        ("a", {}, None),
        ("a", {"location": None}, None),
    ],
)
def test_what_a_group_cannot_be(
    house: House, name: str, body: dict[str, Any], code: str | None
) -> None:
    answer = house.call("PUT", f"/resourceGroups/{name}", body, RESOURCES)
    assert answer.status_code == 400
    check(answer.json(), "CloudError")
    assert code is None or answer.json()["error"]["code"] == code
    assert len(get(house, "/resourceGroups").json()["value"]) == 1


# -- resources ----------------------------------------------------------------------------


def test_resources_are_machines_and_policies(house: House) -> None:
    house.add_machine("web-1", tags={"env": "prod"})
    house.add_machine("db-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": rules}}, JIT)
    every = get(house, "/resources").json()["value"]
    assert [each["id"] for each in every] == [
        house.machine("db-1"),
        house.machine("web-1"),
        house.policy(),
    ]
    assert every[1]["tags"] == {"env": "prod"}
    kind = "microsoft.compute/virtualmachines"
    some = get(house, "/resources", params={"$filter": f"resourceType eq '{kind}'"})
    assert some.json()["value"] == every[:2]
    other = f"{house.subscription}/resourceGroups/other"
    far = f"{other}/providers/Microsoft.Compute/virtualMachines/x-1"
    assert house.call("PUT", other, {"location": "local"}, RESOURCES).status_code == 201
    assert house.call("PUT", far, {}, "2024-07-01").status_code == 201
    for text, found in (
        ("resourceGroup eq 'DEFAULT'", every),
        (f"resourceGroup eq 'default' and resourceType eq '{kind}'", every[:2]),
        ("resourceGroup eq 'default' and resourceGroup eq 'other'", []),
        ("name eq 'WEB-1'", every[1:2]),
        ("name eq 'web-1' and name eq 'db-1'", []),
    ):
        assert get(house, "/resources", params={"$filter": text}).json()["value"] == found
    one = get(house, "/resources", params={"$filter": "name eq 'web-1'", "$top": 1}).json()
    assert one["value"] == every[1:2]
    of_group = house.call("GET", f"{other}/resources", version=RESOURCES).json()["value"]
    assert [each["name"] for each in of_group] == ["x-1"]
    assert get(house, "/resources", params={"$filter": "location eq 'local'"}).status_code == 400
    house.call("DELETE", far, version="2024-07-01")
    paged = []
    answer = get(house, "/resources", params={"$top": 1}).json()
    while True:
        paged.extend(answer["value"])
        if "nextLink" not in answer:
            break
        answer = house.client.get(answer["nextLink"]).json()
    assert paged == every


# -- the instance view --------------------------------------------------------------------


def test_the_instance_view_is_what_the_agent_says(house: House) -> None:
    """Running is what is heard; of a machine that is not heard nothing is claimed."""
    uid = house.add_machine("web-1")
    path = f"{house.machine('web-1')}/instanceview"

    def words() -> list[str]:
        view = house.call("GET", path, version=COMPUTE).json()
        expanded = house.call(
            "GET", house.machine("web-1"), version=COMPUTE, params={"$expand": "instanceView"}
        ).json()
        assert expanded["properties"]["instanceView"] == view
        (agent,) = view["vmAgent"]["statuses"]
        return [view["statuses"][1]["code"], agent["displayStatus"], agent["message"]]

    assert words() == ["PowerState/unknown", "Not Ready", "No agent is enrolled."]
    agent = house.enrol("web-1")
    assert words()[2] == "The agent has not contacted the server since it enrolled."
    house.report(agent, uid)
    assert words()[:2] == ["PowerState/running", "Ready"]
    house.clock.pass_time(31)
    assert words() == [
        "PowerState/unknown",
        "Not Ready",
        "The agent has been away since 2030-01-01T12:00:00.0000000Z.",
    ]
    plain = house.call("GET", house.machine("web-1"), version=COMPUTE).json()
    assert "instanceView" not in plain["properties"]
    nobody = house.call("GET", f"{house.machine('no-1')}/instanceView", version=COMPUTE)
    assert nobody.status_code == 404
