"""A state that the server sent, or why it is refused: then what is held stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.domain.desired import DesiredState
from bascule.errors import InvalidInput, ServerUnreachable
from bascule.protocol.codec import decode
from bascule.protocol.state import State

_WORDS = 200  # characters of a complaint that are passed on


class StateRefused(ServerUnreachable):
    """The server sent an invalid state: what is held stays."""

    code = "StateRefused"

    @classmethod
    def of(cls, error: InvalidInput) -> StateRefused:
        words = error.message[:_WORDS]
        return cls(f"The server sent an invalid state: {words}")


def state_of(uid: str, state: DesiredState) -> DesiredState:
    """The state, if it is that machine's; raises StateRefused."""
    if state.machine_uid != uid:
        raise StateRefused("The server sent the state of another machine.")
    return state


def read_state(data: Mapping[str, Any]) -> State:
    """The state that the server sent; anything unexpected or out of bounds raises StateRefused."""
    try:
        return decode(State, data)
    except InvalidInput as error:
        raise StateRefused.of(error) from error
