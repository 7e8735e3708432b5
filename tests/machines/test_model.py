"""Everything at once: people, policies, clocks and crashes, against a small model of what may be.

The machine plays a server and one enforcement point out of the domain's own functions. The
model beside it knows neither prefixes nor leases nor generations of theirs: it is a list of
who was given which address and port until when, and which of that the point can have heard.
After every step it says for each address and port whether a packet may pass; after a good
answer of the server it says so exactly.

One thing is deliberately kept out: a point cannot tell an answer that it never took in, or
has forgotten, from a new one (TLS does that). So only answers that it took in and remembers
are replayed to it, and a server's clock goes back only while it remembers its leases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Generic, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bascule.domain.decide import Allowed, decide
from bascule.domain.desired import (
    STALE_AFTER,
    DesiredState,
    Opening,
    OpeningKey,
    RuleSet,
    desired_state,
)
from bascule.domain.grant import Grant, confirm_open, cut_to, end, extend_to
from bascule.domain.held import Held, forget_ended, hold, not_let_go_yet, rule_set
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, RuleProtocol, is_within
from bascule.domain.plan import (
    ClosePort,
    DropOpening,
    Observed,
    Operation,
    PutCut,
    PutOpening,
    ReleasePort,
    plan,
)
from bascule.domain.policy import MachineRules, Policy, PortRule, closed_union
from bascule.domain.times import format_utc
from tests.samples import NOW, POLICY_ID, TCP, WEB, asked, ids, machine, prefixes, request

UID = "uid-web"
ELSEWHERE = "198.51.100.1"
HOSTS = tuple(f"192.0.2.{n}" for n in range(8))
EVERYWHERE = (*HOSTS, ELSEWHERE)
# What a source reaches, counted on fingers: the model never asks ``net``.
SOURCES = {
    "*": frozenset(EVERYWHERE),
    "192.0.2.0/29": frozenset(HOSTS),
    "192.0.2.0/30": frozenset(HOSTS[:4]),
    "192.0.2.2": frozenset({HOSTS[2]}),
    "192.0.2.5": frozenset({HOSTS[5]}),
}
PORTS = (22, 3389)
MAXIMA = (300, 3600, 10_800)  # seconds
PEOPLE = ("alice", "bob", "carol")

people = st.sampled_from(PEOPLE)
ports = st.sampled_from(PORTS)
sources = st.sampled_from(sorted(SOURCES))
maxima = st.sampled_from(MAXIMA)
spans = st.one_of(
    st.integers(-1, 400), st.sampled_from([300, 360, 361, 3600, 3661, 10_800, 10_860, 10_861])
)
picks = st.integers(0, 30)

V = TypeVar("V")


# -- the model ----------------------------------------------------------------------------------


@dataclass
class Timeline(Generic[V]):
    """A value's versions, each with the generation that brought it."""

    first: V
    versions: list[tuple[int, V]] = field(default_factory=list)

    def now(self) -> V:
        return self.versions[-1][1] if self.versions else self.first

    def say(self, generation: int, value: V) -> None:
        self.versions.append((generation, value))

    def at(self, generation: int) -> V:
        """What somebody goes by who has heard of ``generation`` and of nothing later."""
        heard = [value for when, value in self.versions if when <= generation]
        return heard[-1] if heard else self.first


@dataclass
class Given:
    """One permission: an address set and a port, until a real moment (0: not at all).

    ``started`` is by the server's clock, by which alone an owner's maximum is counted.
    """

    who: str
    source: str
    port: int
    started: int
    until: Timeline[int]


@dataclass
class Model:
    """What may be open. Thirty lines that a person can hold in his head."""

    offers: dict[int, tuple[str, int]] = field(default_factory=dict)  # port -> source, maximum
    given: dict[str, Given] = field(default_factory=dict)
    shut: dict[int, Timeline[bool]] = field(
        default_factory=lambda: {port: Timeline(first=False) for port in PORTS}
    )

    def would_allow(self, port: int, source: str, span: int) -> bool:
        if port not in self.offers:
            return False
        offered, longest = self.offers[port]
        return SOURCES[source] <= SOURCES[offered] and 0 < span <= longest + 60

    def passes(self, address: str, port: int, heard: int, let_go: int, at: int) -> bool:
        """May a packet pass a point that last heard of generation ``heard``, and whose firewall
        has followed what was released until ``let_go``?
        """
        return not (self.shut[port].at(heard) or self.shut[port].at(let_go)) or any(
            at < given.until.at(heard)
            for given in self.given.values()
            if given.port == port and address in SOURCES[given.source]
        )


# -- a kernel, as far as it matters here ------------------------------------------------------------


@dataclass
class Kernel:
    """Closed ports and elements that end by themselves; it outlives every process of ours."""

    closed: frozenset[ClosedPort] = frozenset()
    ends: dict[OpeningKey, float] = field(default_factory=dict)

    def observe(self, at: int) -> Observed:
        self.ends = {key: until for key, until in self.ends.items() if until > at}
        openings = {
            key: Opening(key, timedelta(seconds=until - at), "") for key, until in self.ends.items()
        }
        return Observed(RuleSet(self.closed, openings), is_intact=True)

    def apply(self, operations: Iterable[Operation], at: int) -> None:
        for operation in operations:
            match operation:
                case ClosePort(closed):
                    self.closed = self._others(closed.port) | {closed}
                case ReleasePort(port):
                    self.closed = self._others(port)
                case DropOpening(key):
                    del self.ends[key]
                case PutOpening(opening):
                    self.ends[opening.key] = at + opening.remaining.total_seconds()
                case PutCut():
                    pass  # nobody is killed in this play
                case _:
                    raise AssertionError(operation)

    def _others(self, port: PortKey) -> frozenset[ClosedPort]:
        return frozenset(each for each in self.closed if each.port != port)

    def lets_pass(self, address: str, port: int, at: int) -> bool:
        if port not in {each.port.number for each in self.closed}:
            return True
        return any(
            key.port.number == port and until > at and ip_address(address) in key.source
            for key, until in self.ends.items()
        )


# -- the play ---------------------------------------------------------------------------------------


class AccessMachine(RuleBasedStateMachine):
    """A server, its enforcement point, people, and whatever can go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.real = 0  # seconds: the point's boot clock, and the truth
        self.skew = 0  # of the server's clock
        # the server
        self.offered: dict[int, PortRule] = {}
        self.closed: frozenset[ClosedPort] = frozenset()
        self.released: dict[PortKey, int] = {}
        self.grants: dict[str, Grant] = {}
        self.generation = 0
        self.new_id = ids("g")
        self.recorded: list[DesiredState] = []
        # the point
        self.held = Held()
        self.heard = 0  # the generation that it took in last and remembers
        self.saved = [(Held(), 0), (Held(), 0)]  # newest first
        self.kernel = Kernel()

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.real + self.skew)

    def live(self) -> list[Grant]:
        return [grant for grant in self.grants.values() if grant.is_live]

    def pick(self, which: int) -> Grant:
        live = self.live()
        return live[which % len(live)]

    def policy(self) -> Policy:
        return Policy(POLICY_ID, "Basic", (MachineRules(WEB, tuple(self.offered.values())),))

    def finish(self, grant: Grant, reason: StatusReason) -> None:
        self.grants[grant.id] = end(grant, reason, self.now)
        self.model.given[grant.id].until.say(self.generation, 0)

    # -- people

    @rule(who=people, port=ports, source=sources, span=spans)
    def ask(self, who: str, port: int, source: str, span: int) -> None:
        """The model and ``decide`` must agree before anything is given."""
        wanted = asked(port, prefixes(source), timedelta(seconds=span), self.now)
        call = request(wanted, who=who, now=self.now)
        verdict = decide(self.policy(), call, {WEB: machine()}, self.live(), self.new_id, self.now)
        assert isinstance(verdict, Allowed) is self.model.would_allow(port, source, span)
        if not isinstance(verdict, Allowed):
            return
        self.generation += 1
        older = {
            name
            for name, given in self.model.given.items()
            if (given.who, given.port, given.source) == (who, port, source)
            and name in {each.id for each in self.live()}
        }
        assert {each.id for each in verdict.superseded} == older
        for old in verdict.superseded:
            self.finish(old, StatusReason.NEWER_REQUEST_INITIATED)
        (grant,) = verdict.grants
        self.grants[grant.id] = grant
        given = Given(who, source, port, self.real + self.skew, Timeline(0))
        given.until.say(self.generation, self.real + min(span, self.model.offers[port][1]))
        self.model.given[grant.id] = given

    @precondition(lambda self: self.model.offers)
    @rule(who=people, which=picks, span=st.sampled_from([1, 60, 300]))
    def ask_modestly(self, who: str, which: int, span: int) -> None:
        """As most people do: a port on offer, from where it is offered."""
        port = sorted(self.model.offers)[which % len(self.model.offers)]
        self.ask(who, port, self.model.offers[port][0], span)

    @precondition(lambda self: self.live())
    @rule(which=picks)
    def revoke(self, which: int) -> None:
        self.generation += 1
        self.finish(self.pick(which), StatusReason.USER_REQUESTED)

    @precondition(lambda self: self.live())
    @rule(which=picks, span=st.integers(1, 300))
    def extend(self, which: int, span: int) -> None:
        """Decided like a new request; only to a later end than the one that holds."""
        grant = self.pick(which)
        given = self.model.given[grant.id]
        later = self.now + timedelta(seconds=span)
        if self._is_late(grant):
            return
        if self.real + span < given.until.now() or not self.now < grant.ends_at <= later:
            return  # by the server's clock too, which may have been set back
        self.generation += 1
        self.grants[grant.id] = extend_to(grant, replace(grant, ends_at=later))
        given.until.say(self.generation, self.real + span)

    # -- the owner

    @rule(port=ports, source=sources, longest=maxima)
    def set_rule(self, port: int, source: str, longest: int) -> None:
        """In the same commit: what it no longer allows ends, what lasts too long is cut."""
        self.generation += 1
        self.offered[port] = PortRule(
            port, RuleProtocol.TCP, prefixes(source), timedelta(seconds=longest)
        )
        self.model.offers[port] = (source, longest)
        self._close()
        for grant in self.live():
            if grant.number != port:
                continue
            given = self.model.given[grant.id]
            inside = is_within(grant.sources, prefixes(source))
            assert inside is (SOURCES[given.source] <= SOURCES[source])
            if not inside:
                self.finish(grant, StatusReason.USER_REQUESTED)
                continue
            latest = grant.started_at + timedelta(seconds=longest)
            self.grants[grant.id] = cut_to(grant, latest, format_utc(latest))
            cut = given.started + longest - self.skew
            given.until.say(self.generation, min(given.until.now(), cut))

    def _close(self) -> None:
        wanted = closed_union(self.offered.values())
        named = {each.port for each in wanted}
        self.closed = wanted | {each for each in self.closed if each.port not in named}
        for port in named:
            self.released.pop(port, None)
        for each in wanted:
            self.model.shut[each.port.number].say(self.generation, value=True)

    @rule(port=ports)
    def drop_rule(self, port: int) -> None:
        """The policy stops naming the port: its grants end, and it stays shut."""
        if self.offered.pop(port, None) is None:
            return
        self.generation += 1
        del self.model.offers[port]
        for grant in self.live():
            if grant.number == port:
                self.finish(grant, StatusReason.USER_REQUESTED)

    @rule(port=ports)
    def release(self, port: int) -> None:
        """The one way by which a closed port opens to everybody."""
        key = PortKey(TCP, port)
        if port in self.offered or key not in {each.port for each in self.closed}:
            return
        self.generation += 1
        self.closed = frozenset(each for each in self.closed if each.port != key)
        self.released[key] = self.generation
        self.model.shut[port].say(self.generation, value=False)

    # -- time

    @rule(seconds=st.one_of(st.integers(1, 60), st.integers(60, 4000)))
    def pass_time(self, seconds: int) -> None:
        self.real += seconds

    def _ends_to_come(self) -> list[int]:
        ends = (given.until.at(self.heard) for given in self.model.given.values())
        return [until for until in ends if until >= self.real]

    @precondition(lambda self: self._ends_to_come())
    @rule(late=st.integers(0, 2))
    def let_one_end(self, late: int) -> None:
        """Time passes to the next end that may be: the moment at which things break."""
        self.real = min(self._ends_to_come()) + late
        self.nothing_is_open_that_may_not_be()
        self._enforce()

    @rule()
    def sweep(self) -> None:
        """The server notices what ended, by its own clock."""
        over = [each for each in self.live() if each.ends_at <= self.now or self._is_late(each)]
        self.generation += bool(over)
        for grant in over:
            self.finish(grant, StatusReason.EXPIRED)

    def _is_remembered(self) -> bool:
        """Has the point heard of every grant, of its extensions and of the end it has now?"""
        held, _ = self.saved[0]
        known = {**held.ended, **held.leases}
        return all(
            grant.id in known
            and known[grant.id].extension == grant.extension
            and known[grant.id].deadline <= self.real + (grant.ends_at - self.now).total_seconds()
            for grant in self.live()
        )

    @precondition(lambda self: self._is_remembered())
    @rule(seconds=st.sampled_from([1, 60, 3600]))
    def set_server_clock_back(self, seconds: int) -> None:
        """To it, every grant has that much more time now; the point hears so at once."""
        self.skew -= seconds
        self.poll(dies="no")

    # -- the point

    def _is_late(self, grant: Grant) -> bool:
        """It did not open within a minute: nobody waits for it any more."""
        since = self.real + self.skew - self.model.given[grant.id].started
        return grant.state.value == "opening" and not -60 <= since < 60

    def _answer(self) -> DesiredState:
        for grant in self.live():
            if self._is_late(grant):  # swept or not
                self.model.given[grant.id].until.say(self.generation, 0)
        state = desired_state(
            UID, self.generation, self.closed, self.released, self.grants.values(), self.now
        )
        told = {lease.grant_id for lease in state.leases}
        for grant in self.live():
            if grant.state.value == "opening" and grant.id in told:
                self.grants[grant.id] = confirm_open(grant)
        return state

    def _save(self) -> None:
        held = not_let_go_yet(self.held, self.saved[0][0])
        self.saved = [(held, self.heard), self.saved[0]]

    def _save_after(self) -> None:
        """The firewall has followed: what was let go need not be remembered any more."""
        self.saved[0] = (self.held, self.heard)

    def _enforce(self) -> None:
        self.held = forget_ended(self.held, self.real)
        wanted = rule_set(self.held, self.real)
        self.kernel.apply(plan(wanted, self.kernel.observe(self.real)), self.real)

    def _start(self) -> None:
        """A new process: memory as loaded, and shut whatever the kernel still shuts."""
        known = {each.port for each in self.held.closed}
        kept = {each for each in self.kernel.closed if each.port not in known}
        self.held = replace(self.held, closed=self.held.closed | kept)
        if self.held.closed != self.saved[0][0].closed:
            self._save()  # before the firewall: the next process may find nothing in it
        self._enforce()

    @rule(dies=st.sampled_from(["no", "no", "no", "before saving", "before enforcing"]))
    def poll(self, dies: str) -> None:
        """Ask, hold, save, enforce; or be killed on the way and start again from what is saved."""
        state = self._answer()
        self.held = hold(self.held, state, self.real, self.real)
        if dies != "before saving":
            self.heard = state.generation
            self._save()
            self.recorded.append(state)
        if dies != "no":
            self.held, self.heard = self.saved[0]
            self._start()
            return
        self._enforce()
        self._save_after()
        for address in EVERYWHERE:
            for port in PORTS:
                assert self.kernel.lets_pass(address, port, self.real) is self.model.passes(
                    address, port, self.generation, self.generation, self.real
                ), (address, port)

    @rule(seconds=st.integers(int(STALE_AFTER) + 1, 600))
    def poll_slowly(self, seconds: int) -> None:
        """The answer took too long; the point goes on as it must, and asks again another time."""
        state, asked_at = self._answer(), self.real
        self.real += seconds
        self._hold_and_enforce(state, asked_at)

    def _replayable(self) -> list[DesiredState]:
        """Those that are outranked, and those of which the point remembers every lease; none
        for a point that has forgotten what it took in, so that it lets go what it must.
        """
        if self.held.generation < self.heard:
            return []
        known = self.held.leases.keys() | self.held.ended.keys()
        return [
            state
            for state in self.recorded
            if state.generation < self.heard
            or (
                state.generation == self.heard and known >= {each.grant_id for each in state.leases}
            )
        ]

    @precondition(lambda self: self._replayable())
    @rule(which=picks)
    def replay(self, which: int) -> None:
        """An answer of before, given to a question of now."""
        states = self._replayable()
        self._hold_and_enforce(states[-1 - which % len(states)], self.real)

    @rule()
    def look(self) -> None:
        """A pass without the server."""
        self._enforce()

    def _hold_and_enforce(self, state: DesiredState, asked_at: int) -> None:
        self.held = hold(self.held, state, asked_at, self.real)
        self._save()
        self._enforce()
        self._save_after()

    @rule()
    def crash(self) -> None:
        """kill -9, and a new process from what was saved last."""
        self.held, self.heard = self.saved[0]
        self._start()

    @precondition(lambda self: self.skew == 0)
    @rule()
    def crash_with_damaged_memory(self) -> None:
        """The newest file is unreadable: the closed ports of the one before, none of its grants."""
        older, self.heard = self.saved[1]
        self.held = Held(generation=older.generation, closed=older.closed)
        self.saved = [(self.held, self.heard)] * 2
        self.recorded = [each for each in self.recorded if each.generation < self.heard]
        self._start()

    # -- what must be so at every moment

    @initialize()
    def begin(self) -> None:
        self.set_rule(22, "*", 3600)
        self.set_rule(3389, "192.0.2.0/29", 300)
        self.ask("alice", 22, "192.0.2.2", 300)
        self.poll(dies="no")

    @invariant()
    def nothing_is_open_that_may_not_be(self) -> None:
        """The promise of the whole product."""
        for address in EVERYWHERE:
            for port in PORTS:
                if self.kernel.lets_pass(address, port, self.real):
                    assert self.model.passes(
                        address, port, self.heard, self.held.generation, self.real
                    ), (address, port)


TestAccess = pytest.mark.timeout(600)(AccessMachine.TestCase)
TestAccess.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
