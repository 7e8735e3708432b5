"""The lab's firewalls as Azure's security groups: a rule is there when the kernel has it."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import pytest

from tests.e2e.lab_world import LabWorld, until

pytestmark = [pytest.mark.root, pytest.mark.leak]

_LOOK = """
import json, sys
from bascule.cli.connect import connect
with connect() as connection:
    group = f"{connection.subscription}/resourceGroups/default"
    print(json.dumps(dict(connection.get(f"{group}/providers/{sys.argv[1]}", "2025-05-01"))))
"""


def look(lab: LabWorld, path: str) -> Any:
    """One resource of the group, as the client's sign-in sees it."""
    return json.loads(lab.said("client", sys.executable, "-c", _LOOK, path))


def group_of(lab: LabWorld, machine: str = "web-1") -> Any:
    return look(lab, f"Microsoft.Network/networkSecurityGroups/{machine}-nsg")["properties"]


def sources(group: Any) -> list[str]:
    """From where the group lets in."""
    rules = [each["properties"] for each in group["securityRules"]]
    return [each["sourceAddressPrefix"] for each in rules if each["access"] == "Allow"]


def test_the_view_has_an_opening_as_long_as_the_kernel_has_it(lab: LabWorld) -> None:
    before = group_of(lab)
    assert sources(before) == []
    ports = {each["properties"]["destinationPortRange"] for each in before["securityRules"]}
    assert ports == {"22"}
    assert before["bascule"]["isCurrent"]
    client = next(each for each in lab.hosts() if each["name"] == "client")["addresses"]
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    try:
        assert lab.reaches("client")
        after = group_of(lab)
        assert sources(after)
        assert set(sources(after)) <= set(client)
        priorities = [each["properties"]["priority"] for each in after["securityRules"]]
        assert priorities == sorted(priorities)
    finally:
        lab.said("client", "bascule", "revoke")
    assert until(lambda: sources(group_of(lab)) == [], 10)
    assert not lab.reaches("client")
    nic = look(lab, "Microsoft.Network/networkInterfaces/web-1-nic")["properties"]
    addresses = [each["properties"]["privateIPAddress"] for each in nic["ipConfigurations"]]
    machine = next(each for each in lab.hosts() if each["name"] == "web-1")["addresses"]
    assert addresses == list(machine)


def test_a_machine_is_on_the_tab_where_it_belongs(lab: LabWorld) -> None:
    configured = look(lab, "Microsoft.Compute/virtualMachines/web-1")["properties"]["bascule"]
    assert configured["state"] == "configured"
    other = look(lab, "Microsoft.Compute/virtualMachines/db-1")["properties"]["bascule"]
    assert other["state"] == "notConfigured"
    counted = {e["state"]: e["count"] for e in look(lab, "Bascule.Access/machineStates")["value"]}
    assert counted["configured"] >= 1
    assert "not configured" in lab.said("client", "bascule", "machine", "list")


def test_switched_off_nothing_opens_and_all_stays_shut(lab: LabWorld) -> None:
    """EDGES A10, B: the switch ends what is open; it opens and releases nothing."""
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    assert lab.reaches("client")
    lab.said("client", "bascule", "plan", "off", "--yes")
    try:
        assert until(lambda: not lab.reaches("client"), 10)
        refused = lab.on("client", "bascule", "request", "web-1", "--for", "5m")
        assert refused.returncode == 4
        assert "JIT VM Access requires a standard tier subscription." in refused.stderr
        assert not lab.reaches("client")
        assert not lab.reaches("stranger")
        assert "unsupported" in lab.said("client", "bascule", "machine", "show", "web-1")
    finally:
        lab.said("client", "bascule", "plan", "on")
    assert not lab.reaches("client")  # nothing comes back by itself
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    assert lab.reaches("client")
    lab.said("client", "bascule", "revoke")


def test_of_a_silent_agent_the_view_says_that_it_is_old(lab: LabWorld) -> None:
    """Its rules go on being shown, since the kernel goes on holding them.

    It is stopped, not killed: one that is killed is started anew at once.
    """
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    pid = lab.info()["pids"]["agents"]["web-1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert until(lambda: group_of(lab)["bascule"]["state"] == "offline", 60)
        group = group_of(lab)
        assert not group["bascule"]["isCurrent"]
        assert group["bascule"]["message"].startswith(
            "Last known state: the agent of web-1 has been away since"
        )
        assert sources(group)
        assert lab.reaches("client")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert until(lambda: group_of(lab)["bascule"]["isCurrent"], 30)
    lab.said("client", "bascule", "revoke")
    assert until(lambda: sources(group_of(lab)) == [], 10)
