"""azure-mgmt-security 6, 7 and 8 beta run the program of docs/sdk-python.md, each in its process.

7 is of the environment itself; the others stand beside it (tools/install.sh puts them there),
and Python is told to look there first. They are reported as not run where they are missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.running import Server, running
from tests.wire.sdk_pages import code_of, guarded, shown_by

PAGE = "sdk-python.md"
BESIDE = Path(sys.prefix) / "sdk"
VERSIONS = {"6": "6.0.0", "7": "7.0.0", "8": "8.0.0b2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder) as made, guarded(made, folder / "agent", "web-1"):
        yield made


def environment_of(major: str, folder: Path) -> dict[str, str]:
    """The environment in which Python finds that version, or the test's end when it is not here."""
    environment = {**os.environ, "PYTHONPATH": ""}
    if major != "7":
        where = BESIDE / f"security-{major}"
        if not (where / "azure").is_dir():
            pytest.skip(
                f"needs azure-mgmt-security {VERSIONS[major]} (make install-dev fetches it)"
            )
        environment["PYTHONPATH"] = str(where)
    return environment | {"HOME": str(folder)}


def run(program: str, environment: dict[str, str]) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("major", VERSIONS)
def test_the_page_is_true(server: Server, tmp_path: Path, major: str) -> None:
    environment = environment_of(major, tmp_path)
    found = "from azure.mgmt.security._version import VERSION; print(VERSION)"
    assert run(found, environment) == f"{VERSIONS[major]}\n"
    admin = tmp_path / "admin.json"
    admin.write_text(json.dumps(server.admin))
    pointing = {"ADMIN": str(admin), "SERVER": server.endpoint}
    printed = run(code_of(PAGE, "python"), environment | pointing)
    assert printed == shown_by(PAGE)


def test_all_eight_operations_are_on_the_page() -> None:
    program = code_of(PAGE, "python")
    ways = ("", "_by_region", "_by_resource_group", "_by_resource_group_and_region")
    for verb in ("get", "create_or_update", "delete", "initiate", *(f"list{way}" for way in ways)):
        assert f"policies.{verb}(" in program
