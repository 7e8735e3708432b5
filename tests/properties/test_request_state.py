"""A request's stored state is the sum over its grants, whatever people and time do to them.

Acts of several people fall between one another, refused ones among them; after each, before it
commits, every request is compared with its grants.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bascule.domain.lifecycle import STATES, GrantState, RequestState, request_state
from bascule.domain.net import AddressPrefix
from bascule.domain.policy import Policy
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.interfaces.store import Transaction
from bascule.protocol.report import Report
from bascule.services import policies, reports, requests
from bascule.services.act import Act
from bascule.services.sweep import sweep
from tests.properties.test_narrowing import NUMBERS, SOURCES, People, Work
from tests.unit.services_world import ANNA, BERT, World, rules

ROUNDS = 120
NEWEST = 200  # requests that are compared after each act; all are at the end


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


class Crowd(People):
    """As those, and they ask more often, for several ports of both machines at once."""

    def act(self) -> Work:
        return self._ask() if self._chance.random() < 0.5 else super().act()

    def _ask(self) -> Work:
        policy = self._chance.choice(self._names)
        source = AddressPrefix.parse(self._chance.choice(SOURCES))
        subject = self._chance.choice((ANNA, BERT))
        span = timedelta(minutes=self._chance.choice((1, 5, 60, 180)))
        wanted = [
            (machine.id, self._chance.sample(NUMBERS, self._chance.randint(1, 2)))
            for machine in self._chance.sample(
                [self._world.web, self._world.db], self._chance.randint(1, 2)
            )
        ]

        def work(tx: Transaction, act: Act) -> object:
            ends = act.now + span
            asked = tuple(
                RequestedMachine(
                    machine,
                    tuple(RequestedPort(n, (source,), ends, format_utc(ends)) for n in numbers),
                )
                for machine, numbers in wanted
            )
            made = requests.initiate(tx, act, policy, asked, None, subject)
            if isinstance(made, requests.Initiated):
                self.decided.update({grant.id: act.now for grant in made.grants})
            return made

        return work

    def offer_all(self, tx: Transaction, act: Act) -> None:
        """Every port on both machines, as it was before people changed it."""
        every = tuple(rules(each, *NUMBERS) for each in (self._world.web, self._world.db))
        for name in self._names:
            policies.put_policy(tx, act, ANNA, Policy(name, "Basic", every))

    def report(self, tx: Transaction, act: Act) -> None:
        """Of one machine: each grant that lives is open, or not yet."""
        machine = tx.machine(self._machine().id)
        if machine is None or tx.enforcement_point(machine.uid) is None:
            return
        held = [
            grant.id
            for grant in tx.live_grants([machine.uid])
            if grant.state is GrantState.OPEN or self._chance.random() < 0.6
        ]
        generation = tx.generation(machine.uid)
        reports.take_report(tx, act, machine.uid, Report(generation, frozenset(held)))


def _check(tx: Transaction, limit: int = NEWEST) -> Counter[RequestState]:
    found = tx.requests(states=tuple(RequestState), limit=limit)
    grants: dict[str, list[GrantState]] = {}
    for grant in tx.grants_of([each.id for each in found]):
        grants.setdefault(grant.request_id, []).append(grant.state)
    for request in found:
        of_request = grants.get(request.id, [])
        if request.state is RequestState.REFUSED:
            assert not of_request, "a refused request has no grant"
        else:
            assert request.state is request_state(of_request)
            assert STATES[request.state].is_live == any(STATES[s].is_live for s in of_request)
    return Counter(each.state for each in found)


def test_a_requests_state_never_disagrees_with_its_grants(world: World) -> None:
    people = Crowd(world, seed=7)
    seen: Counter[RequestState] = Counter()

    def checked(work: Work) -> Work:
        def unit(tx: Transaction, act: Act) -> object:
            try:
                return work(tx, act)
            finally:
                seen.update(_check(tx))

        return unit

    async def rounds() -> None:
        for number in range(ROUNDS):
            if number % 8 == 0:
                await world.services.perform(people.offer_all)
            acts = [world.services.perform(checked(people.act()), ANNA) for _ in range(3)]
            for result in await asyncio.gather(*acts, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(result, BasculeError):
                    raise result
            await world.services.perform(checked(people.report))
            world.clock.pass_time(people._chance.choice((1, 10, 40, 90)))
            await world.services.perform(checked(sweep))

    asyncio.run(rounds())
    world.do(lambda tx, _: seen.update(_check(tx, 100_000)))
    by_grants = {each for each in RequestState if STATES[each].has_grants} | {RequestState.REFUSED}
    assert set(seen) == by_grants, f"not all states came about: {seen}"
