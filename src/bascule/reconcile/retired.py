"""A server whose record was moved elsewhere, and that tells a point what to do all the same (EDGES H7).

It is known by its installation number, which is lower than one that was told before. Nothing that it
says is taken (``domain.held.hold``), until root on the host accepts it.
"""

from __future__ import annotations

from dataclasses import replace

from bascule.domain.desired import DesiredState
from bascule.domain.held import Held, HeldBehind
from bascule.domain.holding import everywhere
from bascule.domain.weaknesses import SERVER_RETIRED, Weakness


class RetiredServer:
    """Whether the server that told a state last is one."""

    def __init__(self) -> None:
        self.number: int | None = None  # that it told; None: it is none
        self._has_told = False  # a state, whatever its number

    @property
    def is_current(self) -> bool:
        """Did a state of it show that it is none?"""
        return self._has_told and self.number is None

    def forget(self) -> None:
        """The next state may be another server's."""
        self._has_told = False

    def tells(self, uid: str, state: DesiredState, held: Held) -> bool:
        """Is this state, of the machine behind or of the point itself, from one?"""
        place = held.behind.get(uid, HeldBehind())
        is_lower = state.installation < max(held.installation, place.held.installation)
        self.number, self._has_told = state.installation if is_lower else None, True
        return is_lower

    def accept(self, held: Held) -> tuple[int | None, Held]:
        """Its number, and what is held so that it is retired no more; None: there is no such server."""
        number, self.number = self.number, None
        if number is None:
            return None, held
        return number, everywhere(held, lambda each: replace(each, installation=number))

    def weaknesses(self, held: Held) -> tuple[Weakness, ...]:
        if self.number is None:
            return ()
        return (SERVER_RETIRED(told=self.number, known=held.installation),)
