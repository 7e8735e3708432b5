"""One module a protocol between agent and server, and which of them a revision speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.fleet.agent import Agent, World
from bench.fleet.speech import sse
from bench.standing import Broken

Speaker = Callable[[World, int], Agent]


def speech_of(source: Path) -> tuple[str, Speaker]:
    """The name of what the tree in ``source`` speaks, and how an agent of it is made."""
    routes = source / "src/bascule/api/routes/agents.py"
    text = routes.read_text() if routes.exists() else ""
    if "/stream" in text and "GenerationStream" in text:
        return "state and reports over HTTP, a stream of generations", sse.SseAgent
    raise Broken(
        f"No simulated agent speaks what {source} does: its agents' routes have no stream of "
        "generations. Write a module beside bench/fleet/speech/sse.py and name it here."
    )
