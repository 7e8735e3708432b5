"""What root orders on this host: opening a port without the server, and closing it again (EDGES A25).

On a gateway the port may be one of a machine behind it. Then it opens at the addresses that root named,
or that the machine had at that moment, within the networks of the guard file: nothing that a server says
later leads the opening elsewhere. Where no agent lives, whoever opens takes the table over, writes, and
leaves it to the next agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from bascule.agent.local_openings import LocalOpenings, local_lease
from bascule.agent.memory import HeldFile
from bascule.domain.bounds import Guard
from bascule.domain.held import Held, HeldBehind
from bascule.domain.holding import places
from bascule.domain.net import Address, AddressPrefix, PortKey, parse_address
from bascule.domain.plain import clean
from bascule.errors import EnforcementFailed, InvalidInput
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import HostDriver, Keeper
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

MOST_LISTED = 20  # machines behind, in an error


@dataclass(frozen=True, slots=True)
class Order:
    """One opening, as root gives it. ``machine`` is a name, a uid or an address; empty: this host."""

    port: PortKey
    sources: tuple[AddressPrefix, ...]
    duration: timedelta
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """``is_closed``: is the port closed there at all, so that it closes again by itself?"""

    grant_id: str
    is_closed: bool
    place: str = ""  # the machine behind, with the addresses at which it is open


class ByRoot:
    """For the thread of the reconciler alone. ``enforce`` makes a pass."""

    def __init__(
        self,
        reconciler: Reconciler,
        local: LocalOpenings,
        clock: Clock,
        enforce: Callable[[], Outcome],
    ) -> None:
        self._reconciler = reconciler
        self._local = local
        self._clock = clock
        self._enforce = enforce

    def open(self, order: Order) -> Opened:
        """Open, time-boxed; on record and in memory before anything is open, whoever dies then.

        Raises InvalidInput for a machine that is not behind this host. Raises EnforcementFailed where
        no opening would end by itself, with nothing done, and when the firewall refused: root is not
        told that it opened. It is held all the same, since it may be their only way in, and they are
        told that too.
        """
        self._reconciler.require_leases()
        uid, at = self._where(order)
        place = _place(self._reconciler.held, uid, at)
        grant_id, lease, opening = local_lease(
            self._clock, order.port, order.sources, order.duration, at
        )
        self._local.add(opening, uid, ", ".join(map(str, at)))
        self._reconciler.open_locally(grant_id, lease, None, uid)
        self._carry_out(grant_id, uid)
        log.warning(
            "opened locally",
            port=opening.port,
            at=place,
            sources=opening.sources,
        )
        closed = _held_of(self._reconciler.held, uid).closed
        return Opened(grant_id, any(each.port == order.port for each in closed), place)

    def close(self, port: PortKey, sources: Iterable[AddressPrefix], machine: str) -> Sequence[str]:
        """End what root opened of a port, of these sources or of all; a sentence for each that was
        ended. Raises InvalidInput as ``open``, and EnforcementFailed when the firewall refused.
        """
        wanted = tuple(sources)
        uid, named = _find(self._reconciler.held, machine) if machine else ("", None)
        ended = [
            (grant_id, lease)
            for grant_id, lease in _held_of(self._reconciler.held, uid).leases.items()
            if lease.is_local and port in lease.ports and wanted in ((), lease.sources)
            if named is None or named in lease.at
        ]
        said = []
        for grant_id, lease in ended:
            place = _place(self._reconciler.held, uid, lease.at)
            where = f"port {port}{' of ' if place else ''}{place}"
            said.append(f"{where} for {', '.join(map(str, lease.sources))}")
            self._reconciler.close_locally(grant_id, uid)
            self._reconciler.note("", f"root ended its own opening of {said[-1]}")
        if ended:
            self._enforce()
            self._reconciler.save()
        return said

    def _where(self, order: Order) -> tuple[str, tuple[Address, ...]]:
        """The machine's uid, and the addresses at which it is to open."""
        if not order.machine:
            return "", ()
        held = self._reconciler.held
        uid, named = _find(held, order.machine)
        clear = next(each.addresses for key, each in places(held) if key == uid)
        versions = {network.version for each in order.sources for network in each.networks}
        at = tuple(each for each in ((named,) if named else clear) if each.version in versions)
        if not at:
            what = (
                f"{order.machine} has no address here that is its own, of the source's IP version"
            )
            raise _unknown(what, held)
        _check_guard(self._reconciler.guard, order.machine, at)
        return uid, at

    def _carry_out(self, grant_id: str, uid: str) -> None:
        self._reconciler.save()
        try:
            outcome = self._enforce()
        except EnforcementFailed as error:
            raise _waiting(error.message) from error
        self._reconciler.save()
        read = outcome.behind.get(uid)
        in_force = outcome.in_force if not uid else read.in_force if read else frozenset()
        if outcome.refused and grant_id not in in_force:
            raise _waiting(outcome.refused)


def open_without_agent(
    driver: HostDriver, state: Path, clock: Clock, order: Order, keeper: Keeper, guard: Guard
) -> Opened:
    """Make the rules ours and open; the caller holds the lock on ``state``.

    ``keeper`` gives up what it keeps of an agent that is stopped. Raises as ``ByRoot.open``, and
    EnforcementFailed while somebody else still owns the rules.
    """
    return _without_agent(driver, state, clock, keeper, guard).open(order)


def close_without_agent(
    driver: HostDriver,
    state: Path,
    clock: Clock,
    port: PortKey,
    sources: Iterable[AddressPrefix],
    machine: str,
    keeper: Keeper,
    guard: Guard,
) -> Sequence[str]:
    """As ``open_without_agent``."""
    return _without_agent(driver, state, clock, keeper, guard).close(port, sources, machine)


def _without_agent(
    driver: HostDriver, state: Path, clock: Clock, keeper: Keeper, guard: Guard
) -> ByRoot:
    reconciler = Reconciler(driver, HeldFile(state, clock), clock, guard)
    reconciler.restore(driver.observe().rules)
    driver.own(keeper)
    return ByRoot(reconciler, LocalOpenings(state), clock, reconciler.reconcile)


def _find(held: Held, named: str) -> tuple[str, Address | None]:
    """The machine behind that is meant, and the address if that is how it was named; raises InvalidInput,
    which lists those that there are.
    """
    if named in held.behind:
        return named, None
    try:
        address = parse_address(named)
    except InvalidInput:
        found = [uid for uid, each in held.behind.items() if _same(each.name, named)]
        if len(found) == 1:
            return found[0], None
        which = (
            "several machines behind this host have" if found else "no machine behind this host has"
        )
        raise _unknown(f"{which} the name {named!r}", held) from None
    now_there = [uid for uid, each in held.behind.items() if address in each.addresses]
    there = now_there or [uid for uid, each in held.behind.items() if address in each.former]
    if len(now_there) > 1:
        raise _unknown(f"several machines claim {address}", held)
    if not there:
        raise _unknown(f"no machine behind this host is at {address}", held)
    return there[0], address


def _unknown(what: str, held: Held) -> InvalidInput:
    return InvalidInput(f"Nothing was done: {what}. {_listed(held)}", target="--machine")


def _same(name: str, named: str) -> bool:
    return bool(name) and name.casefold() == named.casefold()


def _listed(held: Held) -> str:
    """The machines behind, with their addresses."""
    told = [_told(uid, each) for uid, each in held.behind.items()]
    if not told:
        return "No machine is behind this host."
    more = f" and {len(told) - MOST_LISTED} more" if len(told) > MOST_LISTED else ""
    return f"Behind it: {', '.join(sorted(told)[:MOST_LISTED])}{more}."


def _told(uid: str, place: HeldBehind) -> str:
    at = [
        *map(str, place.addresses),
        *(f"{each} (former)" for each in sorted(place.former, key=str)),
    ]
    return f"{clean(place.name) or uid} at {' and '.join(at) or 'no address'}"


def _place(held: Held, uid: str, at: Sequence[Address]) -> str:
    """Empty: this host."""
    if not uid:
        return ""
    name = clean(held.behind[uid].name)
    addresses = " and ".join(map(str, at))
    return f"{name} ({addresses})" if name else addresses


def _held_of(held: Held, uid: str) -> Held:
    return held.behind[uid].held if uid else held


def _check_guard(guard: Guard, named: str, at: Iterable[Address]) -> None:
    beyond = [each for each in at if guard.objection_behind((each,), ()) is not None]
    if beyond:
        why = f" ({guard.problem})" if guard.problem else ""
        raise InvalidInput(
            f"Nothing was opened: {', '.join(map(str, beyond))} of {named} is in none of the "
            f"networks of this gateway's guard file{why}.",
            advice="Name the network there (networks), and restart the agent.",
            target="--machine",
        )


def _waiting(refusal: str) -> EnforcementFailed:
    return EnforcementFailed(
        "Not open yet. It is on record and waits: it opens as soon as the firewall takes it, "
        f"within its time. Why it does not: {refusal}",
        advice="It is tried again at each look: see bascule agent status.",
    )
