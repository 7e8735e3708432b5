"""The PowerShell module's own tests (powershell/tests), run on a real pwsh against a real server.

``pwsh`` is found by $PWSH or on PATH and started once, because a start takes a second. Where
the lab can be had, the server is the lab's and ports really open; else it is a server alone,
and what needs packets is told as not run. Each file of tests is a test here, and fails with
every test in it that failed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bascule.clocks import SystemClock
from tests.e2e.conftest import _why_not as why_no_lab
from tests.e2e.lab_world import LabWorld
from tests.powershell.approver import Approver
from tests.powershell.broken_server import broken_server
from tests.support.own import mark
from tests.wire.running import Server, running

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "powershell" / "tests"
PWSH = os.environ.get("PWSH") or shutil.which("pwsh") or ""
PATIENCE_SECONDS = 500  # two cores are shared with the other streams
pytestmark = [
    pytest.mark.skipif(not PWSH, reason="pwsh, PowerShell 7, is not installed"),
    pytest.mark.timeout(PATIENCE_SECONDS + 120),  # whichever is first waits for all of them
]


def _lab_world(lab: LabWorld) -> dict[str, Any]:
    info = lab.info()
    probe = [*lab.argv("exec")]
    machine = info["machines"][0]
    return {
        **{name: info[name] for name in ("endpoint", "ca_file", "tenant_id", "subscription_id")},
        **{name: info[name] for name in ("resource_group", "location", "policy_name", "users")},
        **info["admin"],
        "is_lab": True,
        "machine": {**machine, "address": machine["addresses"][0]},
        "behind": [each for each in info["machines"] if each["gateway"]],
        "gateway": next(each for each in info["machines"] if each["kind"] == "gateway"),
        "client_address": next(
            host["addresses"][0] for host in info["hosts"] if host["name"] == info["client"]
        ),
        "client": info["client"],
        "stranger": info["stranger"],
        "probe": probe,
        "python": sys.executable,
    }


def _server_world(server: Server) -> dict[str, Any]:
    """One machine that is inventory only: policies may name it, and nothing opens."""
    path = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    body = {"location": "local", "properties": {"osProfile": {"computerName": "web-1"}}}
    server.call("PUT", path, body)
    return {
        **server.admin,
        "is_lab": False,
        "resource_group": "default",
        "location": "local",
        "policy_name": "default",
        "users": [],
        "machine": {"name": "web-1", "id": path, "address": "192.0.2.1"},
        "client_address": "192.0.2.7",
    }


def _certificate(path: Path) -> str:
    """Write a key and its certificate to ``path``; the certificate alone as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "program")])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + plain)
    return pem.decode()


def make_world(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Bring up what the tests are run against, until the stack is closed."""
    why = why_no_lab()
    if why:
        world = _server_world(stack.enter_context(running(folder)))
        world["why_no_lab"] = why
    else:
        lab = LabWorld(mark("p"), folder)
        stack.callback(lab.down)
        lab.must_come_up()
        world = _lab_world(lab)
    broken = stack.enter_context(broken_server(folder))
    world["broken"] = {"endpoint": broken.endpoint, "ca_file": str(broken.pem)}
    world["certificate_file"] = str(folder / "program.pem")
    world["certificate"] = _certificate(folder / "program.pem")
    world["scratch"] = str(folder)
    approver = Approver(world, folder / "device-code.txt")
    world["device_code_file"] = str(approver.code_file)
    stack.enter_context(approver)
    return world


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What became of each Pester test."""
    folder = tmp_path_factory.mktemp("pester")
    with ExitStack() as stack:
        yield _run(folder, make_world(folder, stack))


def _run(folder: Path, world: dict[str, Any]) -> list[dict[str, Any]]:
    world_file, result = folder / "world.json", folder / "result.json"
    world_file.write_text(json.dumps(world))
    script = Path(__file__).with_name("run_pester.ps1")
    command = [PWSH, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(script)]
    environment = {
        **os.environ,
        "BASCULE_TEST_WORLD": str(world_file),
        "XDG_STATE_HOME": str(folder),
        "HOME": str(folder),
    }
    done = subprocess.run(
        [*command, "-Tests", str(TESTS), "-Result", str(result)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert result.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(result.read_text(encoding="utf-8-sig"))
    return found


@pytest.mark.parametrize("file", sorted(path.name for path in TESTS.glob("*.Tests.ps1")))
def test_file(told: list[dict[str, Any]], file: str) -> None:
    mine = [each for each in told if each["file"] == file]
    assert mine, f"nothing of {file} was run"
    failed = [f"{each['name']}\n{each['message']}" for each in mine if each["result"] == "Failed"]
    assert not failed, "\n\n".join(failed)
    assert any(each["result"] in {"Passed", "Skipped"} for each in mine)


def test_everything_was_run(told: list[dict[str, Any]]) -> None:
    """What Pester left out is told with the tests of the suite that were not run."""
    left_out = [each["name"] for each in told if each["result"] not in {"Passed", "Failed"}]
    if left_out:
        pytest.skip(f"{len(left_out)} Pester tests need the lab: {why_no_lab()}")
