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


def test_an_agent_logs_without_asyncio() -> None:
    """structlog would load it, and much more; what runs on each host is to be small."""
    code = (
        "import sys; from bascule.agent.light_structlog import load_structlog\n"
        "load_structlog()\n"
        "import bascule.agent.run, structlog; from bascule.telemetry import set_up_logging\n"
        "set_up_logging(); structlog.get_logger('bascule.agent').error('a line', exc_info=ValueError())\n"
        "print([each for each in ('asyncio', 'rich', 'greenlet') if sys.modules.get(each)])\n"
        "import asyncio; asyncio.run(asyncio.sleep(0))"  # whoever wants it has the real one
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "a line" in done.stderr
    assert "ValueError" in done.stderr
