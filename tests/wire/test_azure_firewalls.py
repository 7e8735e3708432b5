"""A gateway as azure-mgmt-network reads it, and as ``az rest`` does, against a running server.

The gateway's agent is this test: it enrols as agents do and reports what a firewall would hold.
``az network firewall`` is an extension of the Azure CLI, and was not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.models import AzureFirewall
from azure.mgmt.security import SecurityCenter

from bascule.agent.enrolment import enrol, parse_token, trust_of
from bascule.agent.http_link import HttpLink
from bascule.clocks import SystemClock
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.net import AddressPrefix
from bascule.protocol.report import Report
from tests.wire.running import Server, running
from tests.wire.test_azure_cli import JIT, needs_az, registered, sign_in
from tests.wire.test_azure_neighbours import SSH, client_of, initiate

PUBLIC = ip_address("198.51.100.80")
GUARD = Guard(forwarding=Forwarding((AddressPrefix.parse("10.1.0.0/16"),), (PUBLIC,), 2000, 2009))
FIREWALLS = "/providers/Microsoft.Network/azureFirewalls/gw"
MACHINE = "/providers/Microsoft.Compute/virtualMachines/app-1"


@dataclass
class Gateway:
    """gw, with app-1 behind it, whose port 22 is in a policy."""

    server: Server
    link: HttpLink
    behind: str  # uid of app-1

    def report(self, *in_force: str) -> None:
        generation = self.link.fetch_behind(self.behind).generation
        told = Report(generation, frozenset(in_force), closed=frozenset({SSH}))
        self.link.report_behind(self.behind, told)
        own = self.link.fetch_state(lambda: None).generation
        self.link.send_report(Report(own, frozenset(), guard=GUARD))

    def grants(self) -> list[str]:
        subscription = self.server.group.rpartition("/resourceGroups")[0]
        path = f"{subscription}/providers/Bascule.Access/accessRequests"
        return [
            port["bascule"]["grantId"]
            for each in self.server.call("GET", path)["value"]
            for machine in each["properties"]["virtualMachines"]
            for port in machine["ports"]
        ]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("server")) as server:
        machines = f"{server.group}/providers/Microsoft.Compute/virtualMachines"
        uids = {
            name: server.call("PUT", f"{machines}/{name}", {})["properties"]["vmId"]
            for name in ("gw", "app-1")
        }
        made = server.call("POST", f"{machines}/gw/providers/Bascule.Fleet/enrolments", {})
        state = tmp_path_factory.mktemp("agent")
        token = parse_token(made["properties"]["token"])
        identity = enrol(state, server.endpoint, token, SystemClock())
        link = HttpLink(identity, trust_of(state), SystemClock())
        fleet = f"{machines}/app-1/providers/Bascule.Fleet/enforcementPoints/{uids['gw']}"
        server.call("PUT", fleet, {"addresses": ["10.1.0.10"]})
        rule = {
            "number": 22,
            "protocol": "TCP",
            "allowedSourceAddressPrefix": "*",
            "maxRequestAccessDuration": "PT3H",
        }
        rules = f"{machines}/app-1/providers/Bascule.Access/machineRules/default"
        server.call("PUT", rules, {"properties": {"ports": [rule]}})
        found = Gateway(server, link, uids["app-1"])
        found.report()
        yield found
        link.close()


def test_the_sdk_reads_what_the_gateway_leads_on(gateway: Gateway) -> None:
    server = gateway.server
    machine = f"{server.group}/providers/Microsoft.Compute/virtualMachines/app-1"
    with client_of(server, NetworkManagementClient) as network:
        (listed,) = network.azure_firewalls.list_all()
        assert [each.id for each in network.azure_firewalls.list("default")] == [listed.id]
        assert listed.nat_rule_collections == []
        assert listed.firewall_policy is None
        (front,) = listed.ip_configurations
        name = front.public_ip_address.id.rpartition("/")[2]
        assert network.public_ip_addresses.get("default", name).ip_address == str(PUBLIC)
        with client_of(server, SecurityCenter) as security:
            initiate(security, machine)
        gateway.report(*gateway.grants())
        (collection,) = network.azure_firewalls.get("default", "gw").nat_rule_collections
        assert (collection.action.type, collection.priority) == ("Dnat", 100)
        (rule,) = collection.rules
        assert rule.source_addresses == ["203.0.113.9"]
        assert rule.destination_addresses == [str(PUBLIC)]
        assert (rule.destination_ports, rule.protocols) == (["2000"], ["TCP"])
        assert (rule.translated_address, rule.translated_port) == ("10.1.0.10", "22")
        gateway.report()
        assert network.azure_firewalls.get("default", "gw").nat_rule_collections == []
        with pytest.raises(ResourceNotFoundError):
            network.azure_firewalls.get("default", "app-1")
        writes: tuple[Callable[[], object], ...] = (
            lambda: network.azure_firewalls.begin_delete("default", "gw"),
            lambda: network.azure_firewalls.begin_create_or_update(
                "default", "gw", AzureFirewall(location="local")
            ),
        )
        for write in writes:
            with pytest.raises(ResourceExistsError) as refused:  # the SDK's word for 409
                write()
            assert refused.value.error is not None
            assert refused.value.error.code == "ReadOnlyView"


@needs_az
@pytest.mark.slow
def test_az_rest_reads_it(gateway: Gateway, tmp_path: Path) -> None:
    """The rule of the DNAT table is there while the gateway leads by it, and cannot be written."""
    server = gateway.server
    firewall, machine = f"{server.group}{FIREWALLS}", f"{server.group}{MACHINE}"
    az = registered(server, tmp_path)
    az(*sign_in(server, server.admin["client_secret"]))
    found = az(*az.rest("get", firewall))
    assert (found["name"], found["type"]) == ("gw", "Microsoft.Network/azureFirewalls")
    assert found["properties"]["natRuleCollections"] == []
    port = {"number": 22, "duration": "PT5M", "allowedSourceAddressPrefix": "203.0.113.10"}
    asked = {"virtualMachines": [{"id": machine, "ports": [port]}]}
    policy = f"{server.group}/providers/{JIT}/default"
    (told,) = az(*az.rest("post", f"{policy}/initiate", asked))["virtualMachines"]
    (led,) = told["ports"]
    gateway.report(*gateway.grants())
    (rule,) = (
        rule
        for each in az(*az.rest("get", firewall))["properties"]["natRuleCollections"]
        for rule in each["properties"]["rules"]
        if rule["sourceAddresses"] == ["203.0.113.10"]
    )
    assert rule["destinationAddresses"] == [told["publicIpAddress"]] == [str(PUBLIC)]
    assert rule["destinationPorts"] == [str(led["mappedPort"])]
    assert (rule["translatedAddress"], rule["translatedPort"]) == ("10.1.0.10", "22")
    gateway.report()
    assert az(*az.rest("get", firewall))["properties"]["natRuleCollections"] == []
    assert "ReadOnlyView" in az.refused(*az.rest("put", firewall, {}))
