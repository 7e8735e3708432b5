"""The real azure-mgmt-security 7, azure-mgmt-monitor and azure-identity against a running server.

Nothing is changed but endpoint, authority, scopes, ``disable_instance_discovery`` and the
CA (CLIENTS 2). No agent is there, so nothing opens: that a port really does is shown in
the lab (tests/e2e).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.security import SecurityCenter
from azure.mgmt.security.models import (
    JitNetworkAccessPolicy,
    JitNetworkAccessPolicyInitiatePort,
    JitNetworkAccessPolicyInitiateRequest,
    JitNetworkAccessPolicyInitiateVirtualMachine,
    JitNetworkAccessPolicyVirtualMachine,
    JitNetworkAccessPortRule,
)

from tests.wire.running import Server, running


def security_of(server: Server, secret: str | None = None) -> SecurityCenter:
    return SecurityCenter(
        server.credential(secret), server.admin["subscription_id"], **server.pointing()
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def machine(server: Server) -> str:
    """A machine in the inventory; returns its id."""
    identity = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    server.call("PUT", identity, {})
    return identity


def policy_of(machine: str) -> JitNetworkAccessPolicy:
    rule = JitNetworkAccessPortRule(
        number=22,
        protocol="TCP",
        allowed_source_address_prefix="*",
        max_request_access_duration="PT3H",
    )
    named = JitNetworkAccessPolicyVirtualMachine(id=machine, ports=[rule])
    return JitNetworkAccessPolicy(kind="Basic", virtual_machines=[named])


def request_for(machine: str, **more: Any) -> JitNetworkAccessPolicyInitiateRequest:
    port = JitNetworkAccessPolicyInitiatePort(
        number=more.pop("number", 22),
        end_time_utc=datetime.now(UTC) + timedelta(minutes=5),  # noqa: TID251  # reason: the server's clock is real
        allowed_source_address_prefix="203.0.113.9",
    )
    named = JitNetworkAccessPolicyInitiateVirtualMachine(id=machine, ports=[port])
    return JitNetworkAccessPolicyInitiateRequest(virtual_machines=[named], **more)


def test_a_policy_lives_its_whole_life(server: Server, machine: str) -> None:
    with security_of(server) as client:
        policies = client.jit_network_access_policies
        made = policies.create_or_update("default", "local", "default", policy_of(machine))
        assert made.name == "default"
        assert made.type == "Microsoft.Security/locations/jitNetworkAccessPolicies"
        assert made.virtual_machines[0].ports[0].max_request_access_duration == "PT3H"
        assert made.provisioning_state == "Succeeded"

        request = policies.initiate(
            "default", "local", "default", request_for(machine, justification="to mend a fan")
        )
        port = request.virtual_machines[0].ports[0]
        assert (port.status, port.status_reason) == ("Initiating", "UserRequested")
        assert port.allowed_source_address_prefix == "203.0.113.9"
        assert request.requestor == "administrator"

        got = policies.get("default", "local", "default")
        assert got.requests is not None
        assert got.requests[0].justification == "to mend a fan"
        for listed in (
            policies.list(),
            policies.list_by_region("local"),
            policies.list_by_resource_group("default"),
            policies.list_by_resource_group_and_region("default", "local"),
        ):
            assert [each.name for each in listed] == ["default"]

        policies.create_or_update("default", "local", "default", got)  # read and written back
        policies.delete("default", "local", "default")
        policies.delete("default", "local", "default")
        assert list(policies.list()) == []


def test_pages_are_followed(server: Server, machine: str) -> None:
    with security_of(server) as client:
        policies = client.jit_network_access_policies
        names = [f"p{number:03}" for number in range(105)]  # a page holds 100
        for name in names:
            policies.create_or_update("default", "local", name, policy_of(machine))
        assert [each.name for each in policies.list()] == names
        for name in names:
            policies.delete("default", "local", name)


def test_errors_are_the_sdks_own(server: Server, machine: str) -> None:
    with security_of(server) as client:
        policies = client.jit_network_access_policies
        with pytest.raises(ResourceNotFoundError) as missing:
            policies.get("default", "local", "nothing")
        assert missing.value.error is not None
        assert missing.value.error.code == "ResourceNotFound"
        policies.create_or_update("default", "local", "default", policy_of(machine))
        with pytest.raises(HttpResponseError) as denied:
            policies.initiate("default", "local", "default", request_for(machine, number=99))
        assert denied.value.status_code == 400
        assert denied.value.error is not None
        assert denied.value.error.code == "PortNotInPolicy"


def test_a_wrong_secret_is_the_sdks_authentication_error(server: Server) -> None:
    with (
        security_of(server, "wrong") as client,
        pytest.raises(ClientAuthenticationError) as refused,
    ):
        list(client.jit_network_access_policies.list())
    assert "AADSTS7000215" in str(refused.value)


def test_the_activity_log_of_azure_mgmt_monitor(server: Server, machine: str) -> None:
    """The filter as its users write it; every page; the fields that auditors look at."""
    with security_of(server) as client:
        policies = client.jit_network_access_policies
        policies.create_or_update("default", "local", "logged", policy_of(machine))
        policies.initiate("default", "local", "logged", request_for(machine))
        logged = policies.get("default", "local", "logged").id
    now = datetime.now(UTC)  # noqa: TID251  # reason: the server's clock is real
    span = (
        f"eventTimestamp ge '{(now - timedelta(hours=1)).isoformat()[:19]}Z' "
        f"and eventTimestamp le '{(now + timedelta(hours=1)).isoformat()[:19]}Z'"
    )
    monitor = MonitorManagementClient(
        server.credential(), server.admin["subscription_id"], **server.pointing()
    )
    with monitor:
        found: list[Any] = list(monitor.activity_logs.list(f"{span} and resourceUri eq '{logged}'"))
        initiated = [
            each
            for each in found
            if each.operation_name.localized_value == "Initiate JIT Network Access Policy"
        ]
        assert [each.status.value for each in initiated] == ["Accepted", "Started"]
        for each in initiated:
            assert each.resource_id == logged
            assert each.caller == server.admin["client_id"]
            assert each.http_request.client_ip_address == "127.0.0.1"
            assert each.correlation_id == initiated[0].correlation_id
            assert abs(each.event_timestamp - now) < timedelta(minutes=1)
            assert each.level == "Informational"
        chosen = monitor.activity_logs.list(
            f"{span} and resourceProvider eq 'Microsoft.Security'",
            select="eventTimestamp,operationName",
        )
        assert {each.caller for each in chosen} == {None}
        whole = list(monitor.activity_logs.list(span))
        assert len({each.event_data_id for each in whole}) == len(whole) > len(found)
        with pytest.raises(HttpResponseError) as refused:
            list(monitor.activity_logs.list("caller eq 'x'"))
        assert refused.value.status_code == 400
