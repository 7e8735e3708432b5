"""What servers on one database tell each other: that something changed, never the change itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Heard:
    """What another server said may have changed."""

    machine_uids: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()
    point_uids: tuple[str, ...] = ()  # that have newer connections there
    is_of_lines: bool = False  # nothing changed but these
    is_all: bool = False  # anything may have


ALL = Heard(is_all=True)


@dataclass(frozen=True, slots=True)
class HintState:
    """Do hints come through? In seconds."""

    connected_for: float | None  # None: not connected
    heard_itself: float | None  # since a hint of this server's own last came back; None: never


class Hints(Protocol):
    """The way to the other servers; any thread may call it."""

    def tell(
        self,
        machine_uids: Iterable[str],
        request_ids: Iterable[str],
        point_uids: Iterable[str] | None = None,
    ) -> None:
        """These changed, or, with ``point_uids``, these points have newer connections here."""
        ...

    def tell_all(self) -> None: ...

    @property
    def state(self) -> HintState: ...


class OpenHints(Hints, Protocol):
    """As its owner has it."""

    def close(self) -> None: ...
