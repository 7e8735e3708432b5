"""The real azure-mgmt-network 33, -compute 39, -resource and -security against a running server.

Nothing is changed but endpoint, authority, scopes and the CA (CLIENTS 2). The agent is this
test: it enrols as agents do and reports what a firewall would hold; that a firewall really
does is shown in the lab (tests/e2e/test_lab_views.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.models import SecurityRule, SecurityRulePropertiesFormat
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from azure.mgmt.security import SecurityCenter
from azure.mgmt.security.models import (
    JitNetworkAccessPolicy,
    JitNetworkAccessPolicyInitiatePort,
    JitNetworkAccessPolicyInitiateRequest,
    JitNetworkAccessPolicyInitiateVirtualMachine,
    JitNetworkAccessPolicyVirtualMachine,
    JitNetworkAccessPortRule,
    Pricing,
)

from bascule.agent.enrolment import enrol, parse_token, trust_of
from bascule.agent.http_link import HttpLink
from bascule.clocks import SystemClock
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.protocol.report import Report
from tests.wire.running import Server, running

SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))
MORE = 105  # machines, more than a page of 100 holds
Reporter = Callable[..., None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(
        tmp_path_factory.mktemp("server"),
        "--nsg-allow-priority",
        "200",
        "--nsg-deny-priority",
        "2000",
    ) as made:
        yield made


def client_of(server: Server, kind: Callable[..., Any]) -> Any:
    return kind(server.credential(), server.admin["subscription_id"], **server.pointing())


@pytest.fixture(scope="module")
def web(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reporter]:
    """web-1 with port 22 in a policy; returns how its agent reports, with grants in force."""
    machine = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    extras = {"addresses": ["10.0.0.4", "8.8.8.8"]}
    server.call("PUT", machine, {"tags": {"env": "prod"}, "properties": {"bascule": extras}})
    made = server.call("POST", f"{machine}/providers/Bascule.Fleet/enrolments", {})
    state = tmp_path_factory.mktemp("agent")
    token = parse_token(made["properties"]["token"])
    identity = enrol(state, server.endpoint, token, SystemClock())
    link = HttpLink(identity, trust_of(state), SystemClock())
    rule = JitNetworkAccessPortRule(
        number=22,
        protocol="TCP",
        allowed_source_address_prefix="*",
        max_request_access_duration="PT3H",
    )
    named = JitNetworkAccessPolicyVirtualMachine(id=machine, ports=[rule])
    with client_of(server, SecurityCenter) as security:
        security.jit_network_access_policies.create_or_update(
            "default",
            "local",
            "default",
            JitNetworkAccessPolicy(kind="Basic", virtual_machines=[named]),
        )

    def report(*in_force: str) -> None:
        generation = link.fetch_state(lambda: None).generation
        link.send_report(Report(generation, frozenset(in_force), closed=frozenset({SSH})))

    report()
    yield report
    link.close()


def initiate(security: Any, machine: str) -> None:
    port = JitNetworkAccessPolicyInitiatePort(
        number=22,
        end_time_utc=datetime.now(UTC) + timedelta(minutes=30),  # noqa: TID251  # reason: the server's clock is real
        allowed_source_address_prefix="203.0.113.9",
    )
    named = JitNetworkAccessPolicyInitiateVirtualMachine(id=machine, ports=[port])
    security.jit_network_access_policies.initiate(
        "default",
        "local",
        "default",
        JitNetworkAccessPolicyInitiateRequest(virtual_machines=[named]),
    )


def test_from_machine_to_rules(server: Server, web: Reporter) -> None:
    """What ``az vm list -d`` and a JIT client walk: machine, interface, group, address."""
    with client_of(server, ComputeManagementClient) as compute:
        machine = compute.virtual_machines.get("default", "web-1", expand="instanceView")
        (listed,) = compute.virtual_machines.list("default")
        assert [each.id for each in compute.virtual_machines.list_all()] == [listed.id]
        seen = compute.virtual_machines.instance_view("default", "web-1")
    assert machine.id == listed.id
    codes = [status.code for status in machine.instance_view.statuses]
    assert "PowerState/running" in codes
    assert [status.code for status in seen.statuses] == codes
    (reference,) = machine.network_profile.network_interfaces
    with client_of(server, NetworkManagementClient) as network:
        nic = network.network_interfaces.get("default", reference.id.rpartition("/")[2])
        assert (nic.id, nic.virtual_machine.id) == (reference.id, machine.id)
        (configuration,) = nic.ip_configurations
        assert configuration.private_ip_address == "10.0.0.4"
        public = network.public_ip_addresses.get(
            "default", configuration.public_ip_address.id.rpartition("/")[2]
        )
        assert public.ip_address == "8.8.8.8"
        group = network.network_security_groups.get("default", "web-1-nsg")
        assert group.id == nic.network_security_group.id
        (deny,) = group.security_rules
        assert (deny.access, deny.priority, deny.direction) == ("Deny", 2000, "Inbound")
        assert deny.destination_address_prefixes == ["10.0.0.4", "8.8.8.8"]
        assert (deny.protocol, deny.destination_port_range) == ("Tcp", "22")
        assert len(group.default_security_rules) == 2
        for listing in (network.network_interfaces, network.network_security_groups):
            assert len(list(listing.list_all())) == len(list(listing.list("default"))) == 1
        assert [each.id for each in network.public_ip_addresses.list_all()] == [public.id]
        assert list(network.azure_firewalls.list_all()) == []
        assert list(network.azure_firewalls.list("default")) == []
        with pytest.raises(ResourceNotFoundError):
            network.network_interfaces.get("default", "web-2-nic")


def test_what_clients_take_for_granted_of_a_machine(server: Server, web: Reporter) -> None:
    """azcollection's azure_rm_virtualmachine_info reads these by key and fails without one;
    scripts with the SDK print ``hardware_profile.vm_size``. ``web`` has it be there.
    """
    with client_of(server, ComputeManagementClient) as compute:
        machine = compute.virtual_machines.get("default", "web-1", expand="instanceview")
        seen = compute.virtual_machines.instance_view("default", "web-1")
    assert machine.hardware_profile.vm_size == "Unknown"
    assert machine.storage_profile.data_disks == []
    assert machine.storage_profile.os_disk.os_type == "Linux"
    told = machine.as_dict()["properties"]
    assert told["hardwareProfile"]["vmSize"] == "Unknown"
    assert told["storageProfile"]["osDisk"]["caching"] == "None"
    assert told["storageProfile"]["osDisk"]["osType"] == "Linux"
    assert told["storageProfile"]["dataDisks"] == []
    assert told["networkProfile"]["networkInterfaces"][0]["id"].endswith("/web-1-nic")
    assert told["provisioningState"] == "Succeeded"
    power = [each for each in seen.statuses if each.code.startswith("PowerState/")]
    assert [each.display_status for each in power] == ["VM running"]


def test_a_rule_comes_with_its_opening_and_goes_with_it(server: Server, web: Reporter) -> None:
    machine = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    requests = f"{server.group.rpartition('/resourceGroups')[0]}/providers/Bascule.Access"
    with (
        client_of(server, SecurityCenter) as security,
        client_of(server, NetworkManagementClient) as network,
    ):
        initiate(security, machine)
        assert len(list(network.security_rules.list("default", "web-1-nsg"))) == 1
        (request,) = server.call("GET", f"{requests}/accessRequests")["value"]
        (port,) = request["properties"]["virtualMachines"][0]["ports"]
        web(port["bascule"]["grantId"])
        allow, deny = network.security_rules.list("default", "web-1-nsg")
        assert (allow.access, allow.priority) == ("Allow", 200)
        assert allow.source_address_prefix == "203.0.113.9"
        assert allow.name.startswith("BasculeJITRule-")
        assert deny.name.startswith("BasculeJITRule_")
        assert len(allow.description) <= 140
        one = network.security_rules.get("default", "web-1-nsg", allow.name)
        assert one.id == allow.id
        server.call("POST", f"{requests}/accessRequests/{request['name']}/revoke", {})
        web()
        assert [each.access for each in network.security_rules.list("default", "web-1-nsg")] == [
            "Deny"
        ]


def test_writes_are_the_sdks_conflicts(server: Server, web: Reporter) -> None:
    rule = SecurityRule(
        properties=SecurityRulePropertiesFormat(
            protocol="*",
            access="Allow",
            direction="Inbound",
            priority=110,
            source_address_prefix="*",
            destination_address_prefix="*",
            source_port_range="*",
            destination_port_range="22",
        )
    )
    with client_of(server, NetworkManagementClient) as network:
        writes: tuple[Callable[[], object], ...] = (
            lambda: network.security_rules.begin_create_or_update(
                "default", "web-1-nsg", "AllowAll", rule
            ),
            lambda: network.security_rules.begin_delete("default", "web-1-nsg", "AllowAll"),
            lambda: network.network_security_groups.begin_delete("default", "web-1-nsg"),
            lambda: network.network_interfaces.begin_delete("default", "web-1-nic"),
            lambda: network.public_ip_addresses.begin_delete("default", "web-1-pip"),
        )
        for write in writes:
            with pytest.raises(ResourceExistsError) as refused:  # the SDK's word for 409
                write()
            assert refused.value.error is not None
            assert refused.value.error.code == "ReadOnlyView"
            assert "bascule" in str(refused.value.error.message)


def test_pricings(server: Server, web: Reporter) -> None:
    subscription = f"subscriptions/{server.admin['subscription_id']}"
    machine = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    with client_of(server, SecurityCenter) as security:
        found = security.pricings.get(subscription, "VirtualMachines")
        assert (found.pricing_tier, found.sub_plan, found.enforce) == ("Standard", "P2", "False")
        tiers = {
            each.name: each.pricing_tier for each in security.pricings.list(subscription).value
        }
        assert tiers["VirtualMachines"] == "Standard"
        assert tiers["StorageAccounts"] == "Free"
        off = security.pricings.update(
            subscription, "VirtualMachines", Pricing(pricing_tier="Free")
        )
        assert off.pricing_tier == "Free"
        with pytest.raises(HttpResponseError) as refused:
            initiate(security, machine)
        assert refused.value.status_code == 403
        assert "JIT VM Access requires a standard tier subscription." in str(refused.value)
        group = server.group.lstrip("/")
        security.pricings.update(
            group, "VirtualMachines", Pricing(pricing_tier="Standard", sub_plan="P2")
        )
        initiate(security, machine)
        assert security.pricings.get(group, "VirtualMachines").inherited == "False"
        security.pricings.delete(group, "VirtualMachines")
        inherited = security.pricings.get(group, "VirtualMachines")
        assert (inherited.inherited, inherited.pricing_tier) == ("True", "Free")
        on = security.pricings.update(
            subscription, "VirtualMachines", Pricing(pricing_tier="Standard")
        )
        assert on.enablement_time is not None
        assert list(security.locations.list())


def test_subscriptions_groups_and_resources(server: Server, web: Reporter) -> None:
    with SubscriptionClient(server.credential(), **server.pointing()) as subscriptions:
        (subscription,) = subscriptions.subscriptions.list()
        assert subscription.subscription_id == server.admin["subscription_id"]
        assert list(subscriptions.tenants.list())
        places = subscriptions.subscriptions.list_locations(server.admin["subscription_id"])
        assert [each.name for each in places] == ["local"]
    with client_of(server, ResourceManagementClient) as resources:
        assert [each.name for each in resources.resource_groups.list()] == ["default"]
        kind = "resourceType eq 'Microsoft.Compute/virtualMachines'"
        assert [each.name for each in resources.resources.list(filter=kind)] == ["web-1"]
        here, elsewhere = "resourceGroup eq 'DEFAULT'", "resourceGroup eq 'nowhere'"
        both = ["web-1", "default"]  # the machine and its policy: what az resource list -g asks
        assert [each.name for each in resources.resources.list(filter=here)] == both
        assert list(resources.resources.list(filter=elsewhere)) == []
        assert [each.name for each in resources.resources.list(filter=f"{here} and {kind}")] == [
            "web-1"
        ]
        named = "name eq 'WEB-1'"
        assert [each.name for each in resources.resources.list(filter=named)] == ["web-1"]
        of_group = resources.resources.list_by_resource_group
        assert [each.name for each in of_group("default")] == both
        assert [each.name for each in of_group("default", filter=kind)] == ["web-1"]
        network = resources.providers.get("Microsoft.Network")
        assert "networkSecurityGroups" in {each.resource_type for each in network.resource_types}


def test_pages_are_followed(server: Server, web: Reporter) -> None:
    """Last: it leaves many machines."""
    for number in range(MORE):
        path = f"{server.group}/providers/Microsoft.Compute/virtualMachines/m{number:03}"
        server.call("PUT", path, {"properties": {"bascule": {"addresses": ["9.9.9.9"]}}})
    names = [*(f"m{number:03}" for number in range(MORE)), "web-1"]
    with client_of(server, NetworkManagementClient) as network:
        for listing, suffix in (
            (network.network_interfaces, "nic"),
            (network.network_security_groups, "nsg"),
            (network.public_ip_addresses, "pip"),
        ):
            assert [each.name for each in listing.list_all()] == [f"{n}-{suffix}" for n in names]
    with client_of(server, ComputeManagementClient) as compute:
        assert [each.name for each in compute.virtual_machines.list_all()] == names
        found = compute.virtual_machines.list_all(filter="state eq 'unsupported'")
        assert [each.name for each in found] == names[:-1]
