"""Packages on the wire (EDGES I3): what the repository lists and nothing else; the line names the script."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.repository import write_repository
from tests.wire.house import BASCULE, House


@pytest.fixture
def handing(tmp_path: Path) -> House:
    folder = write_repository(tmp_path / "apt")
    (folder / "secret").write_text("of nobody's list")
    return House(tmp_path, packages=folder)


def enrolment(house: House, **body: object) -> dict[str, str]:
    machine = f"{house.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    house.client.put(f"{machine}?api-version={BASCULE}", json={"location": "local"})
    answer = house.client.post(
        f"{machine}/providers/Bascule.Fleet/enrolments?api-version={BASCULE}", json=body
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()["properties"]
    return found


def test_anybody_gets_what_the_repository_lists_and_nothing_else(handing: House) -> None:
    stranger = handing.client_of(None)
    for name in (
        "dists/stable/Release",
        "dists/stable/main/binary-amd64/Packages",
        "pool/main/bascule-agent_1.2_all.deb",
    ):
        assert stranger.get(f"/packages/{name}").status_code == 200
    got = stranger.get("/packages/pool/main/bascule-cli_1.2_all.deb")
    assert got.content == b"bascule-cli 1.2"
    for name in (
        "secret",
        "",
        "dists",
        "../apt/secret",
        "%2e%2e/apt/secret",
        "pool/main/../../secret",
    ):
        assert stranger.get(f"/packages/{name}").status_code in (400, 404), name


def test_the_line_of_an_enrolment_has_the_digest_of_the_script_that_is_served(
    handing: House,
) -> None:
    script = handing.client_of(None).get("/bascule/install.sh").content
    told = enrolment(handing)
    assert hashlib.sha256(script).hexdigest() in told["bareHostCommand"]
    assert told["caFingerprint"] in told["bareHostCommand"]
    assert told["token"] not in told["bareHostCommand"]
    assert told["token"].encode() not in script
    assert "--replace" not in told["bareHostCommand"] + told["installCommand"]
    told = enrolment(handing, replace=True)
    assert told["bareHostCommand"].endswith(" --replace")
    assert told["installCommand"].endswith(" --replace")


def test_a_server_without_packages_says_so_and_prints_no_line(house: House) -> None:
    for path in ("/bascule/install.sh", "/packages/dists/stable/Release"):
        answer = house.client_of(None).get(path)
        assert answer.status_code == 404
        assert "hands out no packages" in answer.text
    assert "bareHostCommand" not in enrolment(house)
