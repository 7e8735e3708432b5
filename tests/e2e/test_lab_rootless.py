"""The lab without root: the same job, made by an ordinary user in a user namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import ordinary_user
from tests.e2e.lab_world import BASCULE
from tests.support.own import free_port

pytestmark = [
    pytest.mark.root,  # to become another user; the lab itself then has no rights
    pytest.mark.leak,
]

SCRIPT = """
set -u
run() { "$@"; echo "[exit $?]"; }
lab() { verb=$1; shift; run $BASCULE lab $verb --name free "$@"; }
id -u
lab up --detach --port $PORT
lab exec client -- bascule ssh web-1 -- hostname
lab exec client -- ssh -tt web-1 'test -t 0 && echo terminal'
lab exec stranger -- ssh -4 -o ConnectTimeout=1 web-1 true
lab exec client -- bascule revoke
lab exec client -- ssh -4 -o ConnectTimeout=1 web-1 true
lab exec web-1 -- nft flush ruleset
supervisor=$($BASCULE lab info --name free -o json | python3 -c '
import json, sys; print(json.load(sys.stdin)["pids"]["supervisor"])')
run kill -9 $supervisor
sleep 0.3
lab up --detach --port $PORT
lab down
run ls -A ~/.local/state/bascule/lab
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below pytest's own folder, which only root may enter."""
    place = Path(tempfile.mkdtemp(prefix="bascule-rootless-"))
    place.chmod(0o755)
    home = place / "home"
    home.mkdir()
    os.chown(home, ordinary_user.NUMBER, ordinary_user.NUMBER)
    yield home
    shutil.rmtree(place)


def _become(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ordinary_user.__file__, str(home), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.timeout(300)
def test_whole_job_without_root(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become a user that the machine does not have")
    unshare = shutil.which("unshare") or "unshare"
    trial = _become(home, unshare, "--user", "--map-current-user", "true")
    if trial.returncode != 0:
        pytest.skip(f"needs user namespaces for ordinary users: {trial.stderr.strip()}")
    script = SCRIPT.replace("$BASCULE", " ".join(BASCULE)).replace("$PORT", str(free_port()))
    done = _become(home, "/bin/sh", "-c", script)
    told = done.stdout + done.stderr
    answers = [line for line in done.stdout.splitlines() if line.startswith("[exit ")]
    assert done.stdout.startswith(f"{ordinary_user.NUMBER}\n"), told
    assert answers == [
        "[exit 0]",  # up
        "[exit 0]",  # bascule ssh
        "[exit 0]",  # a terminal over ssh
        "[exit 255]",  # the stranger
        "[exit 0]",  # revoke
        "[exit 255]",  # shut again
        "[exit 0]",  # flushed, for what it is worth: the table has an owner
        "[exit 0]",  # the supervisor is killed
        "[exit 0]",  # up again over what it left
        "[exit 0]",  # down
        "[exit 0]",
    ], told
    assert "\nweb-1\n" in done.stdout
    assert "terminal" in done.stdout
    assert "removing what an earlier lab free left" in done.stderr
