"""What an agent's loop needs of its server, however the two are connected.

The state is asked for, and reports are sent; a line (``line_link``) also tells that something is
newer, pushes states and asks for echoes of its beats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from bascule.domain.desired import DesiredState
from bascule.errors import AuthenticationFailed, ServerUnreachable
from bascule.protocol.report import Report


class KeyRefused(AuthenticationFailed):
    """The server does not know this agent's key: every opening must be closed (EDGES A12)."""

    code = "AgentKeyRefused"


class ChangedOnTheWay(ServerUnreachable):
    """What came was not said by the server that this agent knows: it changes nothing (EDGES I1)."""

    code = "ChangedOnTheWay"


class NotGuarded(ServerUnreachable):
    """The server says that this point does not guard that machine (any more)."""

    code = "NotBound"


@dataclass(frozen=True, slots=True)
class Identity:
    server: str  # base URL
    tenant_id: str
    machine_uid: str
    private_key: bytes  # Ed25519, raw 32 bytes
    trust_key: str = ""  # the server's, pinned at enrolment (``protocol.signed``)
    is_through: bool = False  # it comes through a proxy that ends TLS: all is signed or sealed


@dataclass(frozen=True, slots=True)
class Pushed:
    """A state that was not asked for."""

    state: DesiredState
    asked_at: float  # from when its times count (CLOCK_BOOTTIME seconds)


class Listener(Protocol):
    """Whom the thread of ``listen`` tells what came. Each call returns at once."""

    def on_line(self, acknowledged: str, generation: int | None) -> None:
        """A line lives; with the digest of the last report that the server took, and its generation."""
        ...

    def on_generation(self, generation: int) -> None:
        """The server's, as of now."""
        ...

    def on_push(self, generation: int) -> None:
        """A state of this generation can be had from ``pushed``."""
        ...

    def on_expected(self) -> None:
        """Something may be pushed in a moment."""
        ...

    def on_doubt(self) -> None:
        """Something came that cannot be used: the state is to be asked for."""
        ...

    def on_report_wanted(self) -> None: ...

    def on_behind(self) -> None:
        """``LinkBehind.named`` tells something else than before."""
        ...


class LinkBehind(Protocol):
    """The same of the machines behind a gateway, each by its uid."""

    def named(self) -> Mapping[str, int] | None:
        """The machines beside its own that the server has this point guard, with the generation that
        each is to come to; None: it has not said lately.
        """
        ...

    def fetch_behind(self, uid: str) -> DesiredState:
        """The state of one of them as of now. Raises NotGuarded, StateRefused, ServerUnreachable and
        KeyRefused.
        """
        ...

    def pushed_behind(self, uid: str) -> Pushed | None:
        """As ``pushed``."""
        ...

    def report_behind(self, uid: str, report: Report) -> None:
        """Raises NotGuarded, ServerUnreachable and KeyRefused."""
        ...


class NothingBehind:
    """The part of a Link whose server has it guard no other machine."""

    def named(self) -> Mapping[str, int] | None:
        return None

    def fetch_behind(self, uid: str) -> DesiredState:
        raise NotGuarded(f"Machine {uid} is not guarded here.")

    def pushed_behind(self, uid: str) -> Pushed | None:
        del uid
        return None

    def report_behind(self, uid: str, report: Report) -> None:
        del report
        raise NotGuarded(f"Machine {uid} is not guarded here.")


class Link(LinkBehind, Protocol):
    """Where desired state comes from and reports go to."""

    @property
    def has_line(self) -> bool:
        """The server tells what is new, and hears that this agent lives, without being asked."""
        ...

    @property
    def may_poll(self) -> bool:
        """No line has lived for so long that the state is to be polled."""
        ...

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        """The state as of now; ``meanwhile`` is called while the answer is on its way."""
        ...

    def send_report(self, report: Report) -> int:
        """Returns the server's generation."""
        ...

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        """Block, telling what comes, until the connection ends."""
        ...

    def come_back_within(self, *, holds_leases: bool) -> float:
        """Seconds within which to connect again after a loss, at a random moment."""
        ...

    def pushed(self) -> Pushed | None:
        """The newest state that was pushed and not taken yet."""
        ...

    def begin_pass(self) -> None:
        """What is read back from here on answers the beats that came before."""
        ...

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        """The pass is over, whole and intact; the digests are those of ``Echo``. ``behind``: the
        generations of the machines behind that were read back.
        """
        ...

    def clock_skew(self) -> timedelta | None:
        """By how much this host's clock is ahead of the server's; None: not known."""
        ...


class WithoutLine(NothingBehind):
    """The part of a Link that polls and has no line."""

    has_line = False
    may_poll = True

    def come_back_within(self, *, holds_leases: bool) -> float:
        del holds_leases
        return 0.0

    def pushed(self) -> Pushed | None:
        return None

    def begin_pass(self) -> None:
        pass

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        pass

    def clock_skew(self) -> timedelta | None:
        return None
