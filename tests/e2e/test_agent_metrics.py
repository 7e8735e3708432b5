"""A real agent on a real kernel writes its metrics, and ends as it should with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule
from tests.netns.conftest import why_not
from tests.unit.test_agent_textfile import values

pytestmark = [pytest.mark.root, pytest.mark.long]


def test_what_is_open_on_the_kernel_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own account writes nothing else; who reads it needs no port of the agent's."""
    if why := why_not():
        pytest.skip(why)
    file = tmp_path / "bascule.prom"
    monkeypatch.setenv("BASCULE_METRICS_FILE", str(file))
    with SmallWorld(tmp_path) as world:
        world.network.echo(22)
        world.start(rule(22))
        world.request(22, 60)
        assert world.lets_in(22)

        def is_told() -> bool:
            told = values(file.read_text()) if file.exists() else {}
            wanted = {"open_leases": 1, "closed_ports": 1, "connected": 1, "enforcing": 1}
            return {name: told.get(name) for name in wanted} == wanted

        assert until(is_told, 40), file.read_text()
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=file.read_bytes(), check=False
        )
        assert checked.returncode == 0
        assert world.agent is not None
        world.agent.kill()
        assert file.exists(), "its age tells that the agent is gone"
