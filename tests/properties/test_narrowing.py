"""No grant outlives what allows it, however edits and requests fall between one another.

EDGES A11: a commit that narrows or removes a policy, a rule, a machine or a right ends, in that
commit, each grant that it no longer allows; a request is decided on rows read inside the transaction
that writes it. A thousand rounds of several people's acts, all submitted at once; the rule is
checked inside each act's own transaction, right before it commits. What is granted is reported
open, so that it lives until it ends or is ended. Once by one server on SQLite, and once by two on
one PostgreSQL, each with a writer of its own (EDGES H1).
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.builtin_roles import CONTRIBUTOR
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import Machine, OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol, is_within
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.scopes import subscription_scope
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, Forbidden
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.protocol.report import Report
from bascule.services import (
    assignments,
    fleet,
    live_requests,
    machine_rules,
    machines,
    policies,
    reports,
    requests,
)
from bascule.services.act import Act, Services, new_id
from bascule.services.hub import Hub
from bascule.services.sweep import sweep
from bascule.store.sql_store import SqlStore
from tests.support.postgresql import cluster, database_of, open_beside, wait
from tests.support.stores import new_postgresql
from tests.unit.services_world import ANNA, BERT, World, rules

ROUNDS = 1000
NUMBERS = (22, 23, 53)
PROTOCOLS = (
    (RuleProtocol.TCP,),
    (RuleProtocol.UDP,),
    (RuleProtocol.ALL,),
    (RuleProtocol.TCP, RuleProtocol.UDP),  # two rules of one number
)
NETWORKS = ("*", "192.0.2.0/24", "192.0.2.0/25", "198.51.100.7")
SOURCES = ("192.0.2.1", "192.0.2.200", "198.51.100.7")
LONGEST = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=3))

Work = Callable[[Transaction, Act], object]


def _world(store: SqlStore | None) -> World:
    """Bert has a role that can be taken from him: he is no owner."""
    made = World(store)

    def work(tx: Transaction, act: Act) -> None:
        (given,) = tx.role_assignments_of([BERT.principal_id])
        tx.delete_role_assignment(given.id)
        tx.add_role_assignment(made.assignment(act, BERT, CONTRIBUTOR))

    made.do(work)
    return made


@pytest.fixture
def world() -> Iterator[World]:
    made = _world(None)
    yield made
    made.close()


@pytest.fixture
def world_of_two() -> Iterator[tuple[World, Services]]:
    """Two servers on one database."""
    first = new_postgresql()
    made = _world(first)
    second = open_beside(first)
    yield made, Services(second, made.clock, Hub())
    second.close()
    made.close()


class People:
    """Draws one act after another; the same seed draws the same."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._names = [world.policy_id("default"), world.policy_id("second")]
        self.decided: dict[str, datetime] = {}  # grant -> when its end was last decided

    def act(self) -> Work:
        often = (self._ask, self._extend, self._change, self._put_one)
        rare = (self._put, self._revoke, self._take_role, self._give_role)
        rarest = (self._delete_policy, self._remove_rules, self._replace)
        weights = (40, 20, 30, 5, 2, 2, 1, 4, 0.5, 0.5, 0.5)
        (kind,) = self._chance.choices((*often, *rare, *rarest), weights)
        return kind()

    def _machine(self) -> Machine:
        return self._chance.choice((self._world.web, self._world.db))

    def _rules(self, machine: Machine) -> MachineRules:
        numbers = self._chance.sample(NUMBERS, self._chance.randint(1, 3))
        return MachineRules(
            machine.id,
            tuple(
                PortRule(
                    number,
                    protocol,
                    (AddressPrefix.parse(self._chance.choice(NETWORKS)),),
                    self._chance.choice(LONGEST),
                    self._chance.choice((OnExpiry.KEEP, OnExpiry.KILL)),
                )
                for number in numbers
                for protocol in self._chance.choice(PROTOCOLS)
            ),
        )

    def _ask(self) -> Work:
        policy, machine = self._chance.choice(self._names), self._machine()
        source = AddressPrefix.parse(self._chance.choice(SOURCES))
        number, subject = self._chance.choice(NUMBERS), self._chance.choice((ANNA, BERT))
        span = timedelta(minutes=self._chance.choice((1, 5, 60, 180)))

        def work(tx: Transaction, act: Act) -> object:
            ends = act.now + span
            port = RequestedPort(number, (source,), ends, format_utc(ends))
            asked = (RequestedMachine(machine.id, (port,)),)
            made = requests.initiate(tx, act, policy, asked, None, subject)
            if isinstance(made, requests.Initiated):
                self.decided.update({grant.id: act.now for grant in made.grants})
            return made

        return work

    def _change(self) -> Work:
        """One thing of one rule, as an owner mostly does."""
        name, pick = self._chance.choice(self._names), self._chance.random()
        longest = self._chance.choice((*LONGEST, None))
        on_expiry = self._chance.choice((OnExpiry.KEEP, OnExpiry.KILL))

        def work(tx: Transaction, act: Act) -> object:
            stored = tx.policy(name)
            every = [(m, p) for m in stored.policy.machines for p in m.ports] if stored else []
            if stored is None or not every:
                return None
            rules, rule = every[int(pick * len(every))]
            changed = (
                replace(rule, max_duration=longest)
                if longest is not None
                else replace(rule, on_expiry=on_expiry)
            )
            ports = tuple(changed if each is rule else each for each in rules.ports)
            policy = stored.policy.with_rules(replace(rules, ports=ports))
            return policies.put_policy(tx, act, ANNA, policy)

        return work

    def _put(self) -> Work:
        every = [self._rules(m) for m in (self._world.web, self._world.db)]
        rules = tuple(self._chance.sample(every, self._chance.randint(1, 2)))
        policy = Policy(self._chance.choice(self._names), "Basic", rules)
        return lambda tx, act: policies.put_policy(tx, act, ANNA, policy)

    def _put_one(self) -> Work:
        machine = self._machine()
        ports, name = self._rules(machine).ports, self._chance.choice(("default", "second"))
        return lambda tx, act: machine_rules.put_machine_rules(
            tx, act, ANNA, machine.id, ports, name, ()
        )

    def _delete_policy(self) -> Work:
        policy = self._chance.choice(self._names)
        return lambda tx, act: policies.delete_policy(tx, act, ANNA, policy)

    def _remove_rules(self) -> Work:
        machine = self._machine()
        return lambda tx, act: machine_rules.delete_machine_rules(tx, act, ANNA, machine.id)

    def _extend(self) -> Work:
        pick, minutes = self._chance.random(), self._chance.choice((5, 60, 180))

        def work(tx: Transaction, act: Act) -> object:
            live = tx.live_grants()
            if not live:
                return None
            ends = act.now + timedelta(minutes=minutes)
            wanted = live[int(pick * len(live))]
            (who,) = (each for each in (ANNA, BERT) if each.principal_id == wanted.requestor_id)
            text = format_utc(ends)
            denied = live_requests.extend(tx, act, wanted.request_id, ends, text, who)
            if denied is None:
                extended = [each for each in live if each.request_id == wanted.request_id]
                self.decided.update({each.id: act.now for each in extended})
            return denied

        return work

    def _revoke(self) -> Work:
        pick = self._chance.random()

        def work(tx: Transaction, act: Act) -> object:
            live = tx.live_grants()
            if not live:
                return None
            wanted = live[int(pick * len(live))].request_id
            live_requests.revoke(tx, act, wanted, None, kills_sessions=False, subject=ANNA)
            return None

        return work

    def _take_role(self) -> Work:
        """Bert's role, with all that he may do."""

        def work(tx: Transaction, act: Act) -> object:
            for each in tx.role_assignments_of([BERT.principal_id]):
                assignments.delete_assignment(tx, act, each.id, each.scope)
            return None

        return work

    def _give_role(self) -> Work:
        whole = subscription_scope(self._world.installation.subscription_id)
        draft = assignments.AssignmentDraft(CONTRIBUTOR.id, BERT.principal_id)
        return lambda tx, act: assignments.put_assignment(tx, act, ANNA, new_id(), whole, draft)

    def _replace(self) -> Work:
        """The machine goes and one of the same name comes."""
        machine = self._machine()

        def work(tx: Transaction, act: Act) -> object:
            machines.delete_machine(tx, act, machine.id)
            new, _ = machines.put_machine(tx, act, machine.id, machines.MachineDraft(), "local")
            token, lives = f"token-{new.uid}", timedelta(minutes=5)
            fleet.create_enrolment(tx, act, new.id, lambda _: token, lives, replaces=False)
            return fleet.enrol(tx, act, token, "key", "test")

        return work


def _report(tx: Transaction, act: Act) -> None:
    """Each machine where something is about to open reports all that it should hold."""
    live = tx.live_grants()
    for uid in {grant.machine_uid for grant in live if grant.state is GrantState.OPENING}:
        held = frozenset(grant.id for grant in live if grant.machine_uid == uid)
        reports.take_report(tx, act, uid, Report(tx.generation(uid), held))


def _check(tx: Transaction, act: Act, decided: Mapping[str, datetime]) -> None:
    """Every live grant is within what its policy says now, on a machine that is there now, of
    somebody with a role; and ends no later than the maximum of now would have let it when its end
    was last decided.
    """
    live = tx.live_grants()
    who = list({grant.requestor_id for grant in live})
    may_ask = {each.principal_id for each in tx.role_assignments_of(who)}
    assert may_ask == set(who), "nobody keeps a port who has lost the right to ask for it"
    known = {each: tx.machine(each) for each in {grant.machine_id for grant in live}}
    named = {each: tx.policy(each) for each in {grant.policy_id for grant in live}}
    for grant in live:
        machine = known[grant.machine_id]
        assert machine is not None
        assert machine.uid == grant.machine_uid, "a new machine of that name inherits nothing"
        stored = named[grant.policy_id]
        assert stored is not None, grant
        rules = stored.policy.rules_for(grant.machine_id)
        assert rules is not None, grant
        for key in grant.port_keys:
            assert any(
                key in rule.port_keys
                and is_within(grant.sources, rule.sources)
                and grant.ends_at <= decided[grant.id] + rule.max_duration
                for rule in rules.ports
            ), grant
        assert grant.ends_at > act.now, "no end is moved into the past"


def _interleave(world: World, *servers: Services, at_once: int) -> None:
    people = People(world, seed=11)
    made, refused = 0, 0

    def checked(work: Work) -> Work:
        def unit(tx: Transaction, act: Act) -> object:
            try:
                result = work(tx, act)
            except BasculeError:
                _check(tx, act, people.decided)
                raise
            _check(tx, act, people.decided)
            return result

        return unit

    async def rounds() -> None:
        nonlocal made, refused
        for number in range(ROUNDS):
            acts = [
                servers[place % len(servers)].perform(checked(people.act()), ANNA)
                for place in range(number, number + at_once)
            ]
            for result in await asyncio.gather(*acts, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(result, BasculeError):
                    raise result
                made += isinstance(result, requests.Initiated)
                refused += isinstance(result, BasculeError)
            await servers[0].perform(_report)
            world.clock.pass_time(20)
            await asyncio.gather(*(each.perform(sweep) for each in servers))

    asyncio.run(rounds())
    everything = world.see(lambda tx: tx.requests(limit=5000))
    grants = world.see(lambda tx: tx.grants_of([each.id for each in everything]))
    ended = sum(
        grant.reason is StatusReason.USER_REQUESTED and not grant.is_live for grant in grants
    )
    assert made > 25 * at_once, "else nothing was at stake"
    assert ended > 12 * at_once, "else no edit narrowed anything"
    assert refused > 0
    lost = world.see(lambda tx: tx.events(EventFilter(kinds=("RoleUnassigned",)), limit=1000))
    assert len(lost) > 10


def test_a_thousand_interleavings(world: World) -> None:
    _interleave(world, world.services, at_once=4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_interleavings_over_two_servers(world_of_two: tuple[World, Services]) -> None:
    world, other = world_of_two
    _interleave(world, world.services, other, at_once=2)


def test_a_right_that_another_server_takes_is_gone_in_the_next_turn(
    world_of_two: tuple[World, Services],
) -> None:
    """The one who asks began while the right was there, and waited for the turn."""
    world, other = world_of_two
    world.put(rules(world.web, 22))
    database = database_of(world.store)
    is_taken = threading.Event()

    def is_waiting() -> bool:
        found = cluster().do("SELECT 1 FROM pg_locks WHERE NOT granted", database)
        return bool(found)

    def take(tx: Transaction, act: Act) -> None:
        (given,) = tx.role_assignments_of([BERT.principal_id])
        assignments.delete_assignment(tx, act, given.id, given.scope)
        is_taken.set()
        wait(is_waiting)

    def ask(tx: Transaction, act: Act) -> object:
        ends = act.now + timedelta(minutes=5)
        port = RequestedPort(22, (AddressPrefix.parse(SOURCES[0]),), ends, format_utc(ends))
        asked = (RequestedMachine(world.web.id, (port,)),)
        return requests.initiate(tx, act, world.policy_id(), asked, None, BERT)

    async def both() -> tuple[object, object]:
        taking = asyncio.create_task(world.services.perform(take, ANNA))
        await asyncio.to_thread(is_taken.wait, 10)
        return await asyncio.gather(taking, other.perform(ask, BERT), return_exceptions=True)

    taken, asked = asyncio.run(both())
    assert taken is None
    assert isinstance(asked, Forbidden)
    assert not world.see(lambda tx: tx.live_grants())
