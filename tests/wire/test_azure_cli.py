"""The Azure CLI, unmodified, against a running server: what docs/azure-cli.md has it do.

``az`` is found by $AZ, or in an environment of its own beside ours (``make install-dev`` puts it
there), or on PATH; without it none of this is run. No agent is there, so nothing opens: that a
port really does is shown in the lab (tests/e2e).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.wire.browsing import forms
from tests.wire.running import Server, running

_BESIDE = Path(sys.prefix) / "az" / "bin"
AZ = os.environ.get("AZ") or shutil.which("az", path=_BESIDE) or shutil.which("az") or ""
needs_az = pytest.mark.skipif(
    not AZ, reason="needs az, the Azure CLI (make install-dev fetches it; else $AZ or PATH)"
)
pytestmark = [needs_az, pytest.mark.slow]

ANNA, PASSWORD = "anna@example.com", "drawbridge over the Seine 42"
JIT = "Microsoft.Security/locations/local/jitNetworkAccessPolicies"
SECONDS = 180.0  # for one command on a busy machine


@dataclass(frozen=True)
class Cli:
    """``az`` with a folder of its own, pointed at the server."""

    server: Server
    folder: Path

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.server.admin['subscription_id']}"

    @property
    def policy(self) -> str:
        return f"{self.server.group}/providers/{JIT}/default"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "AZURE_CONFIG_DIR": str(self.folder),
            "AZURE_CORE_COLLECT_TELEMETRY": "0",
            "REQUESTS_CA_BUNDLE": self.server.admin["ca_file"],
            "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "",  # compiled once, not by each of its thousands of imports
        }

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AZ, *words],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def __call__(self, *words: str) -> Any:
        """The JSON that a command prints; None when it prints nothing."""
        done = self.ask(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *words: str) -> str:
        done = self.ask(*words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def rest(self, method: str, url: str, body: Any = None) -> list[str]:
        sent = [] if body is None else ["--body", json.dumps(body)]
        return ["rest", "--method", method, "--url", f"{url}?api-version=2020-01-01", *sent]


def registered(server: Server, folder: Path) -> Cli:
    az = Cli(server, folder)
    az("cloud", "register", "-n", "Bascule", "--endpoint-resource-manager", server.endpoint)
    az("cloud", "set", "-n", "Bascule")
    az("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
    return az


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder, "--allow-password-grant") as made:
        identity = f"/subscriptions/{made.admin['subscription_id']}/providers/Bascule.Identity"
        user = {"properties": {"userPrincipalName": ANNA, "displayName": "Anna"}}
        anna = made.call("POST", f"{identity}/users", user)["name"]
        made.call("PUT", f"{identity}/users/{anna}/password", {"password": PASSWORD})
        machine = f"{made.group}/providers/Microsoft.Compute/virtualMachines/web-1"
        made.call("PUT", machine, {"properties": {"bascule": {"addresses": ["10.0.0.9"]}}})
        yield made


@pytest.fixture(scope="module")
def admin(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Signed in as the service principal of admin.json."""
    az = registered(server, tmp_path_factory.mktemp("admin"))
    (account,) = az(*sign_in(server, server.admin["client_secret"]))
    assert (account["cloudName"], account["user"]["type"]) == ("Bascule", "servicePrincipal")
    return az


@pytest.fixture(scope="module")
def anna(admin: Cli, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Signed in by device code as a person who is a Reader, made one by ``az`` itself."""
    made = admin(
        *("role", "assignment", "create", "--assignee", ANNA, "--role", "Reader"),
        *("--scope", admin.subscription),
    )
    assert made["principalType"] == "User"
    az = registered(admin.server, tmp_path_factory.mktemp("anna"))
    with_code(az)
    return az


def sign_in(server: Server, secret: str) -> list[str]:
    words = ["login", "--service-principal", "-u", server.admin["client_id"], "-p", secret]
    return [*words, "--tenant", server.admin["tenant_id"]]


def with_code(az: Cli) -> None:
    """``az login --use-device-code``, and what the person does at the page that it names."""
    process = subprocess.Popen(
        [AZ, "login", "--use-device-code"],
        env=az.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    try:
        assert process.stderr is not None
        for line in process.stderr:
            told = re.search(r"open the page (\S+) .* enter the code (\S+)\.", line)
            if told is not None:
                assert "Signed in" in approve(az.server, told[1], told[2])
        assert process.stdout is not None
        (account,) = json.loads(process.stdout.read())
        assert account["user"] == {"name": ANNA, "type": "user"}
        assert process.wait() == 0
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


def approve(server: Server, page: str, user_code: str) -> str:
    trust = ssl.create_default_context(cafile=server.admin["ca_file"])
    with httpx2.Client(
        verify=trust, base_url=server.endpoint, follow_redirects=True, timeout=60
    ) as client:
        answer = client.get(page)
        for given in (
            {"name": ANNA, "password": PASSWORD},
            {"user_code": user_code},
            {"answer": "allow"},
        ):
            (form, *_) = forms(answer)
            answer = client.post(form.action, data={**form.fields, **given})
        return answer.text


def test_a_wrong_secret_says_so(server: Server, tmp_path: Path) -> None:
    az = registered(server, tmp_path)
    assert "AADSTS7000215" in az.refused(*sign_in(server, "x" * 43))


def test_a_policy_is_written_asked_and_removed(admin: Cli) -> None:
    machine = f"{admin.server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    rule = {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*"}
    rule["maxRequestAccessDuration"] = "PT3H"
    machines = [{"id": machine, "ports": [rule]}]
    body = {"kind": "Basic", "properties": {"virtualMachines": machines}}
    assert admin(*admin.rest("put", admin.policy, body))["name"] == "default"
    (listed,) = admin("security", "jit-policy", "list")
    assert listed["virtualMachines"][0]["id"] == machine
    shown = admin("security", "jit-policy", "show", "-g", "default", "-l", "local", "-n", "default")
    assert shown["id"] == listed["id"]
    port = {"number": 22, "duration": "PT5M", "allowedSourceAddressPrefix": "10.203.0.10"}
    asked = {"virtualMachines": [{"id": machine, "ports": [port]}], "justification": "4711"}
    answer = admin(*admin.rest("post", f"{admin.policy}/initiate", asked))
    assert answer["virtualMachines"][0]["ports"][0]["status"] == "Initiating"
    log = admin("monitor", "activity-log", "list", "--resource-id", admin.policy, "--offset", "1h")
    assert {each["operationName"]["localizedValue"] for each in log} == {
        "Create or Update JIT Network Access Policy",
        "Initiate JIT Network Access Policy",
    }
    assert admin(*admin.rest("delete", admin.policy)) is None
    assert admin("security", "jit-policy", "list") == []


def test_machines_and_their_rules(admin: Cli) -> None:
    (machine,) = admin("vm", "list", "-d")
    assert (machine["name"], machine["privateIps"]) == ("web-1", "10.0.0.9")
    changed = admin("vm", "update", "-g", "default", "-n", "web-1", "--set", "tags.tier=front")
    assert changed["tags"] == {"tier": "front"}
    assert admin("network", "nic", "show", "-g", "default", "-n", "web-1-nic")["primary"]
    where = ("-g", "default", "--nsg-name", "web-1-nsg")
    assert isinstance(admin("network", "nsg", "rule", "list", *where), list)
    made = ("-n", "mine", "--priority", "200", "--destination-port-ranges", "22")
    told = admin.refused("network", "nsg", "rule", "create", *where, *made)
    assert "ReadOnlyView" in told
    assert "bascule policy set" in told


def test_roles(admin: Cli) -> None:
    (reader,) = admin("role", "definition", "list", "--name", "Reader")
    assert reader["roleType"] == "BuiltInRole"
    app, where = admin.server.admin["client_id"], f"{admin.server.group}"
    assert admin("ad", "sp", "show", "--id", app)["displayName"] == "administrator"
    given = ("--assignee", app, "--role", "Security Reader", "--scope", where)
    made = admin("role", "assignment", "create", *given)
    listed = admin("role", "assignment", "list", "--all")
    names = {each["id"]: (each["roleDefinitionName"], each["principalName"]) for each in listed}
    assert names[made["id"]] == ("Security Reader", app)
    assert admin("role", "assignment", "delete", *given) is None
    assert made["id"] not in [each["id"] for each in admin("role", "assignment", "list", "--all")]


def test_a_reader_sees_and_is_told_what_is_missing(anna: Cli) -> None:
    assert anna("ad", "signed-in-user", "show")["userPrincipalName"] == ANNA
    assert [each["name"] for each in anna("group", "list")] == ["default"]
    where = f"{anna.server.group}/providers/Microsoft.Compute/virtualMachines/web-2"
    told = anna.refused(*anna.rest("put", where, {}))
    assert "'Microsoft.Compute/virtualMachines/write'" in told
    assert where in told
    assert "Virtual Machine Contributor" in told


def test_tokens_that_ended_are_renewed_without_asking(anna: Cli) -> None:
    cache = anna.folder / "msal_token_cache.json"
    kept = json.loads(cache.read_text())
    for token in kept["AccessToken"].values():
        token.update(expires_on="100", secret="ended")
    cache.write_text(json.dumps(kept))
    assert anna("ad", "signed-in-user", "show")["userPrincipalName"] == ANNA
    assert anna("account", "list-locations")


def test_a_password_in_adfs_mode(server: Server, tmp_path: Path) -> None:
    az, base = Cli(server, tmp_path), server.endpoint
    az(
        *("cloud", "register", "-n", "Bascule", "--skip-endpoint-discovery"),
        *("--endpoint-active-directory", f"{base}/adfs"),
        *("--endpoint-active-directory-resource-id", base),
        *("--endpoint-management", base, "--endpoint-resource-manager", base),
        *("--endpoint-microsoft-graph-resource-id", f"{base}/graph/"),
    )
    az("cloud", "set", "-n", "Bascule")
    assert "AADSTS50126" in az.refused("login", "-u", ANNA, "-p", "not hers, certainly")
    az("login", "-u", ANNA, "-p", PASSWORD, "--allow-no-subscriptions")
    assert az("ad", "signed-in-user", "show")["userPrincipalName"] == ANNA
