"""Each lab host is a host: own name, network, home and ssh; nothing of the outside gets in."""

from __future__ import annotations

import json
import os
import pwd
import ssl
import sys
import urllib.request

import pytest

from tests.e2e.lab_world import SILENT, LabWorld

pytestmark = [pytest.mark.root, pytest.mark.leak]
HOSTS = ("server", "client", "stranger", "web-1", "db-1")


@pytest.mark.parametrize("host", HOSTS)
def test_host_has_its_own_name_and_addresses(lab: LabWorld, host: str) -> None:
    entry = next(each for each in lab.hosts() if each["name"] == host)
    assert lab.said(host, "hostname") == host
    assert lab.said(host, "cat", "/etc/hostname") == host
    addresses = lab.said(host, "ip", "-brief", "address", "show", "dev", "eth0")
    assert all(f"{address}/" in addresses for address in entry["addresses"])


def test_commands_exit_code_is_passed_on(lab: LabWorld) -> None:
    assert lab.on("client", "sh", "-c", "exit 37").returncode == 37
    assert lab.on("client", "no-such-command").returncode == 127
    assert lab.on("client", "/etc/hosts").returncode == 126


def test_unknown_host_and_missing_command_are_said(lab: LabWorld) -> None:
    done = lab.on("web-9", "true")
    assert done.returncode == 3
    assert "web-1" in done.stderr
    assert lab.run("exec", "client").returncode == 2
    assert lab.run("exec", "client", "--").returncode == 2


def test_environment_is_the_hosts_own(lab: LabWorld) -> None:
    """The caller's BASCULE_CONFIG is set to nonsense by the tests' world."""
    lines = lab.said("client", "env").splitlines()
    found = dict(line.split("=", 1) for line in lines)
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert not [name for name in found if name.startswith("BASCULE")]
    assert found["HOME"] == home
    assert found["XDG_STATE_HOME"] == f"{home}/.local/state"
    assert lab.said("client", "pwd") == home


def test_homes_are_apart(lab: LabWorld) -> None:
    lab.said("client", "sh", "-c", "echo mine > ~/note")
    assert lab.said("client", "cat", f"{pwd.getpwuid(os.geteuid()).pw_dir}/note") == "mine"
    assert lab.on("stranger", "sh", "-c", "cat ~/note").returncode != 0
    assert not os.path.exists(os.path.expanduser("~/note"))  # noqa: PTH110, PTH111  # reason: short


def test_mounts_of_a_host_stay_in_it(lab: LabWorld) -> None:
    lab.said("client", "mount", "-t", "tmpfs", "kept-inside", "/mnt")
    try:
        assert "kept-inside" in lab.said("client", "cat", "/proc/self/mounts")
        assert "kept-inside" not in lab.said("web-1", "cat", "/proc/self/mounts")
        with open("/proc/self/mounts") as mounts:  # noqa: PTH123  # reason: not a path of ours
            assert "kept-inside" not in mounts.read()
    finally:
        lab.said("client", "umount", "/mnt")


def test_named_namespaces_work_with_ip_netns(lab: LabWorld) -> None:
    inside = lab.said("client", "ip", "netns", "exec", f"bascule-{lab.name}-db-1", "ip", "address")
    assert "10.203.0.22" in inside


def test_client_is_signed_in_by_a_private_file(lab: LabWorld) -> None:
    config = lab.said("client", "sh", "-c", "stat -c %a ~/.config/bascule/config.json")
    assert config == "600"
    assert lab.on("client", "bascule", "status").returncode == 0
    assert lab.on("stranger", "bascule", "status").returncode == 5


def test_stranger_has_no_key(lab: LabWorld) -> None:
    assert lab.on("stranger", "sh", "-c", "ls ~/.ssh").returncode != 0


def test_unguarded_machine_greets_by_its_name(lab: LabWorld) -> None:
    """db-1 is not configured: its ssh is as open as before, on both families, without a question."""
    for option in ("-4", "-6"):
        done = lab.on("client", "ssh", option, "-o", "BatchMode=yes", "db-1", "hostname")
        assert (done.returncode, done.stdout) == (0, "db-1\n"), done.stderr
    refused = lab.on(
        "stranger", "ssh", "-4", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "db-1",
        "true",
    )  # fmt: skip
    assert refused.returncode == SILENT
    assert "Permission denied" in refused.stderr


def test_server_answers_on_the_machines_loopback(lab: LabWorld) -> None:
    info = lab.info()
    context = ssl.create_default_context(cafile=info["ca_file"])
    url = f"{info['endpoint']}/readyz"
    with urllib.request.urlopen(url, context=context) as answer:  # noqa: S310  # reason: https
        assert json.load(answer)["status"] == "ok"


_ASK = """
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
there = http.client.HTTPSConnection("server", 8443, context=context, timeout=20)
there.request("GET", "/portal")
answer = there.getresponse()
print(answer.status, answer.headers["Location"])
"""


def test_the_portal_is_reached_by_the_servers_name(lab: LabWorld) -> None:
    """EDGES C1: from the client, by a name that the certificate of the lab's own CA holds."""
    said = lab.said("client", "python", "-c", _ASK, lab.info()["ca_file"])
    assert said == "303 /signin?next=%2Fportal"


def test_info_is_the_contract(lab: LabWorld) -> None:
    info = lab.info()
    assert info["server"] == "https://server:8443"
    assert info["endpoint"] == f"https://localhost:{lab.port}"
    assert info["portal"] == f"{info['endpoint']}/portal"
    assert (info["client"], info["stranger"]) == ("client", "stranger")
    assert [machine["name"] for machine in info["machines"]] == [
        "web-1",
        "db-1",
        "gw",
        "app-1",
        "sql-1",
    ]
    web = info["machines"][0]
    assert web["id"].endswith(
        "/resourceGroups/default/providers/Microsoft.Compute/virtualMachines/web-1"
    )
    assert web["addresses"] == ["10.203.0.21", "fd20:3::21"]
    assert web["ports"] == [22]
    assert web["namespace"] == f"bascule-{lab.name}-web-1"
    assert set(info["admin"]) == {"client_id", "client_secret"}
    assert [(each["name"], each["role"]) for each in info["users"]] == [
        ("owner", "Owner"), ("reader", "Reader"), ("requestor", "JIT Access Role"),
    ]  # fmt: skip
    assert len({each["password"] for each in info["users"]}) == 3
    assert [each["name"] for each in info["inventory"]] == ["legacy-1"]
    assert {"ca_file", "tenant_id", "subscription_id", "data_dir"} <= set(info)
    assert (info["resource_group"], info["location"], info["policy_name"]) == (
        "default", "local", "default",
    )  # fmt: skip
    for pid in (info["pids"]["server"], *info["pids"]["agents"].values()):
        os.kill(pid, 0)


def test_info_for_people_shows_no_secret(lab: LabWorld) -> None:
    secret = lab.info()["admin"]["client_secret"]
    done = lab.run("info")
    assert "web-1" in done.stdout
    assert secret not in done.stdout


def test_files_are_the_callers_alone(lab: LabWorld) -> None:
    assert lab.folder.stat().st_mode & 0o777 == 0o700
    assert (lab.folder / "state.json").stat().st_mode & 0o777 == 0o600


def test_input_reaches_the_command(lab: LabWorld) -> None:
    import subprocess

    done = subprocess.run(
        lab.argv("exec", "client", "--", "cat"),
        input="through\n",
        capture_output=True,
        text=True,
        check=False,
        env=lab.environment,
    )
    assert done.stdout == "through\n"


def test_python_of_the_lab_is_ours(lab: LabWorld) -> None:
    """Its home lies over ours, and the interpreter may stand below that."""
    assert lab.said("client", "python", "-c", "import sys; print(sys.prefix)") == sys.prefix
