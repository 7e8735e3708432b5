"""One module a protocol between agent and server, and which of them a revision speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.fleet.agent import Agent, World
from bench.fleet.speech import line, sse
from bench.standing import Broken

Speaker = Callable[[World, int], Agent]


def speech_of(source: Path) -> tuple[str, Speaker]:
    """The name of what the tree in ``source`` speaks, and how an agent of it is made."""
    faces = [path.read_text() for path in (source / "src/bascule/api").rglob("*.py")]
    if any("protocol.line" in text and "Challenge" in text for text in faces):
        return "one WebSocket: beats, pushes, news", line.LineAgent
    if any("/stream" in text and "GenerationStream" in text for text in faces):
        return "state and reports over HTTP, a stream of generations", sse.SseAgent
    raise Broken(
        f"No simulated agent speaks what the server in {source} does: its API has neither a line "
        "(bascule.protocol.line) nor a stream of generations. Write a module beside "
        "bench/fleet/speech/line.py and name it in bench/fleet/speech/__init__.py."
    )
