"""``agent run`` loads structlog without what it has no use for, or with it when that fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOAD = """
import importlib, sys
from bascule.agent.light_structlog import load_structlog
for name in [each for each in sys.modules if each.partition(".")[0] in ("structlog", "asyncio")]:
    del sys.modules[name]
real, tries = importlib.import_module, []
def load(name):
    tries.append(name)
    if len(tries) <= {failures}:
        real(name)
        raise {error}("asyncio has no such name")
    return real(name)
importlib.import_module = load
load_structlog()
import structlog
structlog.get_logger().info("it logs")
print(len(tries), hasattr(sys.modules.get("asyncio"), "run"))
"""


@pytest.mark.parametrize(
    ("failures", "error", "said"),
    [
        (0, "ImportError", "1 False"),
        (1, "ImportError", "2 True"),
        (1, "AttributeError", "2 True"),
    ],
)
def test_an_agent_logs_whatever_structlog_needs(failures: int, error: str, said: str) -> None:
    code = _LOAD.format(failures=failures, error=error)
    done = subprocess.run(  # reason: what is imported is of a process
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *logged, last = done.stdout.splitlines()
    assert "it logs" in logged[0]
    assert last == said
