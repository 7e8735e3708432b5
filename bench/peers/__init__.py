"""What Bascule is measured beside: each peer in namespaces of its own, set up as its manual
says, asked by its own command.

A module here offers ``PROGRAMS`` and a context manager ``standing(folder, port, lease_seconds)``
that yields a ``Ready``. Adding a peer is adding a module and its line in ``ask_to_open``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.standing import Placed


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that stands: where its worker goes and what it is told to ask."""

    at_client: Placed
    address: str
    port: int
    question: Mapping[str, object]  # the fields of asking.CommandQuestion or BasculeQuestion
    kind: str = "command"  # a key of worker.KINDS
    version: str = ""
