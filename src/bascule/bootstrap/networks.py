"""Where agents were before a start of the server: they come back first (EDGES H8)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.api.context import AppState


async def remember_networks(state: AppState) -> None:
    """Note where each agent was heard of late."""
    from bascule.api.networks import AGENTS_KNOWN_FOR

    clock = state.services.clock
    now, at = clock.now(), clock.boottime()
    since = now - timedelta(seconds=AGENTS_KNOWN_FOR)
    known = await state.services.read(lambda reader: reader.networks_of_points(since))
    for uid, (network, heard) in known.items():
        ago = max(0.0, (now - heard).total_seconds())  # a clock that went back makes none newer
        state.agent_networks.note(uid, network, at - ago)
