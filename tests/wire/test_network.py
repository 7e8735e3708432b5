"""Microsoft.Network as a view: what is held and no more, for those who may read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bascule.domain.actions import (
    NIC_READ,
    NSG_READ,
    NSG_RULE_READ,
    PUBLIC_IP_READ,
)
from bascule.domain.security_rules import Anchors
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.protocol.codec import encode
from tests.wire.house import JIT, House, port_rule
from tests.wire.somebody import somebody

NETWORK = "2026-03-01"
SHUT = {"closed": [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}]}


def view(house: House, kind: str, name: str, group: bool = True) -> str:
    place = house.group if group else house.subscription
    return f"{place}/providers/Microsoft.Network/{kind}" + (f"/{name}" if name else "")


def get(house: House, path: str, **more: Any) -> Any:
    answer = house.call("GET", path, version=NETWORK, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def nsg(house: House, name: str = "web-1") -> Any:
    return get(house, view(house, "networkSecurityGroups", f"{name}-nsg"))


def rules(house: House, access: str, name: str = "web-1") -> list[Any]:
    found = nsg(house, name)["properties"]["securityRules"]
    return [rule["properties"] for rule in found if rule["properties"]["access"] == access]


def configure(house: House, name: str = "web-1", **more: Any) -> None:
    machines = [{"id": house.machine(name), "ports": [port_rule()], **more}]
    answer = house.call("PUT", house.policy(), {"properties": {"virtualMachines": machines}}, JIT)
    assert answer.status_code == 200, answer.text


def ask(house: House, source: str = "192.0.2.1", duration: str = "PT1H") -> tuple[str, str]:
    """Ask for port 22 of web-1; returns the request's and the grant's id."""
    port = {"number": 22, "duration": duration, "allowedSourceAddressPrefix": source}
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    request = answer.json()["bascule"]["requestId"]
    (grant,) = house.see(lambda reader: reader.grants_of([request]))
    return request, grant.id


@pytest.fixture
def web(house: House) -> Any:
    """web-1 with port 22 in a policy, its agent enrolled; returns how it reports."""
    extras = {"addresses": ["10.0.0.4", "2001:db8::4"]}
    uid = house.add_machine("web-1", properties={"bascule": extras})
    agent = house.enrol("web-1")
    configure(house)
    return lambda *in_force, **more: house.report(agent, uid, *in_force, **{**SHUT, **more})


# -- the rules are what is held -----------------------------------------------------------


def test_nothing_is_shown_shut_before_it_was_read_back(house: House, web: Any) -> None:
    """A policy is a wish; a view of it would tell of safety that is not there."""
    found = nsg(house)["properties"]
    assert found["securityRules"] == []
    assert (found["provisioningState"], found["bascule"]["isCurrent"]) == ("Updating", False)
    assert "has not reported yet" in found["bascule"]["message"]
    web(closed=[])  # it reports, and has not shut the port
    assert nsg(house)["properties"]["securityRules"] == []
    web()
    found = nsg(house)["properties"]
    assert [each["properties"]["access"] for each in found["securityRules"]] == ["Deny", "Deny"]
    assert (found["provisioningState"], found["bascule"]["isCurrent"]) == ("Succeeded", True)
    assert found["bascule"]["message"] == "As it was read back from the firewall."


def test_an_opening_is_shown_from_reading_back_to_reading_back(house: House, web: Any) -> None:
    web()
    request, grant = ask(house)
    assert rules(house, "Allow") == []  # decided, not in force
    web(grant)
    (allow,) = rules(house, "Allow")
    assert (allow["sourceAddressPrefix"], allow["destinationAddressPrefix"]) == (
        "192.0.2.1",
        "10.0.0.4",
    )
    assert (allow["destinationPortRange"], allow["protocol"]) == ("22", "Tcp")
    assert (allow["priority"], allow["direction"]) == (100, "Inbound")
    (told,) = allow["bascule"]["openings"]
    assert (told["grantId"], told["requestId"]) == (grant, request)
    denies = rules(house, "Deny")
    assert [each["priority"] for each in denies] == [1000, 1001]
    assert {each["destinationAddressPrefix"] for each in denies} == {"10.0.0.4", "2001:db8::4"}
    revoke = f"/providers/Bascule.Access/accessRequests/{request}/revoke"
    assert house.call("POST", revoke, {}).status_code == 200
    assert len(rules(house, "Allow")) == 1  # it may let in until the host has said otherwise
    assert nsg(house)["properties"]["provisioningState"] == "Updating"
    web()
    assert rules(house, "Allow") == []


def test_rules_of_an_agent_that_can_enforce_nothing_are_last_known(house: House, web: Any) -> None:
    web()
    assert nsg(house)["properties"]["bascule"]["isCurrent"] is True
    web(generation=0, weaknesses=[encode(NOT_ENFORCED(problem="EPERM"))])
    found = nsg(house)["properties"]["bascule"]
    assert (found["state"], found["isCurrent"]) == ("online", False)
    assert found["message"].startswith(
        "Last known state: the agent of web-1 reports that it cannot enforce"
    )
    assert len(rules(house, "Deny")) == 2


def test_a_silent_agents_rules_are_last_known_and_end_on_time(house: House, web: Any) -> None:
    _, grant = ask(house, duration="PT5M")
    web(grant)
    house.clock.pass_time(31)
    found = nsg(house)["properties"]
    assert (found["bascule"]["state"], found["bascule"]["isCurrent"]) == ("offline", False)
    assert found["bascule"]["message"].startswith(
        "Last known state: the agent of web-1 has been away since"
    )
    assert len(rules(house, "Allow")) == 1
    house.clock.pass_time(5 * 60)
    house.sweep()
    assert rules(house, "Allow") == []  # the kernel ended it, whoever is silent
    assert len(rules(house, "Deny")) == 2


def test_an_end_that_the_agent_has_not_heard_of_is_not_believed(house: House, web: Any) -> None:
    """A policy that was shortened ends a grant here; the host holds the longer one."""
    _, grant = ask(house, duration="PT40M")
    web(grant)
    ports = [port_rule(maxRequestAccessDuration="PT5M")]
    machines = [{"id": house.machine("web-1"), "ports": ports}]
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": machines}}, JIT)
    house.clock.pass_time(10 * 60)
    house.sweep()
    assert len(rules(house, "Allow")) == 1
    house.clock.pass_time(31 * 60)
    assert rules(house, "Allow") == []


def test_what_root_opened_on_the_host_is_not_hidden(house: House, web: Any) -> None:
    root = {
        "port": "22/tcp",
        "sources": ["198.51.100.3"],
        "seconds": 900,
        "id": "local-1",
    }
    web("local-1", localOpenings=[root])
    (allow,) = rules(house, "Allow")
    assert allow["sourceAddressPrefix"] == "198.51.100.3"
    assert allow["description"].startswith("Bascule JIT Network Access rule opened by root")
    web("local-1")  # told once, in force still
    assert len(rules(house, "Allow")) == 1
    web("local-1", "local-2")  # nobody said what this one opens
    assert nsg(house)["properties"]["bascule"]["rulesLeftOut"] == 1
    web()
    assert rules(house, "Allow") == []
    unreadable: list[dict[str, Any]] = [
        {"port": "22/sctp"},
        {"port": "x"},
        {"sources": ["x"]},
        {"sources": []},
    ]
    for wrong in unreadable:
        web("local-3", localOpenings=[{**root, "id": "local-3", **wrong}])
        assert rules(house, "Allow") == []
        assert nsg(house)["properties"]["bascule"]["rulesLeftOut"] == 1
        web()


def test_a_new_agent_has_reported_nothing(house: House, web: Any) -> None:
    """What the old one held may not be so on the host where the new one is."""
    web()
    assert rules(house, "Deny")
    house.enrol("web-1")
    assert nsg(house)["properties"]["securityRules"] == []


def test_a_machine_without_an_agent_holds_nothing(house: House) -> None:
    house.add_machine("web-1")
    configure(house)
    found = nsg(house)["properties"]
    assert found["securityRules"] == []
    assert found["bascule"]["state"] == "none"
    assert found["bascule"]["message"] == "web-1 has no enforcement point, so no port is closed."


def test_the_anchors_of_priorities_are_the_settings(house: House, web: Any) -> None:
    house.app.state.bascule = replace(house.state, anchors=Anchors(200, 300))
    _, grant = ask(house)
    web(grant)
    assert [each["priority"] for each in rules(house, "Allow")] == [200]
    assert [each["priority"] for each in rules(house, "Deny")] == [300, 301]


def test_rules_by_themselves(house: House, web: Any) -> None:
    _, grant = ask(house)
    web(grant)
    path = view(house, "networkSecurityGroups", "WEB-1-nsg/securityrules")
    whole = nsg(house)["properties"]["securityRules"]
    assert get(house, path)["value"] == whole
    assert get(house, f"{path}/{whole[0]['name'].lower()}") == whole[0]
    first = get(house, path, params={"$top": 2})
    rest = house.client.get(first["nextLink"]).json()
    assert first["value"] + rest["value"] == whole
    assert "nextLink" not in rest
    missing = house.call("GET", f"{path}/AllowRdp", version=NETWORK)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ResourceNotFound")
    default = view(house, "networkSecurityGroups", "web-1-nsg/defaultSecurityRules")
    names = [each["name"] for each in get(house, default)["value"]]
    assert names == ["AllowAllInBound", "AllowAllOutBound"]
    assert get(house, f"{default}/{names[0]}")["properties"]["priority"] == 65000


# -- interfaces and addresses -------------------------------------------------------------


def test_an_interface_leads_from_machine_to_group(house: House) -> None:
    extras = {"addresses": ["10.0.0.4", "8.8.8.8", "fd00::4"]}
    house.add_machine("web-1", properties={"bascule": extras})
    machine = house.call("GET", house.machine("web-1"), version=NETWORK).json()
    (reference,) = machine["properties"]["networkProfile"]["networkInterfaces"]
    nic = get(house, reference["id"])
    assert nic["id"] == reference["id"]
    assert nic["properties"]["virtualMachine"]["id"] == machine["id"]
    assert get(house, nic["properties"]["networkSecurityGroup"]["id"])["name"] == "web-1-nsg"
    first, second = nic["properties"]["ipConfigurations"]
    assert (first["properties"]["privateIPAddress"], first["properties"]["primary"]) == (
        "10.0.0.4",
        True,
    )
    public = get(house, first["properties"]["publicIPAddress"]["id"])
    assert public["properties"]["ipAddress"] == "8.8.8.8"
    assert public["properties"]["ipConfiguration"]["id"] == first["id"]
    assert second["properties"]["privateIPAddressVersion"] == "IPv6"
    assert "publicIPAddress" not in second["properties"]


def test_a_policys_public_address_is_one_too(house: House) -> None:
    house.add_machine("web-1", properties={"bascule": {"addresses": ["9.9.9.9", "2001:4860::8"]}})
    configure(house, publicIpAddress="8.8.4.4")
    every = get(house, view(house, "publicIPAddresses", ""))["value"]
    assert [(each["name"], each["properties"]["ipAddress"]) for each in every] == [
        ("web-1-pip", "9.9.9.9"),
        ("web-1-pip-2", "2001:4860::8"),
        ("web-1-pip-3", "8.8.4.4"),
    ]
    for each in every:
        assert get(house, each["id"]) == each
    configure(house)
    assert len(get(house, view(house, "publicIPAddresses", ""))["value"]) == 2
    for name in ("web-1-pip-3", "web-1-pip-1", "web-1-pip-02", "web-1", "-pip", "web-2-pip"):
        answer = house.call("GET", view(house, "publicIPAddresses", name), version=NETWORK)
        assert answer.status_code == 404, name


def test_lists_are_paged_by_machine(house: House) -> None:
    house.call("PUT", "/resourceGroups/team", {"location": "local"})
    for name in ("a", "b", "c"):
        house.add_machine(name, properties={"bascule": {"addresses": ["10.0.0.1"]}})
    away = house.machine("d").replace("/default/", "/team/")
    house.call("PUT", away, {}, NETWORK)
    for kind, suffix in (("networkInterfaces", "nic"), ("networkSecurityGroups", "nsg")):
        names = [f"{name}-{suffix}" for name in "abcd"]
        found: list[str] = []
        page = get(house, view(house, kind, "", group=False), params={"$top": 2})
        found += [each["name"] for each in page["value"]]
        assert len(found) == 2
        while "nextLink" in page:
            page = house.client.get(page["nextLink"]).json()
            found += [each["name"] for each in page["value"]]
        assert found == names
        own = get(house, view(house, kind, ""))["value"]
        assert [each["name"] for each in own] == names[:3]
    assert get(house, view(house, "publicIPAddresses", "", group=False)) == {"value": []}


@pytest.mark.parametrize("name", ["nobody-nic", "web-1", "-nic", "web-1-nsg", "a%2Fb-nic"])
def test_what_is_no_interface(house: House, name: str) -> None:
    house.add_machine("web-1")
    answer = house.call("GET", view(house, "networkInterfaces", name), version=NETWORK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceNotFound")


# -- who may read -------------------------------------------------------------------------

READS = [
    ("networkInterfaces", "nic", NIC_READ),
    ("networkSecurityGroups", "nsg", NSG_READ),
    ("networkSecurityGroups", "nsg/securityRules", NSG_RULE_READ),
    ("publicIPAddresses", "pip", PUBLIC_IP_READ),
]


@pytest.mark.parametrize(("kind", "suffix", "action"), READS)
def test_a_view_is_read_by_a_right_at_it_or_at_its_machine(
    house: House, kind: str, suffix: str, action: str
) -> None:
    for name in ("web-1", "db-1"):
        house.add_machine(name, properties={"bascule": {"addresses": ["8.8.8.8"]}})
    mine, other = (view(house, kind, f"{name}-{suffix}") for name in ("web-1", "db-1"))
    at_view = view(house, kind, f"web-1-{suffix.partition('/')[0]}")
    for scope in (house.machine("web-1"), at_view):
        caller = somebody(house, scope, action)
        assert caller.get(mine).status_code == 200
        refused = caller.get(other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            403,
            "AuthorizationFailed",
        )
        # Whether it is there is told to nobody who may not read it.
        assert caller.get(other.replace("db-1", "no-1")).status_code == 403
        if "/" not in suffix:
            for path in (view(house, kind, ""), view(house, kind, "", group=False)):
                listed = caller.get(path)
                assert [each["name"] for each in listed.json()["value"]] == [f"web-1-{suffix}"]


def test_a_right_at_another_kind_of_view_shows_nothing(house: House) -> None:
    house.add_machine("web-1")
    odd = view(house, "networkInterfaces", "web-1-nsg")
    caller = somebody(house, odd, NSG_READ)
    assert caller.get(view(house, "networkSecurityGroups", "web-1-nsg")).status_code == 403
    assert caller.get(view(house, "networkSecurityGroups", "")).json() == {"value": []}
    other = somebody(house, house.machine("web-1"), NIC_READ)
    assert other.get(view(house, "networkSecurityGroups", "web-1-nsg")).status_code == 403


# -- nobody writes ------------------------------------------------------------------------

WRITES = [
    ("networkInterfaces/web-1-nic", "Microsoft.Network/networkInterfaces"),
    ("publicIPAddresses/web-1-pip", "Microsoft.Network/publicIPAddresses"),
    ("networkSecurityGroups/web-1-nsg", "Microsoft.Network/networkSecurityGroups"),
    (
        "networkSecurityGroups/web-1-nsg/securityRules/AllowAll",
        "Microsoft.Network/networkSecurityGroups/securityRules",
    ),
    ("azureFirewalls/gw", "Microsoft.Network/azureFirewalls"),
]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("path", "kind"), WRITES)
def test_a_write_is_refused_with_what_to_do_instead(
    house: House, web: Any, path: str, kind: str, method: str
) -> None:
    web()
    before = nsg(house)
    whole = f"{house.group}/providers/Microsoft.Network/{path}"
    body = None if method == "DELETE" else {"properties": {"access": "Allow"}}
    answer = house.call(method, whole, body, NETWORK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ReadOnlyView")
    assert "bascule" in answer.json()["error"]["message"]
    # The right to write is asked for first: a stranger learns of no view.
    verb = "delete" if method == "DELETE" else "write"
    nobody = somebody(house, house.group, f"{kind}/read")
    assert nobody.request(method, whole, json=body).status_code == 403
    able = somebody(house, house.group, f"{kind}/{verb}")
    assert able.request(method, whole, json=body).status_code == 409
    assert nsg(house) == before
