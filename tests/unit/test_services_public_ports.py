"""Public ports that the server gives out (EDGES G2, G6): how one might lead too many, and does not.

web-1 is the gateway, and gives two public ports of each of its addresses. app-1 and sql-1 are behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.decide import Denied
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort, Machine
from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    PublicPort,
    PublicPorts,
    RuleProtocol,
)
from bascule.domain.policy import MachineRules
from bascule.domain.public_ports import HELD_BACK
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import Conflict, InvalidInput
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.protocol.report import Report
from bascule.services import bindings, fleet, machine_rules, machines, policies, reports, requests
from bascule.services.act import Act
from bascule.services.views import view_request
from tests.samples import SSH, TCP, UDP
from tests.unit.services_world import ANNA, BERT, World, rules

ONE, TWO, SIX = map(ip_address, ("198.51.100.7", "198.51.100.8", "2001:db8::7"))
NETWORKS = (AddressPrefix.parse("10.1.0.0/16"), AddressPrefix.parse("fd01::/16"))
RDP, SSH_UDP = PortKey(TCP, 3389), PortKey(UDP, 22)
FIRST, SECOND = PublicPort(ONE, 2000), PublicPort(ONE, 2001)
SHUT = frozenset({ClosedPort(SSH)})
SIX_SOURCE = "2001:db8:1::9"


def guard(*addresses: Address, first: int = 2000, last: int = 2001) -> Guard:
    return Guard(forwarding=Forwarding(NETWORKS, addresses, first, last))


class Behind(World):
    def __init__(self) -> None:
        super().__init__()
        self.report(self.web, guard=guard(ONE, SIX))
        self.app = self.add_behind("app-1", "10.1.0.10", "fd01::10")
        self.sql = self.add_behind("sql-1", "10.1.0.11", "fd01::11")

    def add_behind(self, name: str, *addresses: str) -> Machine:
        made = self.add_machine(name, addresses[0])
        self.put(rules(made, 22, 3389), name=name)
        self.bind(made, *addresses)
        return made

    def bind(self, machine: Machine, *addresses: str, point: Machine | None = None) -> bool:
        uid, at = (point or self.web).uid, [ip_address(each) for each in addresses]
        return self.do(lambda tx, act: bindings.bind(tx, act, ANNA, machine.id, uid, at))

    def open(self, machine: Machine, number: int = 22, **more: object) -> Grant:
        return self.granted(machine, number, policy=machine.id.name, **more)

    def codes(self, machine: Machine, number: int = 22, **more: object) -> list[str]:
        """Of the refusal; empty: it was granted."""
        answer = self.ask(machine, number, policy=machine.id.name, **more)  # type: ignore[arg-type]  # reason: passed through
        return [each.code for each in answer.reasons] if isinstance(answer, Denied) else []

    def mapped(self, machine: Machine, point: Machine | None = None) -> PublicPorts:
        """What the gateway is told of it."""
        uid = (point or self.web).uid
        _, state = self.see(lambda tx: fleet.state_for(tx, uid, self.clock.wall, machine.uid))
        assert state.where is not None
        return state.where.mapped

    def tell(self, machine: Machine, *in_force: str, **more: object) -> None:
        """A report of the gateway about it."""
        known = self.see(lambda tx: tx.generation(machine.uid))
        report = Report(known, frozenset(in_force), closed=SHUT, **more)  # type: ignore[arg-type]  # reason: passed through
        self.do(
            lambda tx, act: reports.take_report(tx, act, self.web.uid, report, machine.uid), None
        )

    def generation(self, machine: Machine) -> int:
        return self.see(lambda tx: tx.generation(machine.uid))


@pytest.fixture
def world() -> Iterator[Behind]:
    made = Behind()
    yield made
    made.close()


# -- what is given -----------------------------------------------------------------------------


def test_a_granted_port_has_a_public_port_of_its_source_s_ip_version(world: Behind) -> None:
    before = world.generation(world.app)
    world.open(world.app)
    assert world.generation(world.app) > before, "else the gateway would not hear of it"
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    world.open(world.app, source=SIX_SOURCE)
    assert world.mapped(world.app) == {SSH: (FIRST, PublicPort(SIX, 2000))}
    world.open(world.sql, source="*")
    assert world.mapped(world.sql) == {SSH: (SECOND, PublicPort(SIX, 2001))}
    assert world.mapped(world.app) == {SSH: (FIRST, PublicPort(SIX, 2000))}


def test_a_machines_port_keeps_its_public_port_from_one_grant_to_the_next(world: Behind) -> None:
    world.open(world.app)
    told = world.kinds().count("PublicPortGiven")
    world.open(world.app, subject=BERT, source="192.0.2.8")
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.kinds().count("PublicPortGiven") == told == 1


def test_the_public_port_of_one_machine_leads_to_no_other(world: Behind) -> None:
    world.open(world.app)
    world.open(world.sql)
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.mapped(world.sql) == {SSH: (SECOND,)}
    assert world.codes(world.app, 3389) == ["NoPublicPortFree"]
    assert world.mapped(world.app) == {SSH: (FIRST,)}, "and nothing of the refused one is kept"
    assert not any(each.number == 3389 for each in world.see(lambda tx: tx.live_grants()))


def test_over_another_protocol_it_is_another_port(world: Behind) -> None:
    world.put(rules(world.sql, 22, protocol=RuleProtocol.UDP), name="sql-1")
    world.open(world.app)
    world.open(world.sql)
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.mapped(world.sql) == {SSH_UDP: (FIRST,)}
    world.put(rules(world.app, 22, protocol=RuleProtocol.ALL), name="app-1")
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (FIRST,), SSH_UDP: (SECOND,)}


def test_a_gateway_without_public_addresses_of_that_version_is_routed_only(world: Behind) -> None:
    world.report(world.web, guard=guard(ONE))
    world.open(world.app, source=SIX_SOURCE)
    assert world.mapped(world.app) == {}
    world.report(world.web, guard=Guard(forwarding=Forwarding(NETWORKS)))
    world.open(world.sql)
    assert world.mapped(world.sql) == {}


def test_a_machine_with_its_own_agent_has_none(world: Behind) -> None:
    world.put(rules(world.db, 22))
    world.granted(world.db)
    assert world.see(lambda tx: tx.public_ports_of([world.db.uid])) == []


def test_two_gateways_give_each_its_own(world: Behind) -> None:
    world.report(world.db, guard=guard(TWO))
    world.bind(world.app, "10.1.0.10", point=world.db)
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.mapped(world.app, world.db) == {SSH: (PublicPort(TWO, 2000),)}


def test_machines_that_are_asked_for_together_have_each_its_own(world: Behind) -> None:
    """In one policy, and in several of one act."""
    world.put(rules(world.app, 22), rules(world.sql, 22), name="both")
    ends = world.clock.wall + timedelta(minutes=10)
    port = RequestedPort(22, (AddressPrefix.parse("192.0.2.1"),), ends, format_utc(ends))
    asked = tuple(RequestedMachine(each.id, (port,)) for each in (world.app, world.sql))
    both = world.policy_id("both")
    made = world.do(lambda tx, act: requests.initiate(tx, act, both, asked, None, ANNA))
    assert isinstance(made, requests.Initiated)
    assert (world.mapped(world.app), world.mapped(world.sql)) == (
        {SSH: (FIRST,)},
        {SSH: (SECOND,)},
    )


def test_requests_of_one_act_have_each_its_own_or_none_is_kept(world: Behind) -> None:
    ends = world.clock.wall + timedelta(minutes=10)

    def wanted(machine: Machine, *numbers: int) -> requests.PolicyRequest:
        ports = tuple(
            RequestedPort(each, (AddressPrefix.parse("192.0.2.1"),), ends, format_utc(ends))
            for each in numbers
        )
        return requests.PolicyRequest(
            world.policy_id(machine.id.name), (RequestedMachine(machine.id, ports),)
        )

    def ask(*asked: requests.PolicyRequest) -> list[bool]:
        answers = world.do(lambda tx, act: requests.initiate_all(tx, act, asked, None, ANNA))
        return [isinstance(each, requests.Initiated) for each in answers]

    assert ask(wanted(world.app, 22), wanted(world.sql, 22, 3389)) == [False]
    assert world.mapped(world.app) == {}
    assert ask(wanted(world.app, 22), wanted(world.sql, 22)) == [True, True]
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.mapped(world.sql) == {SSH: (SECOND,)}


def test_no_two_rows_can_have_one_public_port(world: Behind) -> None:
    """Whatever two writers had read before: the later row is refused, not the older replaced."""
    world.open(world.app)
    (claim,) = world.see(lambda tx: tx.public_ports_of([world.app.uid]))
    with pytest.raises(Conflict):
        world.do(lambda tx, _: tx.add_public_ports([claim]))
    assert world.see(lambda tx: tx.public_ports_at(world.web.uid)) == [claim]


def test_an_act_that_is_cut_off_keeps_no_public_port(world: Behind) -> None:
    ends = world.clock.wall + timedelta(minutes=10)
    port = RequestedPort(22, (AddressPrefix.parse("192.0.2.1"),), ends, format_utc(ends))
    asked = (RequestedMachine(world.app.id, (port,)),)

    def killed(tx: Transaction, act: Act) -> None:
        requests.initiate(tx, act, world.policy_id("app-1"), asked, None, ANNA)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.do(killed)
    assert world.mapped(world.app) == {}


# -- when it is let go ---------------------------------------------------------------------------


def unbind(world: Behind) -> None:
    world.do(lambda tx, act: bindings.unbind(tx, act, ANNA, world.app.id, world.web.uid))


def move(world: Behind) -> None:
    world.bind(world.app, "10.1.0.12", "fd01::10")


def delete(world: Behind) -> None:
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.app.id))


def drop_policy(world: Behind) -> None:
    wanted = world.policy_id("app-1")
    world.do(lambda tx, act: policies.delete_policy(tx, act, ANNA, wanted))


def drop_rule(world: Behind) -> None:
    world.put(rules(world.app, 3389), name="app-1")


def drop_machine(world: Behind) -> None:
    world.do(lambda tx, act: machine_rules.delete_machine_rules(tx, act, ANNA, world.app.id))


def narrow(world: Behind) -> None:
    world.report(world.web, guard=guard(ONE, first=2001))


def spoil(world: Behind) -> None:
    world.report(world.web, guard=Guard((), (), None, False, "it is no TOML"))


@pytest.mark.parametrize(
    "leave", [unbind, move, delete, drop_policy, drop_rule, drop_machine, narrow, spoil]
)
def test_a_public_port_that_is_let_go_is_held_back_from_every_other_machine(
    world: Behind, leave: object
) -> None:
    """Who still has the old address and number in a script comes to nobody else for a day."""
    grant = world.open(world.app)
    world.tell(world.app, grant.id)
    assert world.grant(grant).state is GrantState.OPEN
    before = world.generation(world.app)
    leave(world)  # type: ignore[operator]  # reason: one of those above
    assert not world.grant(grant).is_live, "what it led is over in the same commit"
    assert world.generation(world.app) > before, "the gateway is told"
    (claim,) = world.see(lambda tx: tx.public_ports_of([world.app.uid]))
    assert claim.released_at == world.clock.wall
    if leave not in (unbind, delete):
        assert world.mapped(world.app) == {}
    world.report(world.web, guard=guard(ONE, last=2000))
    assert world.codes(world.sql) == ["NoPublicPortFree"]
    world.clock.pass_time(HELD_BACK.total_seconds() - 1)
    assert world.codes(world.sql) == ["NoPublicPortFree"]
    world.clock.pass_time(1)
    assert world.codes(world.sql) == []
    assert world.mapped(world.sql) == {SSH: (FIRST,)}


@pytest.mark.parametrize("leave", [move, drop_rule, narrow])
def test_the_machine_s_port_gets_back_what_it_had(world: Behind, leave: object) -> None:
    world.open(world.app)
    leave(world)  # type: ignore[operator]  # reason: one of those above
    world.put(rules(world.app, 22, 3389), name="app-1")
    world.report(world.web, guard=guard(ONE, SIX))
    world.open(world.sql)
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    assert world.mapped(world.sql) == {SSH: (SECOND,)}


def test_another_policy_that_names_the_port_keeps_it(world: Behind) -> None:
    world.put(rules(world.app, 22), name="more")
    world.open(world.app)
    drop_policy(world)
    assert world.mapped(world.app) == {SSH: (FIRST,)}


def test_a_guard_that_gives_it_still_ends_nothing(world: Behind) -> None:
    grant = world.open(world.app)
    world.report(world.web, guard=guard(SIX, ONE, last=2009))
    assert world.grant(grant).is_live
    assert world.mapped(world.app) == {SSH: (FIRST,)}


def test_a_narrowed_guard_ends_only_what_came_by_it(world: Behind) -> None:
    by_four, by_six = world.open(world.app), world.open(world.app, source=SIX_SOURCE)
    waiting = world.open(world.sql)
    world.tell(world.app, by_four.id, by_six.id)
    world.report(world.web, guard=guard(SIX))
    assert world.grant(by_four).state is GrantState.CLOSING
    assert world.grant(by_six).state is GrantState.OPEN
    assert world.grant(waiting).state is GrantState.FAILED
    assert "public port" in world.grant(waiting).failure


def test_a_new_agent_at_the_gateway_leads_on_what_its_guard_gives(world: Behind) -> None:
    grant = world.open(world.app)
    world.enrol(world.web, "key-2", replaces=True)
    assert world.mapped(world.app) == {SSH: (FIRST,)}, "until its guard is known"
    world.report(world.web, guard=guard(TWO))
    assert world.mapped(world.app) == {}
    assert not world.grant(grant).is_live
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (PublicPort(TWO, 2000),)}


def test_a_gateway_that_is_deleted_leads_nobody_on(world: Behind) -> None:
    grant = world.open(world.app)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    assert not world.grant(grant).is_live
    (claim,) = world.see(lambda tx: tx.public_ports_of([world.app.uid]))
    assert claim.released_at is not None


def test_what_was_held_back_for_a_day_and_is_nobody_s_is_forgotten(world: Behind) -> None:
    world.open(world.app)
    delete(world)
    world.clock.pass_time(HELD_BACK.total_seconds() + 1)
    world.open(world.sql)
    unbind_sql = world.sql.id
    world.do(lambda tx, act: bindings.unbind(tx, act, ANNA, unbind_sql, world.web.uid))
    (claim,) = world.see(lambda tx: tx.public_ports_at(world.web.uid))
    assert claim.machine_uid == world.sql.uid


# -- what is taken at the gateway itself ---------------------------------------------------------


def test_who_meets_a_taken_one_is_told_so_and_next_time_another_is_given(world: Behind) -> None:
    grant = world.open(world.app)
    world.tell(world.app, refused={grant.id: Objection.TAKEN})
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "public port of app-1, 198.51.100.7:2000, is taken" in failed.failure
    assert world.mapped(world.app) == {}
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (SECOND,)}
    world.report(world.web, guard=guard(ONE, last=2000))
    world.clock.pass_time(HELD_BACK.total_seconds())
    world.open(world.sql)
    assert world.mapped(world.sql) == {SSH: (FIRST,)}, "a day later it is tried again"


# -- what the requestor is told ------------------------------------------------------------------


def test_a_request_shows_its_public_ports_while_it_lives(world: Behind) -> None:
    grant = world.open(world.app)

    def shown() -> list[str]:
        view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
        assert view is not None
        (each,) = view.grants
        return [str(through.claim.public) for through in view.public_ports(each)]

    assert shown() == ["198.51.100.7:2000"]
    six = world.open(world.app, source=SIX_SOURCE)
    assert shown() == ["198.51.100.7:2000"], "not that of another IP version"
    world.tell(world.app, six.id)
    world.tell(world.app, grant.id, six.id)
    drop_rule(world)
    assert shown() == []


def test_both_are_on_record(world: Behind) -> None:
    world.open(world.app)
    unbind(world)
    wanted = EventFilter(kinds=("PublicPortGiven", "PublicPortReleased"))
    facts = [event.fact for _, event in world.see(lambda tx: tx.events(wanted))]
    assert [getattr(each, "public_port", None) for each in facts] == ["198.51.100.7:2000/tcp"] * 2
    assert [getattr(each, "port", None) for each in facts] == ["22/tcp"] * 2


def test_of_two_rules_of_one_machine_each_has_its_own(world: Behind) -> None:
    mixed = MachineRules(
        world.app.id,
        (*rules(world.app, 22).ports, *rules(world.app, 22, protocol=RuleProtocol.UDP).ports),
    )
    world.put(mixed, name="app-1")
    answer = world.ask(world.app, policy="app-1")
    assert isinstance(answer, requests.Initiated)
    assert len(answer.grants) == 2
    assert world.mapped(world.app) == {SSH: (FIRST,), SSH_UDP: (FIRST,)}


# -- what a policy names -------------------------------------------------------------------------


def put_named(
    world: Behind,
    machine: Machine,
    public: int | None,
    number: int = 22,
    at: Address | None = None,
    name: str = "",
) -> None:
    (rule,) = rules(machine, number).ports
    named = replace(rule, public_port=public, public_address=at)
    world.put(MachineRules(machine.id, (named,)), name=name or machine.id.name)


def refusal(world: Behind, machine: Machine, public: int, **more: object) -> str:
    before = world.see(lambda tx: tx.public_ports_at(world.web.uid))
    with pytest.raises(InvalidInput) as refused:
        put_named(world, machine, public, **more)  # type: ignore[arg-type]  # reason: passed through
    assert world.see(lambda tx: tx.public_ports_at(world.web.uid)) == before
    (code,) = {each.code for each in refused.value.problems}
    return code


def test_what_a_policy_names_is_the_machines_before_anybody_asks(world: Behind) -> None:
    before = world.generation(world.app)
    put_named(world, world.app, 2000)
    assert world.generation(world.app) > before
    assert world.mapped(world.app) == {SSH: (FIRST, PublicPort(SIX, 2000))}
    world.open(world.sql)
    assert world.mapped(world.sql) == {SSH: (SECOND,)}
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (FIRST, PublicPort(SIX, 2000))}


def test_it_may_name_the_address_too(world: Behind) -> None:
    world.report(world.web, guard=guard(ONE, TWO, SIX))
    put_named(world, world.app, 2001, at=TWO)
    assert world.mapped(world.app) == {SSH: (PublicPort(TWO, 2001),)}


def test_what_a_policy_may_not_name(world: Behind) -> None:
    """Each with its reason, and nothing is written."""
    world.put(rules(world.web, 2001), name="of-gateway")
    assert refusal(world, world.app, 1999) == "PublicPortNotGiven"
    assert refusal(world, world.app, 2002) == "PublicPortNotGiven"
    assert refusal(world, world.app, 2000, at=TWO) == "PublicPortNotGiven"
    assert refusal(world, world.app, 2001) == "PublicPortTaken", "the gateway's own"
    assert refusal(world, world.db, 2000) == "PublicPortNotGiven", "it is behind no gateway"
    world.open(world.sql)
    assert refusal(world, world.app, 2000, at=ONE) == "PublicPortTaken"
    world.put(rules(world.sql, 3389), name="sql-1")
    assert refusal(world, world.app, 2000, at=ONE) == "PublicPortHeldBack"
    world.clock.pass_time(HELD_BACK.total_seconds())
    put_named(world, world.app, 2000)
    assert world.mapped(world.app)[SSH] == (FIRST, PublicPort(SIX, 2000))


def test_two_machines_of_one_policy_cannot_name_one(world: Behind) -> None:
    (ssh,) = rules(world.app, 22).ports
    both = [
        MachineRules(each.id, (replace(ssh, public_port=2000),)) for each in (world.app, world.sql)
    ]
    with pytest.raises(InvalidInput) as refused:
        world.put(*both, name="both")
    assert {each.code for each in refused.value.problems} == {"PublicPortTaken"}
    assert world.see(lambda tx: tx.public_ports_at(world.web.uid)) == []
    rdp = replace(ssh, number=3389, public_port=2000)
    with pytest.raises(InvalidInput, match="given twice for this machine"):
        world.put(MachineRules(world.app.id, (replace(ssh, public_port=2000), rdp)), name="both")
    with pytest.raises(InvalidInput, match="Give publicPort beside publicIpAddress"):
        put_named(world, world.app, None, at=ONE)


def test_another_number_ends_what_came_by_the_one_before(world: Behind) -> None:
    put_named(world, world.app, 2000)
    grant = world.open(world.app)
    put_named(world, world.app, 2001)
    assert not world.grant(grant).is_live
    assert world.mapped(world.app) == {SSH: (SECOND, PublicPort(SIX, 2001))}
    assert refusal(world, world.sql, 2000) == "PublicPortHeldBack"
    again = world.open(world.app)
    put_named(world, world.app, None)
    assert world.grant(again).is_live, "it keeps what it has"
    assert world.mapped(world.app) == {SSH: (SECOND, PublicPort(SIX, 2001))}


def test_a_rule_that_stays_as_it_is_stops_nobody(world: Behind) -> None:
    """What the gateway gives is another's to change: whoever asks is told."""
    put_named(world, world.app, 2000)
    world.report(world.web, guard=guard(ONE, SIX, first=2001))
    assert world.mapped(world.app) == {}
    put_named(world, world.app, 2000)
    assert world.codes(world.app) == ["PublicPortNotGiven"]
    world.report(world.web, guard=guard(ONE, SIX))
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (FIRST,)}


def test_what_a_policy_names_takes_the_place_of_what_was_chosen(world: Behind) -> None:
    """Also where it could not be had when the policy was written."""
    put_named(world, world.app, 2001)
    world.put(rules(world.app, 22), name="plain")
    world.report(world.web, guard=guard(ONE, SIX, last=2000))
    plain = world.granted(world.app, policy="plain", subject=BERT, source="192.0.2.8")
    assert world.mapped(world.app) == {SSH: (FIRST,)}
    world.report(world.web, guard=guard(ONE, SIX))
    assert world.grant(plain).is_live
    world.open(world.app)
    assert world.mapped(world.app) == {SSH: (SECOND,)}
    assert not world.grant(plain).is_live, "its requestor was told of the other"


def test_one_that_is_named_and_taken_fails_until_it_is_free(world: Behind) -> None:
    put_named(world, world.app, 2000)
    for _ in range(2):
        grant = world.open(world.app)
        world.tell(world.app, refused={grant.id: Objection.TAKEN})
        assert "198.51.100.7:2000, is taken" in world.grant(grant).failure
    grant = world.open(world.app)
    world.tell(world.app, grant.id)
    assert world.grant(grant).state is GrantState.OPEN
