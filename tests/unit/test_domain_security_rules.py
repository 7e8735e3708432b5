"""What is held, as security rules: nothing more open in the view, nothing hidden, Azure's bounds."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bascule.domain.ids import machine_id
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, parse_address
from bascule.domain.security_rules import (
    LONGEST_DESCRIPTION,
    MOST_SOURCES,
    Anchors,
    HeldOpening,
    RuleView,
    SecurityRule,
    allow_description,
    deny_description,
    rule_name,
    security_rules,
)
from bascule.errors import ConfigurationError
from tests.samples import DNS, SSH, SUBSCRIPTION, TCP, UDP, machine, prefixes

UID = "8c18bf89-21f0-4198-9344-b4f1e3a0c370"
HEX = "8C18BF8921F041989344B4F1E3A0C370"
WEB = machine(uid=UID)
BOTH = replace(WEB, addresses=tuple(map(parse_address, ("10.0.0.1", "2001:db8::1", "10.0.0.9"))))
NOWHERE = replace(WEB, addresses=())
RDP = PortKey(TCP, 3389)
SSH_UDP = PortKey(UDP, 22)


def opening(*sources: str, ports: tuple[PortKey, ...] = (SSH,), **more: str) -> HeldOpening:
    return HeldOpening(more.pop("id", "g-1"), ports, prefixes(*sources), policy="default", **more)  # type: ignore[arg-type]  # reason: texts alone


def view(
    *openings: HeldOpening,
    ports: tuple[PortKey, ...] = (SSH,),
    of: object = WEB,
    policies: tuple[str, ...] = ("default",),
    anchors: Anchors = Anchors(),  # noqa: B008  # reason: frozen
) -> RuleView:
    return security_rules(of, map(ClosedPort, ports), openings, policies, anchors)  # type: ignore[arg-type]  # reason: a machine


def split(found: RuleView) -> tuple[list[SecurityRule], list[SecurityRule]]:
    allows = [rule for rule in found.rules if rule.is_allow]
    return allows, [rule for rule in found.rules if not rule.is_allow]


def test_one_deny_rule_has_all_ports_of_a_machine() -> None:
    (rule,) = view(ports=(RDP, SSH)).rules
    assert re.fullmatch(rf"BasculeJITRule_-?[0-9]+_{HEX}", rule.name)
    assert rule.description == "Bascule JIT Network Access rule for policy 'default' of VM 'web-1'."
    assert (rule.protocol, rule.sources, rule.destinations) == ("Tcp", ("*",), ("10.0.0.1",))
    assert (rule.ports, rule.priority, rule.is_allow) == ((22, 3389), 1000, False)


def test_nothing_shut_is_no_rule_even_with_an_opening() -> None:
    """An opening of a port that nobody shut says nothing, here as in the kernel."""
    assert view(opening("192.0.2.1"), ports=()).rules == ()
    assert len(split(view(opening("192.0.2.1", ports=(RDP,))))[0]) == 0


def test_an_opening_is_an_allow_rule_above_the_deny() -> None:
    found = view(opening("192.0.2.1"))
    (allow,), (deny,) = split(found)
    assert found.rules == (allow, deny)
    assert re.fullmatch(rf"BasculeJITRule-(-?)[0-9]+-{HEX}", allow.name)
    assert allow.description == (
        "Bascule JIT Network Access rule created by an initiation request for policy 'default' "
        "of VM 'web-1'."
    )
    assert (allow.protocol, allow.sources, allow.destinations, allow.ports) == (
        "Tcp",
        ("192.0.2.1",),
        ("10.0.0.1",),
        (22,),
    )
    assert (allow.priority, deny.priority) == (100, 1000)
    assert [each.id for each in allow.openings] == ["g-1"]


@pytest.mark.parametrize(
    ("ports", "protocols"),
    [
        ((SSH,), {"Tcp": (22,)}),
        ((DNS,), {"Udp": (53,)}),
        ((SSH, SSH_UDP), {"*": (22,)}),
        ((SSH, DNS), {"Tcp": (22,), "Udp": (53,)}),
        ((SSH, SSH_UDP, DNS, RDP), {"*": (22,), "Tcp": (3389,), "Udp": (53,)}),
    ],
)
def test_protocols_are_never_widened(
    ports: tuple[PortKey, ...], protocols: dict[str, tuple[int, ...]]
) -> None:
    """A deny of more than is shut would be a lie as an allow of more would."""
    assert {rule.protocol: rule.ports for rule in view(ports=ports).rules} == protocols


def test_an_opening_is_told_of_what_is_shut_alone() -> None:
    (allow,), _ = split(view(opening("192.0.2.1", ports=(SSH, SSH_UDP))))
    assert allow.protocol == "Tcp"


def test_a_rule_has_one_address_family() -> None:
    allows, denies = split(view(opening("192.0.2.1", "2001:db8::/64", "192.0.2.8/30"), of=BOTH))
    assert [(each.sources, each.destinations) for each in allows] == [
        (("192.0.2.1", "192.0.2.8/30"), ("10.0.0.1", "10.0.0.9")),
        (("2001:db8::/64",), ("2001:db8::1",)),
    ]
    assert [each.destinations for each in denies] == [("10.0.0.1", "10.0.0.9"), ("2001:db8::1",)]
    assert [each.priority for each in denies] == [1000, 1001]
    assert len({rule.name for rule in (*allows, *denies)}) == 4


def test_everybody_comes_to_every_address() -> None:
    allows, _ = split(view(opening("*", "192.0.2.1"), of=BOTH))
    assert [(each.sources, each.destinations) for each in allows] == [
        (("*",), ("10.0.0.1", "10.0.0.9")),
        (("*",), ("2001:db8::1",)),
    ]


@pytest.mark.parametrize("of", [WEB, NOWHERE])
def test_an_opening_to_an_address_that_nobody_noted_is_not_hidden(of: object) -> None:
    (allow,), _ = split(view(opening("2001:db8::7"), of=of))
    assert (allow.sources, allow.destinations) == (("2001:db8::7",), ("*",))


def test_a_machine_without_addresses_is_denied_at_all() -> None:
    (deny,) = view(of=NOWHERE).rules
    assert deny.destinations == ("*",)


def many(count: int, same: bool = True) -> list[HeldOpening]:
    """Openings of different sources; when not ``same``, each of another port too."""
    return [
        opening(
            f"10.{n // 62500}.{n // 250 % 250}.{n % 250}",
            ports=(SSH if same else PortKey(TCP, n + 1),),
            id=f"g-{n}",
        )
        for n in range(count)
    ]


def test_priorities_begin_at_the_anchors_and_never_cross() -> None:
    anchors = Anchors(4000, 4003)
    allows, (deny,) = split(view(*many(3), anchors=anchors))
    assert [each.priority for each in allows] == [4000, 4001, 4002]
    assert deny.priority == 4003


def test_what_does_not_fit_is_gathered_by_source() -> None:
    """No opening may be hidden because there are many of them."""
    found = view(*many(901), opening("2001:db8::7", id="six"))
    allows, _ = split(found)
    assert [len(each.sources) for each in allows] == [901, 1]
    assert [len(each.openings) for each in allows] == [901, 1]
    assert {each.priority for each in allows} == {100, 101}
    assert found.left_out == 0
    huge, _ = split(view(*many(MOST_SOURCES + 1)))
    assert [len(each.sources) for each in huge] == [MOST_SOURCES, 1]
    assert [len(each.openings) for each in huge] == [MOST_SOURCES, 1]


def test_everybody_swallows_the_sources_that_are_gathered_with_it() -> None:
    allows, _ = split(view(*many(901), opening("*", id="all")))
    assert [(each.sources, len(each.openings)) for each in allows] == [(("*",), 902)]


def test_what_fits_in_no_way_is_counted_and_never_below_a_deny() -> None:
    ports = tuple(PortKey(TCP, n + 1) for n in range(12))
    found = view(*many(12, same=False), ports=ports, anchors=Anchors(100, 110))
    assert found.left_out == 2
    assert [each.priority for each in found.rules] == list(range(100, 111))


@pytest.mark.parametrize(
    ("allow", "deny", "is_good"),
    [
        (100, 1000, True),
        (100, 101, True),
        (4090, 4091, True),
        (99, 1000, False),
        (1000, 1000, False),
        (1000, 100, False),
        (100, 4092, False),
    ],
)
def test_anchors_that_put_allow_above_deny_within_azures_bounds(
    allow: int, deny: int, is_good: bool
) -> None:
    if is_good:
        assert Anchors(allow, deny).deny == deny
    else:
        with pytest.raises(ConfigurationError):
            Anchors(allow, deny)


def test_names_are_the_same_each_time_and_of_azures_pattern() -> None:
    names = {
        rule_name(uid, what, is_allow=allow)
        for uid in (UID, "uid-of-no-guid")
        for what in ("one", "two", "three")
        for allow in (True, False)
    }
    assert len(names) == 12
    for name in names:
        assert len(name) <= 80
        assert re.fullmatch(r"BasculeJITRule(-|_)-?[0-9]{1,10}\1[0-9A-F]{32}", name)
    assert rule_name(UID, "one", is_allow=True) == rule_name(UID, "one", is_allow=True)


def test_descriptions_hold_both_names_whole_up_to_azures_bound() -> None:
    """140 characters; names of ours may have 64 each (CONTRACT 2.4)."""
    for policy, vm in (
        ("p" * 64, "v" * 64),
        ("p" * 64, "v"),
        ("p", "v" * 64),
        ("p" * 20, "v" * 30),
    ):
        text = allow_description(policy, vm)
        assert len(text) <= LONGEST_DESCRIPTION
        if len(policy) + len(vm) <= 52:
            assert f"'{policy}'" in text
            assert f"'{vm}'" in text
        else:
            assert "...'" in text
    assert "'v'" in allow_description("p" * 64, "v")
    assert "'p'" in allow_description("p", "v" * 64)
    both = allow_description("p" * 64, "v" * 64)
    assert both.count("...'") == 2
    assert len(both) == LONGEST_DESCRIPTION


def test_descriptions_of_several_policies_of_none_and_of_root() -> None:
    assert deny_description(["a", "b"], "web-1") == (
        "Bascule JIT Network Access rule for policies 'a', 'b' of VM 'web-1'."
    )
    assert deny_description([], "web-1") == (
        "Bascule JIT Network Access rule of VM 'web-1', in no policy."
    )
    assert allow_description("", "web-1") == (
        "Bascule JIT Network Access rule opened by root on the host of VM 'web-1'."
    )
    long = replace(WEB, id=machine_id(SUBSCRIPTION, "default", "v" * 64))
    for rule in view(of=long, policies=tuple("p" * 60 + str(n) for n in range(9))).rules:
        assert len(rule.description) <= LONGEST_DESCRIPTION
