"""Gateways as azureFirewalls: a rule is there while the gateway leads somebody by it, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.actions import FIREWALL_READ
from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.somebody import somebody
from tests.wire.test_gateway_faces import CLOSED, tell, uid_of
from tests.wire.test_network import NETWORK, get, view

FIRST, LAST = "198.51.100.80", "2001:db8::80"
SOURCE = "203.0.113.9"
GUARD: dict[str, Any] = {
    "forwarding": {
        "networks": ["10.1.0.0/16", "fd01::/16"],
        "addresses": [FIRST, LAST],
        "first": 2000,
        "last": 2009,
    }
}


class Gateway:
    """gw-1 with app-1 and sql-1 behind it; port 22 of both is in a policy and closed."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.add_machine("gw-1", properties={"bascule": {"addresses": ["10.9.0.1"]}})
        self.agent = house.enrol("gw-1")
        self.place("app-1", "10.1.0.10", "fd01::10")
        self.place("sql-1", "10.1.0.11")
        for name in ("gw-1", "app-1", "sql-1"):
            self.tell(name)

    def place(self, name: str, *addresses: str) -> None:
        house = self.house
        house.add_machine(name)
        rules = f"{house.machine(name)}/providers/Bascule.Access/machineRules/default"
        house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}}, BASCULE)
        point = uid_of(house, "gw-1")
        path = f"{house.machine(name)}/providers/Bascule.Fleet/enforcementPoints/{point}"
        assert house.call("PUT", path, {"addresses": [*addresses]}).status_code == 201

    def tell(self, name: str, *in_force: str, **more: Any) -> None:
        usual: dict[str, Any] = {"guard": GUARD} if name == "gw-1" else CLOSED
        tell(self.house, self.agent, "gw-1", name, *in_force, **{**usual, **more})

    @property
    def shown(self) -> Any:
        return get(self.house, view(self.house, "azureFirewalls", "gw-1"))

    @property
    def rules(self) -> list[Any]:
        """Of its only collection; none where there is no collection."""
        found = self.shown["properties"]["natRuleCollections"]
        return [rule for each in found for rule in each["properties"]["rules"]]

    def ask(self, name: str, source: str = SOURCE, **more: Any) -> tuple[str, str]:
        """Ask for port 22; returns the request's and the grant's id."""
        port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": source, **more}
        body = {"virtualMachines": [{"id": self.house.machine(name), "ports": [port]}]}
        answer = self.house.call("POST", f"{self.house.policy()}/initiate", body, JIT)
        assert answer.status_code == 202, answer.text
        request = answer.json()["bascule"]["requestId"]
        (grant,) = self.house.see(lambda reader: reader.grants_of([request]))
        return request, grant.id

    def revoke(self, request: str) -> None:
        path = f"/providers/Bascule.Access/accessRequests/{request}/revoke"
        assert self.house.call("POST", path, {}).status_code == 200


@pytest.fixture
def gateway(house: House) -> Gateway:
    return Gateway(house)


def test_a_gateway_with_public_addresses_is_one(house: House, gateway: Gateway) -> None:
    found = gateway.shown
    assert found["id"] == view(house, "azureFirewalls", "gw-1")
    assert (found["name"], found["type"]) == ("gw-1", "Microsoft.Network/azureFirewalls")
    properties = found["properties"]
    assert properties["natRuleCollections"] == []
    assert properties["bascule"]["machinesBehind"] == 2
    assert "firewallPolicy" not in properties, "its rules are classic ones"
    fronts = [each["properties"] for each in properties["ipConfigurations"]]
    assert [each.get("privateIPAddress") for each in fronts] == ["10.9.0.1", None]
    public = [get(house, each["publicIPAddress"]["id"]) for each in fronts]
    assert [each["properties"]["ipAddress"] for each in public] == [FIRST, LAST]
    listed = get(house, view(house, "publicIPAddresses", ""))["value"]
    assert [each["name"] for each in listed] == ["gw-1-pip", "gw-1-pip-2"], "nobody else's"


def test_a_rule_is_there_while_the_gateway_leads_by_it(house: House, gateway: Gateway) -> None:
    request, grant = gateway.ask("app-1")
    assert gateway.rules == [], "decided, not in force"
    gateway.tell("app-1", grant)
    (collection,) = gateway.shown["properties"]["natRuleCollections"]
    assert collection["name"].startswith("BasculeJITRule")
    assert collection["properties"]["action"] == {"type": "Dnat"}
    (rule,) = gateway.rules
    assert rule["name"].startswith("BasculeJITRule-")
    assert rule["sourceAddresses"] == [SOURCE]
    assert (rule["destinationAddresses"], rule["destinationPorts"]) == ([FIRST], ["2000"])
    assert (rule["translatedAddress"], rule["translatedPort"]) == ("10.1.0.10", "22")
    assert rule["protocols"] == ["TCP"]
    told = rule["bascule"]
    assert (told["machineId"], told["grantId"]) == (house.machine("app-1"), grant)
    gateway.revoke(request)
    assert gateway.rules == [rule], "it may lead on until the gateway has said otherwise"
    gateway.tell("app-1")
    assert gateway.shown["properties"]["natRuleCollections"] == []


def test_a_rule_ends_on_time_whoever_is_silent(house: House, gateway: Gateway) -> None:
    _, grant = gateway.ask("app-1", duration="PT5M")
    gateway.tell("app-1", grant)
    house.clock.pass_time(5 * 60 - 1)
    assert len(gateway.rules) == 1
    house.clock.pass_time(1)
    assert gateway.rules == []


def test_no_rule_leads_to_another_machine_or_from_another_source(
    house: House, gateway: Gateway
) -> None:
    grants = {name: gateway.ask(name)[1] for name in ("app-1", "sql-1")}
    gateway.tell("app-1", grants["app-1"], grants["sql-1"])
    (rule,) = gateway.rules
    assert rule["translatedAddress"] == "10.1.0.10", "what is said of sql-1 by app-1 leads nobody"
    gateway.tell("sql-1", grants["sql-1"])
    first, second = gateway.rules
    assert first == rule, "neither its name nor its place has changed"
    assert (second["destinationPorts"], second["translatedAddress"]) == (["2001"], "10.1.0.11")
    six = gateway.ask("app-1", "2001:db8:1::9")[1]
    gateway.tell("app-1", grants["app-1"], six)
    by_source = {tuple(each["sourceAddresses"]): each for each in gateway.rules}
    assert by_source["2001:db8:1::9",]["destinationAddresses"] == [LAST]
    assert by_source["2001:db8:1::9",]["translatedAddress"] == "fd01::10"
    assert len(gateway.rules) == 3


def test_what_cannot_be_enforced_leads_nobody(house: House, gateway: Gateway) -> None:
    _, grant = gateway.ask("app-1")
    gateway.tell("app-1", grant)
    gateway.tell("app-1", generation=0)
    assert gateway.rules == []


def test_what_was_opened_before_there_was_a_public_port_is_no_rule(
    house: House, gateway: Gateway
) -> None:
    bare = {"forwarding": {**GUARD["forwarding"], "addresses": [LAST]}}
    gateway.tell("gw-1", guard=bare)
    _, grant = gateway.ask("app-1")
    gateway.tell("app-1", grant)
    gateway.tell("gw-1")
    assert gateway.rules == [], "it is routed"


def test_no_other_machine_is_one(house: House, gateway: Gateway) -> None:
    """Neither what is behind one, nor a host that guards itself, nor a gateway that is routed only."""
    house.add_machine("web-1")
    web = house.enrol("web-1")
    house.report(web, uid_of(house, "web-1"), guard=GUARD)
    for group in (True, False):
        found = get(house, view(house, "azureFirewalls", "", group=group))["value"]
        assert found == [gateway.shown]
    for name in ("app-1", "web-1", "gw-2", "gw-1-nic", "-", "a%2Fb"):
        answer = house.call("GET", view(house, "azureFirewalls", name), version=NETWORK)
        assert answer.status_code == 404, name
    gateway.tell("gw-1", guard={"forwarding": {**GUARD["forwarding"], "addresses": []}})
    assert get(house, view(house, "azureFirewalls", "")) == {"value": []}


def test_how_fresh_it_is_is_said(house: House, gateway: Gateway) -> None:
    def said() -> tuple[str, bool, str]:
        told = gateway.shown["properties"]
        return told["provisioningState"], told["bascule"]["isCurrent"], told["bascule"]["message"]

    assert said() == ("Succeeded", True, "As it was read back from the firewall.")
    gateway.place("more-1", "10.1.0.12")
    gateway.tell("gw-1")
    state, is_current, message = said()
    assert (state, is_current) == ("Updating", False)
    assert "each machine behind it" in message
    gateway.tell("more-1", generation=0)
    assert said()[:2] == ("Updating", False), "it can enforce nothing there"
    gateway.tell("more-1")
    assert said()[:2] == ("Succeeded", True)
    house.clock.pass_time(31)
    assert said()[:2] == ("Updating", False)
    assert said()[2].startswith("Last known state")


def test_lists_are_paged_by_machine(house: House, gateway: Gateway) -> None:
    first = get(house, view(house, "azureFirewalls", ""), params={"$top": 1})
    assert [each["name"] for each in first["value"]] == ["gw-1"]
    assert "nextLink" not in first
    for number in (2, 3):
        name = f"gw-{number}"
        house.add_machine(name)
        agent = house.enrol(name)
        path = f"{house.machine('sql-1')}/providers/Bascule.Fleet/enforcementPoints/"
        house.call("PUT", path + uid_of(house, name), {"addresses": ["10.1.0.11"]})
        tell(house, agent, name, name, guard=GUARD)
    page = get(house, view(house, "azureFirewalls", "", group=False), params={"$top": 2})
    rest = house.client.get(page["nextLink"]).json()
    names = [each["name"] for each in (*page["value"], *rest["value"])]
    assert names == ["gw-1", "gw-2", "gw-3"]
    assert "nextLink" not in rest


def test_it_is_read_by_a_right_at_it_or_at_its_machine(house: House, gateway: Gateway) -> None:
    """A right at a machine behind it shows nothing: others' sources are in it."""
    path = view(house, "azureFirewalls", "gw-1")
    for scope in (house.machine("gw-1"), path):
        caller = somebody(house, scope, FIREWALL_READ)
        assert caller.get(path).status_code == 200
        for listed in (view(house, "azureFirewalls", ""), view(house, "azureFirewalls", "", False)):
            assert [each["name"] for each in caller.get(listed).json()["value"]] == ["gw-1"]
        other = caller.get(view(house, "azureFirewalls", "gw-2"))
        assert (other.status_code, other.json()["error"]["code"]) == (403, "AuthorizationFailed")
    stranger = somebody(house, house.machine("app-1"), FIREWALL_READ)
    assert stranger.get(path).status_code == 403
    assert stranger.get(view(house, "azureFirewalls", "")).json() == {"value": []}
    assert somebody(house, house.group, "*/read").get(path).status_code == 200, "as Reader has it"
