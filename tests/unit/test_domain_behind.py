"""The rules of machines behind a gateway: at their address alone, and nowhere more than there."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given

from bascule.domain.behind import behind, part_at, united
from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import (
    AddressPrefix,
    PortBehind,
    PortKey,
    PortMapped,
    PublicPort,
    port_order,
)
from bascule.domain.plan import (
    ClosePort,
    DropOpening,
    Observed,
    PutCut,
    PutOpening,
    ReleasePort,
    plan,
)
from tests.samples import SSH, TCP, UDP
from tests.strategies import rule_sets

APP, APP6, SQL = map(ip_address, ("10.1.0.10", "fd01::10", "10.1.0.20"))
MINUTE = timedelta(minutes=1)
KEEP, KILL = OnExpiry.KEEP, OnExpiry.KILL
RDP = PortKey(TCP, 3389)


def keys(source: str, port: PortKey) -> list[OpeningKey]:
    return [OpeningKey(each, port) for each in AddressPrefix.parse(source).networks]


def openings(
    source: str, port: PortKey, left: timedelta = MINUTE, grant: str = "g"
) -> dict[OpeningKey, Opening]:
    return {key: Opening(key, left, grant) for key in keys(source, port)}


def closed(*ports: PortKey, after: OnExpiry = KEEP) -> frozenset[ClosedPort]:
    return frozenset(ClosedPort(port, after) for port in ports)


# -- ports -------------------------------------------------------------------------------------


def test_a_port_behind_is_neither_the_gateways_own_nor_another_machines() -> None:
    """Else the gateway's port 22 would be closed, or opened, in place of the machine's."""
    there = SSH.behind(APP)
    assert there == PortBehind(TCP, 22, APP)
    assert len({SSH, there, SSH.behind(SQL), SSH.behind(APP6)}) == 4
    assert (SSH.at, there.at, str(there)) == (None, APP, "22/tcp of 10.1.0.10")


def test_ports_have_one_order() -> None:
    ports = [SSH.behind(APP6), RDP.behind(APP), SSH.behind(SQL), RDP, SSH.behind(APP), SSH]
    assert sorted(ports, key=port_order) == [
        SSH,
        RDP,
        SSH.behind(APP),
        RDP.behind(APP),
        SSH.behind(SQL),
        SSH.behind(APP6),
    ]


# -- one machine's rules at its addresses ------------------------------------------------------


def test_a_port_is_closed_at_every_address_and_opened_in_the_family_of_its_source() -> None:
    own = RuleSet(
        frozenset({ClosedPort(SSH), ClosedPort(RDP, KILL)}),
        {**openings("192.0.2.1", SSH), **openings("2001:db8::/64", RDP)},
        dict.fromkeys(keys("*", SSH), MINUTE),
    )
    found = behind(own, [APP, APP6], [])
    assert found.closed == closed(SSH.behind(APP), SSH.behind(APP6)) | closed(
        RDP.behind(APP), RDP.behind(APP6), after=KILL
    )
    assert found.openings == {
        **openings("192.0.2.1", SSH.behind(APP)),
        **openings("2001:db8::/64", RDP.behind(APP6)),
    }
    assert found.cuts == dict.fromkeys(
        [*keys("0.0.0.0/0", SSH.behind(APP)), *keys("::/0", SSH.behind(APP6))], MINUTE
    )


def test_a_source_opens_nothing_at_an_address_of_the_other_version() -> None:
    own = RuleSet(closed(SSH), openings("2001:db8::1", SSH))
    assert behind(own, [APP], []) == RuleSet(closed(SSH.behind(APP)))


def test_where_a_machine_was_before_stays_closed_and_opens_for_nobody() -> None:
    """Its sessions there are cut as well."""
    own = RuleSet(closed(SSH), openings("*", SSH), dict.fromkeys(keys("192.0.2.1", SSH), MINUTE))
    found = behind(own, [SQL], [APP])
    assert found.closed == closed(SSH.behind(SQL), SSH.behind(APP))
    assert found.openings == openings("0.0.0.0/0", SSH.behind(SQL))
    assert set(found.cuts) == {
        *keys("192.0.2.1", SSH.behind(SQL)),
        *keys("192.0.2.1", SSH.behind(APP)),
    }


def test_a_machine_without_an_address_has_no_rules_here() -> None:
    own = RuleSet(closed(SSH), openings("*", SSH), dict.fromkeys(keys("*", SSH), MINUTE))
    assert behind(own, [], []) == RuleSet()


def test_more_cuts_than_a_firewall_holds_cut_every_source_of_that_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuts = {key: MINUTE / number for number in (1, 2) for key in keys(f"192.0.2.{number}", SSH)}
    monkeypatch.setattr("bascule.domain.held.MOST_CUTS", 1)
    found = behind(RuleSet(closed(SSH), {}, cuts), [APP], []).cuts
    assert found == dict.fromkeys(keys("0.0.0.0/0", SSH.behind(APP)), MINUTE)


# -- public ports ------------------------------------------------------------------------------

PUBLIC, OTHER, PUBLIC6 = (
    PublicPort(ip_address(address), 2222)
    for address in ("198.51.100.7", "198.51.100.8", "2001:db8::7")
)


def leads(
    source: str, public: PublicPort, to: PortBehind, left: timedelta = MINUTE
) -> dict[OpeningKey, Opening]:
    return openings(source, PortMapped(to.protocol, public.number, public.address, to), left)


def test_a_public_port_is_no_other_port() -> None:
    """Not the machine's, nor the gateway's own; and closed it leads nowhere."""
    there = SSH.behind(APP)
    shut, led = SSH.mapped(PUBLIC), there.mapped(PUBLIC, there)
    at = PortBehind(TCP, 2222, PUBLIC.address)
    assert len({PortKey(TCP, 2222), at, shut, led, SSH.mapped(OTHER)}) == 5
    assert (shut.at, shut.to, led.to) == (PUBLIC.address, None, there)
    assert (shut.own, led.own) == (PortKey(TCP, 2222), SSH)
    assert str(shut) == "2222/tcp at 198.51.100.7"
    assert str(led) == "2222/tcp at 198.51.100.7, for 22/tcp of 10.1.0.10,"


def test_a_public_port_leads_the_sources_of_an_opening_and_is_closed_to_all_others() -> None:
    own = RuleSet(
        frozenset({ClosedPort(SSH, KILL), ClosedPort(RDP)}),
        {**openings("192.0.2.1", SSH, 2 * MINUTE), **openings("192.0.2.2", RDP)},
        dict.fromkeys(keys("*", SSH), MINUTE),
    )
    plain = behind(own, [APP, APP6], [SQL])
    found = behind(own, [APP, APP6], [SQL], {SSH: (PUBLIC, OTHER)})
    assert found.closed - plain.closed == closed(SSH.mapped(PUBLIC), SSH.mapped(OTHER))
    assert found.openings == {
        **plain.openings,
        **leads("192.0.2.1", PUBLIC, SSH.behind(APP), 2 * MINUTE),
        **leads("192.0.2.1", OTHER, SSH.behind(APP), 2 * MINUTE),
    }
    assert found.cuts == plain.cuts, "the machine's port ends its connections"
    for part in (APP, APP6, SQL, PUBLIC.address):
        assert part_at(found, part) == part_at(plain, part)


def test_a_public_port_leads_within_one_ip_version() -> None:
    own = RuleSet(closed(SSH), openings("*", SSH))
    found = behind(own, [APP, APP6], [], {SSH: (PUBLIC, PUBLIC6)}).openings
    assert found == {
        **openings("0.0.0.0/0", SSH.behind(APP)),
        **openings("::/0", SSH.behind(APP6)),
        **leads("0.0.0.0/0", PUBLIC, SSH.behind(APP)),
        **leads("::/0", PUBLIC6, SSH.behind(APP6)),
    }


@pytest.mark.parametrize("mapped", [{RDP: (PUBLIC,)}, {PortKey(UDP, 22): (PUBLIC,)}, {SSH: ()}])
def test_a_public_port_of_another_port_leads_nobody(
    mapped: dict[PortKey, tuple[PublicPort, ...]],
) -> None:
    """Nor one of a port that nothing closes: it is the gateway's own."""
    own = RuleSet(closed(SSH), openings("*", SSH))
    assert behind(own, [APP], [], mapped) == behind(own, [APP], [])


def test_where_a_machine_was_no_public_port_leads() -> None:
    own = RuleSet(closed(SSH), openings("*", SSH))
    found = behind(own, [], [APP], {SSH: (PUBLIC,)})
    assert found == RuleSet(closed(SSH.behind(APP), SSH.mapped(PUBLIC)))


def test_a_plan_leads_a_source_elsewhere_by_ending_what_was() -> None:
    own = RuleSet(closed(SSH), openings("192.0.2.1", SSH))
    before, after = (behind(own, [each], [], {SSH: (PUBLIC,)}) for each in (APP, SQL))
    found = plan(after, Observed(before, is_intact=True))
    (gone,), (new,) = (leads("192.0.2.1", PUBLIC, SSH.behind(each)) for each in (APP, SQL))
    assert DropOpening(gone) in found
    assert PutOpening(Opening(new, MINUTE, "g")) in found
    released = plan(behind(own, [SQL], []), Observed(after, is_intact=True))
    assert released == (DropOpening(new), ReleasePort(SSH.mapped(PUBLIC)))


# -- a firewall of several ---------------------------------------------------------------------


def test_several_machines_are_one_rule_set() -> None:
    gateway = RuleSet(closed(SSH), openings("192.0.2.1", SSH))
    app = behind(RuleSet(closed(SSH), openings("192.0.2.2", SSH)), [APP], [])
    sql = behind(RuleSet(closed(RDP, after=KILL)), [SQL], [])
    found = united([gateway, app, sql])
    assert found.closed == gateway.closed | app.closed | sql.closed
    assert found.openings == {**gateway.openings, **app.openings}
    assert united([]) == RuleSet()


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_that_name_one_port_the_stricter_holds(order: int) -> None:
    port = SSH.behind(APP)
    short = RuleSet(
        closed(port), openings("*", port, MINUTE, "s"), dict.fromkeys(keys("*", port), MINUTE)
    )
    long = RuleSet(
        closed(port, after=KILL),
        openings("0.0.0.0/0", port, 2 * MINUTE, "l"),
        dict.fromkeys(keys("0.0.0.0/0", port), 2 * MINUTE),
    )
    found = united([short, long][::order])
    assert found.closed == long.closed
    assert found.openings == {**short.openings, **long.openings}
    assert found.cuts == {**short.cuts, **long.cuts}


def test_all_cuts_of_a_firewall_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        RuleSet(closed(port), {}, dict.fromkeys(keys("192.0.2.1", port), MINUTE))
        for port in (SSH, SSH.behind(APP), SSH.behind(APP6))
    ]
    monkeypatch.setattr("bascule.domain.held.MOST_CUTS", 2)
    assert set(united(parts).cuts) == {
        *keys("*", SSH),
        *keys("0.0.0.0/0", SSH.behind(APP)),
        *keys("::/0", SSH.behind(APP6)),
    }


@given(rule_sets(), rule_sets())
def test_a_part_is_what_was_put_in(gateway: RuleSet, machine: RuleSet) -> None:
    """Whatever both name: nothing of one machine is ever another's, nor the gateway's own."""
    found = united([gateway, behind(machine, [APP, APP6], [SQL])])
    assert part_at(found, None) == gateway
    for address in (APP, APP6):
        assert part_at(found, address) == RuleSet(
            machine.closed,
            {k: e for k, e in machine.openings.items() if k.source.version == address.version},
            {k: e for k, e in machine.cuts.items() if k.source.version == address.version},
            {k: e for k, e in machine.drains.items() if k.source.version == address.version},
        )
    assert part_at(found, SQL).openings == part_at(found, SQL).drains == {}
    assert part_at(found, SQL).closed == machine.closed


# -- plans -------------------------------------------------------------------------------------


def test_a_plan_tells_a_machines_port_from_the_gateways_own() -> None:
    there, wanted = SSH.behind(APP), SSH.behind(SQL)
    observed = RuleSet(closed(SSH, there), openings("192.0.2.1", there))
    desired = RuleSet(
        closed(there, wanted),
        openings("192.0.2.1", wanted),
        dict.fromkeys(keys("192.0.2.1", wanted), MINUTE),
    )
    (key,), (new,) = keys("192.0.2.1", there), keys("192.0.2.1", wanted)
    assert plan(desired, Observed(observed, is_intact=True)) == (
        ClosePort(ClosedPort(wanted), is_new=True),
        DropOpening(key),
        PutCut(new, MINUTE),
        PutOpening(Opening(new, MINUTE, "g")),
        ReleasePort(SSH),
    )
    mixed = RuleSet(closed(SSH, there, wanted, PortKey(UDP, 53).behind(APP6)))
    assert plan(mixed, Observed(mixed, is_intact=True)) == ()
    assert [type(each) for each in plan(RuleSet(), Observed(mixed, is_intact=True))] == [
        ReleasePort
    ] * 4
