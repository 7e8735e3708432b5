"""A fresh installation, as processes: the link in its file, used over TLS, made anew, used up."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.wire.running import running

PASSWORD = "four words of mine"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def _another(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bascule.bootstrap", "admin", "set-up-link"]
    return subprocess.run(
        [*command, "--data", str(data)], capture_output=True, text=True, check=False
    )


def test_the_link_of_the_first_start_leads_to_the_first_owner(tmp_path: Path) -> None:
    """EDGES C0. The server writes to a file here, as to a service manager's log."""
    with running(tmp_path) as server:
        data = tmp_path / "data"
        file = data / "set-up-link"
        assert file.stat().st_mode & 0o777 == 0o600
        first = file.read_text().split()[0]
        log = (tmp_path / "log").read_text()
        assert str(file) in log
        assert first.partition("link=")[2] not in log

        made = _another(data)  # while the server runs
        assert made.returncode == 0, made.stderr
        link = made.stdout.strip()
        assert link == file.read_text().split()[0] != first
        assert link.startswith(f"{server.endpoint}/portal/welcome?link=")

        trust = ssl.create_default_context(cafile=server.admin["ca_file"])
        with httpx2.Client(verify=trust, follow_redirects=True, timeout=60) as late:
            assert late.get(first).status_code == 410
        with httpx2.Client(verify=trust, follow_redirects=True, timeout=60) as browser:
            page = browser.get(link)
            assert page.status_code == 200
            found = _CSRF.search(page.text)
            assert found
            fields = {"csrf": found[1], "name": "anna", "password": PASSWORD, "again": PASSWORD}
            done = browser.post(f"{server.endpoint}/portal/welcome", data=fields)
            assert done.status_code == 200
            assert done.url.path == "/portal/welcome/machine"
        assert not file.exists()
        refused = _another(data)
        assert refused.returncode != 0
        assert "already has an owner" in refused.stderr
        assert link.partition("link=")[2] not in (tmp_path / "log").read_text()
