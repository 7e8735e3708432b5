"""A driver over ``FakeFirewall``: it passes the drivers' contract, so tests may trust it.

A second FakeDriver on one firewall is a second process on one host. It can do what its firewall
can (``FakeFirewall.abilities``): whatever that lacks, this lacks, and says so. Faults are asked for:
``refusals`` counts the next applies that the kernel refuses, ``is_unreadable`` stands for
a kernel that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass

from bascule.domain.capabilities import Capabilities
from bascule.domain.desired import RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, AddressPrefix, PortKey, PortMapped, PublicPort
from bascule.domain.plan import (
    ClosePort,
    DropDrain,
    DropOpening,
    Observed,
    Operation,
    PutCut,
    PutDrain,
    PutOpening,
    Rebuild,
    ReleasePort,
)
from bascule.domain.weaknesses import OWNER_UNKEPT
from bascule.errors import EnforcementFailed
from bascule.interfaces.driver import (
    Blocked,
    Condition,
    Examination,
    HostDriver,
    HostNeeds,
    Keeper,
)
from bascule.testing.fake_firewall import ADOPTED_FOR, FakeFirewall, FakeRules, within

SEEN_WITHIN = 60.0  # seconds after which edits by others show, where they do not at once


class FakeDriver:
    def __init__(self, firewall: FakeFirewall, *, is_owned: bool = True) -> None:
        self.firewall = firewall
        self.refusals = 0
        self.is_unreadable = False
        self.applied: list[Operation] = []  # what was carried out, for the curious
        self._is_owned = is_owned
        self._has_loaded = False
        self._known: set[PortKey] = set()  # closed by us, and not let go since
        self._read: tuple[FakeRules | None, float] = (None, float("-inf"))  # and when

    @property
    def capabilities(self) -> Capabilities:
        return self.firewall.abilities

    def condition(self) -> Condition:
        return Condition(self._is_owned, () if self._is_owned else (OWNER_UNKEPT(),))

    def observe(self) -> Observed:
        if self.is_unreadable:
            raise EnforcementFailed("The firewall cannot be read.", advice="Try again.")
        now = self.firewall.clock.boottime()
        if not self.capabilities.sees_changes and now - self._read[1] < SEEN_WITHIN:
            return self._observed(self._read[0], now)
        return self._observed(self._look(now), now)

    def _look(self, now: float) -> FakeRules | None:
        self._read = (deepcopy(self.firewall.rules), now)
        return self._read[0]

    def _observed(self, rules: FakeRules | None, now: float) -> Observed:
        if rules is None:
            return Observed(RuleSet(), False, "The firewall table is missing.", read_at=now)
        blocked = (self.firewall.rules or rules).blocked.items()
        behind = sum(count for (_, port), count in blocked if port.at is not None)
        knocks = sum(count for _, count in blocked) - behind
        why = ""
        if not self._has_loaded:
            why = "The rules were not loaded by this process."
        elif rules.is_damaged:
            why = "The table was changed by another program."
        return Observed(self.firewall.held(rules), not why, why, knocks, now, behind)

    def taken(self, ports: Collection[PortMapped]) -> Collection[PortMapped]:
        if self.is_unreadable:
            raise EnforcementFailed("The firewall cannot be read.", advice="Try again.")
        return {port for port in ports if PublicPort(port.at, port.number) in self.firewall.listens}

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        if self.refusals:
            self.refusals -= 1
            raise EnforcementFailed("The kernel refused.", advice="Try again.")
        if not self._has_loaded and not any(isinstance(each, Rebuild) for each in operations):
            raise EnforcementFailed("The rules have not been loaded yet by this process.")
        if self.firewall.rules is None and not isinstance(operations[0], Rebuild):
            raise EnforcementFailed("The firewall table is missing.")
        at = self.firewall.clock.boottime() if since is None else since
        for operation in operations:
            self._carry_out(operation, at)
            self.applied.append(operation)
        self._has_loaded = True
        self._look(self.firewall.clock.boottime())

    def _carry_out(self, operation: Operation, at: float) -> None:
        firewall = self.firewall
        match operation:
            case Rebuild(rules):
                self._rebuild(rules, at)
            case ClosePort(closed, is_new):
                self._close(closed, is_new=is_new)
            case ReleasePort(port):
                self._known.discard(port)
                firewall.release(port)
            case DropOpening(key):
                firewall.drop(key)
            case PutOpening(opening):
                firewall.open(opening, at)
            case PutCut(key, remaining):
                firewall.cut(key, remaining, at)
            case DropDrain(key):
                firewall.drain_no_more(key)
            case PutDrain(key, remaining):
                firewall.drain(key, remaining, at)

    def _rebuild(self, wanted: RuleSet, at: float) -> None:
        before = self.firewall.rules or FakeRules()
        self.firewall.rules = FakeRules(cuts=before.cuts, blocked=before.blocked)
        for closed in wanted.closed:
            self._close(closed, is_new=closed.port not in before.closed)
        self._known = {closed.port for closed in wanted.closed}
        for opening in wanted.openings.values():
            self.firewall.open(opening, at)
        for key, remaining in wanted.cuts.items():
            self.firewall.cut(key, remaining, at)
        for key, remaining in wanted.drains.items():
            self.firewall.drain(key, remaining, at)

    def _close(self, closed: ClosedPort, *, is_new: bool) -> None:
        """Connections found when a port is closed again: on a kill port they end, on a keep port
        a cut ends them.
        """
        is_known = closed.port in self._known
        self.firewall.close(closed, adopts=is_new and not is_known)
        self._known.add(closed.port)

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int] | None:
        if not self.capabilities.counts_sessions:
            return None
        live = [each for each in self.firewall.connections if not each.is_cut]
        return [
            sum(
                each.port == port and within(each.source, network)
                for each in live
                for network in AddressPrefix.parse(source).networks
            )
            for port, source in openings
        ]

    def tidy(self) -> None:
        rules = self.firewall.rules
        if rules is None:
            return
        now = self.firewall.clock.boottime()
        for each in self.firewall.connections:
            closed = rules.closed.get(each.port)
            is_kept = closed is not None and not closed.is_kill
            if self.firewall.is_alive(each) and is_kept and each.adopted_until > now:
                each.adopted_until = now + ADOPTED_FOR

    def blocked(self) -> Sequence[Blocked]:
        rules = self.firewall.rules
        found = rules.blocked if rules is not None else {}
        return [Blocked(str(source), port, count) for (source, port), count in found.items()]

    def own(self, keeper: Keeper) -> None:
        """No socket is behind it: nothing is kept, and nothing needs to be."""
        if not keeper.is_present:
            keeper.forget_stopped()
        self._has_loaded = self.firewall.rules is not None and not self.firewall.rules.is_damaged

    def close(self) -> None:
        self._has_loaded = False

    def remove(self) -> None:
        self.firewall.flush()
        self._known.clear()
        self._has_loaded = False


_NEEDS = HostNeeds("the rules of the fake", unkept=OWNER_UNKEPT)


@dataclass(frozen=True, slots=True)
class FakeHostFirewall:
    """``interfaces.driver.HostFirewall`` over whatever ``opened`` gives."""

    opened: Callable[[], HostDriver]
    name: str = "fake"
    needs: HostNeeds = _NEEDS

    def open(self) -> HostDriver:
        return self.opened()

    def standing(self, closed: Collection[ClosedPort], *, is_trial: bool = False) -> str:
        del is_trial
        return "".join(f"close {each.port}\n" for each in closed)

    def examine(
        self, ports: Collection[PortKey], gateways: Collection[Address] = ()
    ) -> Examination:
        """Nothing else is on such a host."""
        del gateways
        return Examination(frozenset(ports))
