"""What runs on hosts and at the prompt loads nothing of the server's inside."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER_ONLY = ("api", "portal", "services", "store")


@pytest.mark.parametrize(
    "module",
    ["bascule.agent.run", "bascule.agent.commands", "bascule.cli.main", "bascule.bootstrap"],
)
def test_nothing_of_the_server_is_loaded(module: str) -> None:
    """A protected host runs as little code of ours as the agent needs: each module is surface."""
    code = (
        f"import sys, {module}\n"
        "loaded = [each for each in sys.modules if each.startswith('bascule.')]\n"
        f"print([each for each in loaded if each.split('.')[1] in {SERVER_ONLY!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
