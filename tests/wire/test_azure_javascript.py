"""@azure/arm-security and @azure/identity run the program of docs/sdk-javascript.md.

Node.js and the two packages (sdk/javascript; ``tools/install.sh`` fetches them) may be missing:
then this is reported as not run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.running import Server, running
from tests.wire.sdk_pages import code_of, guarded, shown_by

PAGE = "sdk-javascript.md"
FOLDER = Path(__file__).parent / "sdk" / "javascript"


def missing() -> str:
    """Why it cannot be run here; empty when it can."""
    if shutil.which("node") is None:
        return "needs Node.js 20 or newer (node)"
    if not (FOLDER / "node_modules" / "@azure" / "arm-security").is_dir():
        return "needs npm's @azure/arm-security (make install-dev fetches it)"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder) as made, guarded(made, folder / "agent", "web-1"):
        yield made


@pytest.mark.slow
def test_the_page_is_true(server: Server, tmp_path: Path) -> None:
    """The program stands beside the packages by a link: Node looks for them from where it is."""
    (tmp_path / "program.mjs").write_text(code_of(PAGE, "js"))
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    admin = tmp_path / "admin.json"
    admin.write_text(json.dumps(server.admin))
    pointing = {
        "ADMIN": str(admin),
        "SERVER": server.endpoint,
        "NODE_EXTRA_CA_CERTS": server.admin["ca_file"],
    }
    answer = subprocess.run(
        ["node", "program.mjs"],
        cwd=tmp_path,
        env={**os.environ, **pointing},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == shown_by(PAGE)


def test_the_page_names_the_versions_that_are_locked() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    page = (FOLDER.parents[3] / "docs" / PAGE).read_text(encoding="utf-8")
    for package, version in wanted.items():
        assert f"{package.partition('/')[2]} {version}" in " ".join(page.split())
