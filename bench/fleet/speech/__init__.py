"""One module a protocol between agent and server, and which of them a revision speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.fleet.agent import Agent, World
from bench.fleet.speech import line, sse
from bench.standing import Broken


@dataclass(frozen=True, slots=True)
class Speech:
    """What a revision speaks, and how an agent of it is made."""

    name: str
    speaker: Callable[[World, int], Agent]
    connections: int  # of an agent, at most at once in its usual course


LINE = Speech("one WebSocket: beats, pushes, news", line.LineAgent, 1)
# A stream, calls, and a token that is asked for.
STREAM = Speech("state and reports over HTTP, a stream of generations", sse.SseAgent, 3)


def speech_of(source: Path) -> Speech:
    """What the tree in ``source`` speaks; raises Broken for what nobody here does."""
    faces = [path.read_text() for path in (source / "src/bascule/api").rglob("*.py")]
    if any("protocol.line" in text and "Challenge" in text for text in faces):
        return LINE
    if any("/stream" in text and "GenerationStream" in text for text in faces):
        return STREAM
    raise Broken(
        f"No simulated agent speaks the protocol of the server in {source}: its API has neither a line "
        "(bascule.protocol.line) nor a stream of generations. Write a module beside "
        "bench/fleet/speech/line.py and name it in bench/fleet/speech/__init__.py."
    )
