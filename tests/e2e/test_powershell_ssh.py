"""Enter-BasculeSSH on the lab's client: asks, waits until it is really open, is in.

The module's other tests are in powershell/tests; they run where every address is the
loopback's, so that this one, which is about whose address was granted, cannot be among them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.lab_world import LabWorld

PWSH = os.environ.get("PWSH") or shutil.which("pwsh") or ""
MODULE = Path(__file__).parents[2] / "powershell" / "Bascule" / "Bascule.psd1"
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not PWSH, reason="pwsh, PowerShell 7, is not installed"),
]

_ENTER = """
param([string] $WorldFile)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest
$world = Get-Content -Path $WorldFile -Raw | ConvertFrom-Json
Import-Module -Name $world.module
$secret = ConvertTo-SecureString -String $world.secret -AsPlainText -Force
$null = Connect-Bascule -Endpoint $world.server -CaFile $world.ca_file -ApplicationId $world.id -ClientSecret $secret
try {
    $said = [ordered]@{}
    $said.first = @(Enter-BasculeSSH web-1 -Duration 5m -Justification 'ticket 4711' -- -o BatchMode=yes hostname)
    $said.again = @(Enter-BasculeSSH -Machine web-1 -- -o BatchMode=yes 'echo one two; exit 7')
    $said.code = $LASTEXITCODE
    $live = @(Get-BasculeAccessRequest -Live -Requestor me -Machine web-1)
    $said.count = $live.Count
    $said.why = $live[0].Justification
    $said.sources = @($live[0].Ports[0].Sources)
    $ended = $live | Stop-BasculeAccessRequest -Kill -Confirm:$false
    $said.ended = $ended.State
    $said | ConvertTo-Json -Compress
} finally {
    Get-BasculeAccessRequest -Live -Requestor me | Stop-BasculeAccessRequest -Confirm:$false | Out-Null
}
"""


def test_it_asks_once_gets_in_and_shuts(lab: LabWorld, tmp_path: Path) -> None:
    info = lab.info()
    script, world = tmp_path / "enter.ps1", tmp_path / "world.json"
    script.write_text(_ENTER)
    world.touch(mode=0o600)
    world.write_text(
        json.dumps(
            {
                "module": str(MODULE),
                "server": info["server"],
                "ca_file": info["ca_file"],
                "id": info["admin"]["client_id"],
                "secret": info["admin"]["client_secret"],
            }
        )
    )
    assert not lab.reaches("client")
    command = [PWSH, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(script)]
    done = lab.on("client", *command, "-WorldFile", str(world), timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    client = next(each for each in lab.hosts() if each["name"] == "client")["addresses"]
    assert said["first"] == ["web-1"]
    assert said["again"] == ["one two"]
    assert said["code"] == 7
    assert said["count"] == 1, "a live grant was not used again"
    assert said["why"] == "ticket 4711"
    assert set(said["sources"]) <= set(client)
    assert said["ended"] == "closed"
    assert not lab.reaches("client")
