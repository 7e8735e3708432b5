"""Nothing that waits opens without the yeses that are due, however acts fall between one another.

EDGES J6, J7: the digest is of what is asked for, what opens is judged in that moment, and a yes counts
while its approver may still give it. Several hundred rounds of asking, answering, withdrawing, taking
people's rights away and changing policies, all submitted at once; what opened is checked inside the
transaction that opened it, against rows and not against what the program thinks of them. Once by
one server on SQLite, and once by two on one PostgreSQL, each with a writer of its own (EDGES H1).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import CONTRIBUTOR
from bascule.domain.lifecycle import STATES, RequestState
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.principals import Group, Membership, User
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.roles import RoleAssignment
from bascule.domain.rules import Conditions, Effect, Rule
from bascule.domain.scopes import subscription_scope
from bascule.domain.stages import Approvers, Stage
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services import approving, live_requests, memberships, policies, requests
from bascule.services.access_rules import Kept
from bascule.services.act import Act, Services, new_id
from bascule.services.hub import Hub
from bascule.services.sweep import sweep
from bascule.services.users import UserDraft, change_user
from bascule.store.sql_store import SqlStore
from tests.support.postgresql import open_beside
from tests.support.stores import new_postgresql
from tests.unit.services_world import ANNA, World

ROUNDS = 250
NOTHING_KEPT = Kept(approvals=frozenset(), rules=False, self_approval=False, pending_for=False)
SOURCE = AddressPrefix.parse("192.0.2.1")
NUMBERS = (22, 23)

Work = Callable[[Transaction, Act], object]


class Office:
    """Ada and Ben ask; Bob, Carol, Dave and Ada are in the group that is asked."""

    def __init__(self, store: SqlStore | None) -> None:
        self.world = World(store)
        self.people = {
            name: Subject(new_id(), PrincipalKind.USER, name)
            for name in ("ada", "ben", "bob", "carol", "dave")
        }
        self.asking = [self.people["ada"], self.people["ben"]]
        self.answering = [self.people[name] for name in ("bob", "carol", "dave", "ada")]
        self.group = Group(new_id(), "on-call", "", self.world.clock.now())
        self.world.do(self._people)
        for name in ("default", "second"):
            self.put(name, 2)

    def _people(self, tx: Transaction, act: Act) -> None:
        whole = subscription_scope(self.world.installation.subscription_id)
        tx.put_group(self.group)
        for each in self.people.values():
            tx.put_user(User(each.principal_id, f"{each.name}@corp.example", "", True, act.now))
        for each in self.asking:
            assignment = RoleAssignment(
                *(new_id(), whole, CONTRIBUTOR.id, each.principal_id, PrincipalKind.USER),
                *("", act.now, ""),
            )
            tx.add_role_assignment(assignment)
        for each in self.answering:
            tx.put_membership(Membership(self.group.id, each.principal_id, PrincipalKind.USER))

    def put(self, name: str, needed: int) -> None:
        self.world.do(lambda tx, act: self.change(tx, act, name, needed, is_denied=False))

    def change(
        self, tx: Transaction, act: Act, name: str, needed: int, *, is_denied: bool
    ) -> object:
        """A policy whose approval needs so many; with a rule that denies everybody, or without."""
        stage = Stage(Approvers(groups=(self.group.id,)), needed)
        rules = [Rule("so-many", Effect.APPROVE, Conditions(), (stage,))]
        rules += [Rule("never", Effect.DENY)] if is_denied else []
        ports = tuple(
            PortRule(number, RuleProtocol.TCP, (AddressPrefix.parse("*"),), timedelta(hours=3))
            for number in NUMBERS
        )
        machines = (MachineRules(self.world.web.id, ports), MachineRules(self.world.db.id, ports))
        policy = Policy(self.world.policy_id(name), "Basic", machines, tuple(rules))
        return policies.put_policy(tx, act, ANNA, policy, kept=NOTHING_KEPT)

    def states(self, tx: Transaction) -> dict[str, RequestState]:
        return {each.id: each.state for each in tx.requests(limit=5000, states=tuple(RequestState))}

    def check(self, tx: Transaction, before: Mapping[str, RequestState]) -> None:
        """What this transaction opened had the yeses that its policies ask for."""
        for request_id, state in self.states(tx).items():
            was = before.get(request_id, RequestState.WAITING)
            if not STATES[state].has_grants:
                assert not tx.grants_of([request_id]), "what waits or was denied has no grant"
                assert not STATES[was].has_grants
            elif was is RequestState.WAITING:
                self._check_yeses(tx, request_id)
            else:
                assert STATES[was].has_grants, "what was denied, withdrawn or lapsed came back"

    def _check_yeses(self, tx: Transaction, request_id: str) -> None:
        request = tx.request(request_id)
        pending = tx.pendings_of([request_id])[request_id]
        assert request is not None
        members = {each.member_id for each in tx.members_of(self.group.id)}
        given = Counter(
            vote.principal_id
            for vote in pending.votes
            if vote.digest == pending.digest and not vote.is_void
        )
        for who in list(given):
            user = tx.user(who)
            if user is None or not user.is_enabled or who not in members:
                del given[who]
        assert set(given.values()) <= {1}, "a person counts once"
        assert request.requestor_id not in given, "one's own does not count"
        due: set[int] = set()  # equal stages of two policies are one
        for name in ("default", "second"):
            stored = tx.policy(self.world.policy_id(name))
            assert stored is not None
            assert all(rule.effect is not Effect.DENY for rule in stored.policy.rules)
            due.update(stage.needed for rule in stored.policy.rules for stage in rule.stages)
        assert len(given) >= sum(due), "fewer than are due now"


class Acts:
    """Draws one act after another; the same seed draws the same."""

    def __init__(self, office: Office, seed: int) -> None:
        self._office = office
        self._chance = random.Random(seed)

    def act(self) -> tuple[Work, Subject]:
        kinds = (self._ask, self._approve, self._deny, self._withdraw, self._leave)
        more = (self._join, self._disable, self._change)
        (kind,) = self._chance.choices((*kinds, *more), (25, 60, 2, 3, 6, 14, 3, 5))
        return kind()

    def _ask(self) -> tuple[Work, Subject]:
        subject, number = self._chance.choice(self._office.asking), self._chance.choice(NUMBERS)
        name = self._chance.choice(("default", "second"))
        machine = self._chance.choice((self._office.world.web, self._office.world.db))
        length = timedelta(minutes=self._chance.choice((5, 60)))

        def work(tx: Transaction, act: Act) -> object:
            ends = act.now + length
            port = RequestedPort(number, (SOURCE,), ends, format_utc(ends), length=length)
            asked = (RequestedMachine(machine.id, (port,)),)
            policy = self._office.world.policy_id(name)
            return requests.initiate(tx, act, policy, asked, None, subject)

        return work, subject

    def _one(self, tx: Transaction, pick: float) -> str | None:
        waiting = [each.id for each in tx.requests(states=[RequestState.WAITING])]
        return waiting[int(pick * len(waiting))] if waiting else None

    def _approve(self) -> tuple[Work, Subject]:
        subject, pick = self._chance.choice(self._office.answering), self._chance.random()
        shorter = self._chance.choice((None, None, timedelta(minutes=2)))

        def work(tx: Transaction, act: Act) -> object:
            wanted = self._one(tx, pick)
            if wanted is None:
                return None
            digest = tx.pendings_of([wanted])[wanted].digest
            yes = approving.Yes(digest, longest=shorter)
            return approving.approve(tx, act, wanted, subject, yes)

        return work, subject

    def _deny(self) -> tuple[Work, Subject]:
        subject, pick = self._chance.choice(self._office.answering), self._chance.random()

        def work(tx: Transaction, act: Act) -> object:
            wanted = self._one(tx, pick)
            if wanted is None:
                return None
            digest = tx.pendings_of([wanted])[wanted].digest
            return approving.deny(tx, act, wanted, subject, digest, "not now")

        return work, subject

    def _withdraw(self) -> tuple[Work, Subject]:
        pick = self._chance.random()

        def work(tx: Transaction, act: Act) -> object:
            wanted = self._one(tx, pick)
            if wanted is not None:
                live_requests.revoke(tx, act, wanted, None, kills_sessions=False, subject=ANNA)
            return None

        return work, ANNA

    def _leave(self) -> tuple[Work, Subject]:
        who, group = self._chance.choice(self._office.answering), self._office.group.id
        return (
            lambda tx, act: memberships.remove_member(tx, act, ANNA, group, who.principal_id)
        ), ANNA

    def _join(self) -> tuple[Work, Subject]:
        who, group = self._chance.choice(self._office.answering), self._office.group.id
        return (
            lambda tx, act: memberships.add_member(tx, act, ANNA, group, who.principal_id)
        ), ANNA

    def _disable(self) -> tuple[Work, Subject]:
        """And enable: the yes of before does not come back."""
        who = self._chance.choice(self._office.answering).principal_id

        def work(tx: Transaction, act: Act) -> object:
            user = tx.user(who)
            assert user is not None
            return change_user(tx, act, ANNA, who, UserDraft(is_enabled=not user.is_enabled))

        return work, ANNA

    def _change(self) -> tuple[Work, Subject]:
        name, needed = self._chance.choice(("default", "second")), self._chance.randint(1, 2)
        is_denied = self._chance.random() < 0.2
        return (
            lambda tx, act: self._office.change(tx, act, name, needed, is_denied=is_denied)
        ), ANNA


def _interleave(office: Office, *servers: Services, at_once: int) -> None:
    acts = Acts(office, seed=22)

    def checked(work: Work) -> Work:
        def unit(tx: Transaction, act: Act) -> object:
            before = office.states(tx)
            try:
                result = work(tx, act)
            except BasculeError:
                office.check(tx, before)
                raise
            office.check(tx, before)
            return result

        return unit

    async def rounds() -> None:
        for number in range(ROUNDS):
            drawn = [acts.act() for _ in range(at_once)]
            results = await asyncio.gather(
                *(
                    servers[(number + place) % len(servers)].perform(checked(work), subject)
                    for place, (work, subject) in enumerate(drawn)
                ),
                return_exceptions=True,
            )
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, BasculeError):
                    raise result
            office.world.clock.pass_time(20)
            await asyncio.gather(*(each.perform(checked(sweep)) for each in servers))

    asyncio.run(rounds())
    requests_now = office.world.see(lambda tx: tx.requests(limit=5000, states=tuple(RequestState)))
    states = Counter(str(each.state) for each in requests_now)
    opened = sum(STATES[each.state].has_grants for each in requests_now)
    assert opened > 20, states
    assert states["denied"] > 5, states
    assert states["withdrawn"] > 2, states
    events = office.world.see(
        lambda tx: tx.events(EventFilter(kinds=("AccessNotAllowed",)), limit=9)
    )
    assert events, "no change of a policy denied what waited"


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office(None)
    yield made
    made.world.close()


@pytest.fixture
def office_of_two() -> Iterator[tuple[Office, Services]]:
    """Two servers on one database."""
    first = new_postgresql()
    made = Office(first)
    second = open_beside(first)
    yield made, Services(second, made.world.clock, Hub())
    second.close()
    made.world.close()


def test_answers_and_changes_in_any_order(office: Office) -> None:
    _interleave(office, office.world.services, at_once=4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_answers_and_changes_in_any_order_over_two_servers(
    office_of_two: tuple[Office, Services],
) -> None:
    office, other = office_of_two
    _interleave(office, office.world.services, other, at_once=4)
