"""One policy that every client writes in turn: none loses what another wrote (EDGES J2, A15).

The command line, the Azure CLI, azure-mgmt-security, PowerShell and a browser's form are real and
unmodified; of Ansible it is the PUT that ``azure_rm_resource`` sends. Only the first and the last know of
rules, approvals and tickets.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from tests.powershell.test_pester import PWSH, ROOT
from tests.wire.browsing import forms
from tests.wire.running import Server, running
from tests.wire.test_azure_cli import Cli, needs_az, registered, sign_in
from tests.wire.test_azure_sdk import security_of

pytestmark = [
    needs_az,
    pytest.mark.skipif(not PWSH, reason="pwsh, PowerShell 7, is not installed"),
    pytest.mark.slow,
    pytest.mark.timeout(540),
]

OLGA, PASSWORD = "olga@example.com", "drawbridge over the Seine 42"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"  # of Azure's built-in roles
URL = "https://tickets.example/check"


@dataclass
class Office:
    server: Server
    folder: Path
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        return f"{self.server.group}/providers/Microsoft.Compute/virtualMachines/web-1"

    @property
    def policy(self) -> str:
        jit = "Microsoft.Security/locations/local/jitNetworkAccessPolicies"
        return f"{self.server.group}/providers/{jit}/default"

    def body(self, longest: str, *numbers: int) -> dict[str, Any]:
        """As Azure's clients write one."""
        rule = {"protocol": "TCP", "allowedSourceAddressPrefix": "*"}
        ports = [{"number": n, **rule, "maxRequestAccessDuration": longest} for n in numbers]
        machines = [{"id": self.machine, "ports": ports}]
        return {"kind": "Basic", "properties": {"virtualMachines": machines}}

    def bascule(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bascule.bootstrap", *words],
            env={**os.environ, "BASCULE_CONFIG": str(self.folder / "config.json")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self, by: str, longest: str, *numbers: int) -> None:
        """What this client wrote is there, and so is all that others wrote beside it."""
        properties = self.server.call("GET", self.policy)["properties"]
        (machine,) = properties["virtualMachines"]
        found = {each["number"]: each for each in machine["ports"]}
        assert sorted(found) == sorted(numbers), by
        assert {each["maxRequestAccessDuration"] for each in found.values()} == {longest}, by
        bascule = properties["bascule"]
        now = {name: bascule[name] for name in ("rules", "tickets", "selfApproval", "pendingFor")}
        now["approval"] = found[22]["bascule"]["approval"]
        now["onExpiry"] = found[22]["bascule"]["onExpiry"]
        self.kept = self.kept or now
        assert now == self.kept, by


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with running(tmp_path) as server:
        made = Office(server, tmp_path)
        server.call("PUT", made.machine, {"properties": {"bascule": {"addresses": ["10.0.0.9"]}}})
        subscription = f"/subscriptions/{server.admin['subscription_id']}"
        identity = f"{subscription}/providers/Bascule.Identity"
        user = {"properties": {"userPrincipalName": OLGA, "displayName": "Olga"}}
        olga = server.call("POST", f"{identity}/users", user)["name"]
        server.call("PUT", f"{identity}/users/{olga}/password", {"password": PASSWORD})
        authorization = f"{subscription}/providers/Microsoft.Authorization"
        role = f"{authorization}/roleDefinitions/{OWNER}"
        body = {"properties": {"roleDefinitionId": role, "principalId": olga}}
        server.call("PUT", f"{authorization}/roleAssignments/{olga}", body)
        yield made


def test_none_loses_what_another_wrote(office: Office) -> None:
    by_the_command_line(office)
    office.check("bascule", "PT3H", 22)
    by_the_azure_cli(office, office.folder / "az")
    office.check("az rest", "PT2H", 22)
    by_the_sdk(office)
    office.check("azure-mgmt-security", "PT2H", 22, 443)
    by_powershell(office)
    office.check("PowerShell", "PT1H", 22, 443)
    by_ansible(office)
    office.check("Ansible", "PT4H", 22, 443)
    by_the_portal(office)
    rules = office.kept["rules"]
    office.kept = {}
    office.check("portal", "PT4H", 22, 443)
    assert [each for each in office.kept["rules"] if each["name"] != "portal"] == rules
    assert office.kept["pendingFor"] == "PT8H"
    by_a_round_trip(office)
    office.check("az rest, of what was read", "PT4H", 22, 443)
    told = json.loads(office.bascule("policy", "rule", "list", "-o", "json"))
    assert [each["name"] for each in told] == ["never", "changes", "portal"]
    assert URL in office.bascule("policy", "ticket", "show")
    test = ("policy", "test", "web-1", "-p", "22", "--as", OLGA, "--from", "203.0.113.9")
    said = subprocess.run(
        [sys.executable, "-m", "bascule.bootstrap", *test, "--why", "CHG1", "--ticket", "no"],
        env={**os.environ, "BASCULE_CONFIG": str(office.folder / "config.json")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 4, said.stderr
    assert "did not confirm CHG1" in said.stdout


def by_the_command_line(office: Office) -> None:
    office.bascule("login", "--admin-file", str(office.folder / "data" / "admin.json"))
    approver = f"user:{OLGA}"
    end = ("--on-expiry", "kill")
    office.bascule(
        "policy", "set", "web-1", "-p", "22", "--max", "3h", "--approver", approver, *end
    )
    office.bascule(
        *("policy", "rule", "set", "never", "--effect", "deny", "--tag", "env=closed"),
        *("--days", "sat,sun", "--time-zone", "Europe/Paris"),
    )
    ticket = ("policy", "ticket", "set", "--url", URL, "--pattern", "CHG[0-9]+")
    assert "whsec_" in office.bascule(*ticket, "--approver", approver)
    office.bascule(
        "policy", "rule", "set", "changes", "--effect", "deny", "--ticket", "unconfirmed"
    )


def by_the_azure_cli(office: Office, folder: Path) -> None:
    az = registered(office.server, folder)
    az(*sign_in(office.server, office.server.admin["client_secret"]))
    az(*az.rest("put", office.policy, office.body("PT2H", 22)))


def by_the_sdk(office: Office) -> None:
    """It reads the policy, adds a port and writes it back; of what it does not know it sends nothing."""
    with security_of(office.server) as client:
        policies = client.jit_network_access_policies
        found = policies.get("default", "local", "default")
        (machine,) = found.virtual_machines
        other = type(machine.ports[0])(
            number=443,
            protocol="TCP",
            allowed_source_address_prefix="*",
            max_request_access_duration="PT2H",
        )
        machine.ports = [*machine.ports, other]
        policies.create_or_update("default", "local", "default", found)


def by_powershell(office: Office) -> None:
    """The four cmdlets of Az.Security, as docs have them piped."""
    admin = office.server.admin
    script = f"""
        $ErrorActionPreference = 'Stop'
        Import-Module '{ROOT}/powershell/Bascule/Bascule.psd1' -Force
        $secret = ConvertTo-SecureString -String $env:TEST_SECRET -AsPlainText -Force
        $null = Connect-Bascule -Endpoint '{admin["endpoint"]}' -CaFile '{admin["ca_file"]}' `
            -ApplicationId '{admin["client_id"]}' -ClientSecret $secret
        $policy = Get-AzJitNetworkAccessPolicy -ResourceGroupName default -Location local -Name default
        $ports = @($policy.VirtualMachines[0].Ports | ForEach-Object {{ @{{
            number = $_.Number; protocol = $_.Protocol; allowedSourceAddressPrefix = '*'
            maxRequestAccessDuration = 'PT1H' }} }})
        $null = Set-AzJitNetworkAccessPolicy -Kind Basic -Location local -Name default `
            -ResourceGroupName default -VirtualMachine @{{ id = $policy.VirtualMachines[0].Id; ports = $ports }}
        Disconnect-Bascule
    """
    done = subprocess.run(
        [PWSH, "-NoProfile", "-NonInteractive", "-Command", script],
        env={**os.environ, "TEST_SECRET": admin["client_secret"], "HOME": str(office.folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def by_ansible(office: Office) -> None:
    """What ``azure_rm_resource`` sends: the body of the play, by PUT, without If-Match."""
    token = office.server.credential().get_token(f"{office.server.endpoint}/.default").token
    answer = httpx2.put(
        f"{office.server.endpoint}{office.policy}",
        params={"api-version": "2020-01-01"},
        json={**office.body("PT4H", 22, 443), "location": "local"},
        headers={"Authorization": f"Bearer {token}", "User-Agent": "Ansible/2.16"},
        verify=ssl.create_default_context(cafile=office.server.admin["ca_file"]),
    )
    assert answer.status_code == 200, answer.text


def by_the_portal(office: Office) -> None:
    """A person adds a rule and changes how long requests wait, by the forms of the pages."""
    trust = ssl.create_default_context(cafile=office.server.admin["ca_file"])
    rules = "/portal/jit/rules"
    with httpx2.Client(verify=trust, base_url=office.server.endpoint, timeout=60) as client:
        signing = client.get("/signin?next=/portal", follow_redirects=True)
        (form, *_) = forms(signing)
        given = {**form.fields, "name": OLGA, "password": PASSWORD}
        assert client.post(form.action, data=given).status_code == 303

        def send(page: str, **more: str) -> None:
            shown = client.get(f"{rules}{page}?{urlencode({'policy': office.policy})}")
            assert shown.status_code == 200, shown.text
            form = next(each for each in forms(shown) if each.action == f"{rules}{page}")
            headers = {"Origin": office.server.endpoint}
            hidden = ("csrf", "policy", "etag", "rule")  # a browser sends no box that is not ticked
            kept = {name: form.fields[name] for name in hidden if name in form.fields}
            answer = client.post(form.action, data={**kept, **more}, headers=headers)
            assert answer.status_code == 303, answer.text

        send("/settings", self_approval="no", pending_for="8:00")
        send("/edit", name="portal", effect="allow", at_most="0:30", act="save", ticket="")


def by_a_round_trip(office: Office) -> None:
    """What az reads is written back as it was read, with all that it does not know."""
    az = Cli(office.server, office.folder / "az")
    az(*az.rest("put", office.policy, az(*az.rest("get", office.policy))))
