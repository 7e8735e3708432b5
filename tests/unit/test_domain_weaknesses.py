"""Shadows: what may be said of a closed port that something else reaches or blocks (EDGES G7)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.shadows import past_us, past_us_at, seen_behind, shadows
from bascule.domain.weaknesses import (
    ANSWERS_BY_ANOTHER,
    ANSWERS_ELSEWHERE,
    BLOCKED_ELSEWHERE,
    GATEWAY_S_OWN_ADDRESS,
    KINDS,
    NO_NEIGHBOUR,
    NO_ROUTE,
    PROXIED_BEHIND,
    PUBLISHED_UNREAD,
    REWRITTEN_BEHIND,
    ROUTE_ELSEWHERE,
    RULES_UNREAD,
    SECOND_PORT,
    TABLE_UNOWNED,
    UNANSWERED,
    Shadow,
    Weakness,
)

SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)
SECOND = SECOND_PORT(port=SSH, other="2222/tcp", program="sshd", rule="listener 0.0.0.0:2222")
BLOCKED = BLOCKED_ELSEWHERE(port=SSH, where="ufw", rule="INPUT: policy drop", how="ufw allow 22")
UNREAD = RULES_UNREAD(unread="the tables of iptables-legacy")


@pytest.mark.parametrize(
    ("weaknesses", "port", "said"),
    [
        ([], SSH, None),
        ([SECOND], SSH, Shadow.ADMITS),
        ([SECOND], RDP, None),
        ([BLOCKED], SSH, None),  # closed it is, to everybody
        ([UNREAD], RDP, Shadow.UNREAD),
        ([UNREAD, SECOND], SSH, Shadow.ADMITS),
        ([PUBLISHED_UNREAD(unread="chain x")], SSH, Shadow.UNREAD),
        ([TABLE_UNOWNED(kernel="6", nftables="1")], SSH, None),
        ([Weakness("Newer", {"port": "22/tcp"})], SSH, None),
    ],
)
def test_when_nobody_may_say_closed(
    weaknesses: list[Weakness], port: PortKey, said: Shadow | None
) -> None:
    assert past_us(weaknesses, port) is said


def test_a_machine_is_as_bad_as_its_worst_port() -> None:
    assert past_us([UNREAD, SECOND]) is Shadow.ADMITS
    assert past_us([BLOCKED]) is None


def test_a_shadow_has_its_rule_and_what_to_do() -> None:
    assert shadows([SECOND, TABLE_UNOWNED(kernel="6", nftables="1"), UNREAD]) == (SECOND, UNREAD)
    assert SECOND.rule == "listener 0.0.0.0:2222"
    assert str(SECOND.advice).startswith("Add 2222/tcp to the policies")
    assert TABLE_UNOWNED(kernel="6", nftables="1").advice is None
    assert UNREAD.rule == Weakness("Newer").rule == ""
    assert Weakness("Newer").advice is None


def test_every_shadow_says_what_to_do() -> None:
    assert [kind.code for kind in KINDS.values() if kind.shadow and not kind.advice] == []


HERE = (ip_address("10.1.0.10"), ip_address("fd01::10"))
AT_HERE = SSH.behind(HERE[0])
PROXY = PROXIED_BEHIND(port=AT_HERE, other="8022/tcp", program="haproxy", rule="r")
REWRITTEN = REWRITTEN_BEHIND(where="table inet x, chain y", rule="r")


@pytest.mark.parametrize(
    ("found", "port", "said"),
    [
        (PROXY, SSH, Shadow.ADMITS),
        (PROXY, RDP, None),
        (REWRITTEN, RDP, Shadow.ADMITS),
        (UNREAD, SSH, Shadow.UNREAD),
        # of the gateway's own ports alone
        (SECOND, SSH, None),
        (PUBLISHED_UNREAD(unread="chain x"), SSH, None),
        # of another machine's
        (PROXIED_BEHIND(port=SSH.behind(ip_address("10.1.0.11")), rule="r"), SSH, None),
        (PROXIED_BEHIND(port=SSH.behind(HERE[1]), rule="r"), SSH, Shadow.ADMITS),
    ],
)
def test_what_a_gateway_s_finding_says_of_a_machine_behind(
    found: Weakness, port: PortKey, said: Shadow | None
) -> None:
    behind = seen_behind([found], HERE, "gw")
    assert past_us(behind, port) is said
    assert past_us_at(behind, port) == (("gw",) if said else ())


def test_it_says_nothing_of_the_gateway_itself() -> None:
    for found in (PROXY, REWRITTEN):
        assert found.is_of_others
        assert past_us([found], SSH) is None
        assert past_us([found]) is None
        assert not any(each.is_of_others for each in seen_behind([found], HERE, "gw"))
    assert not UNREAD.is_of_others
    assert not Weakness("Newer").is_of_others
    assert past_us_at([UNREAD], SSH) == ()


def test_what_is_no_shadow_is_said_as_it_is() -> None:
    """Whatever this program does not know of a newer agent, too."""
    unowned, newer = TABLE_UNOWNED(kernel="6", nftables="1"), Weakness("Newer", {"port": "x"})
    assert seen_behind([unowned, newer], HERE, "gw") == (unowned, newer)


def test_of_a_machine_that_is_said_to_be_at_the_gateway_s_address_no_other_hears() -> None:
    said = GATEWAY_S_OWN_ADDRESS(address="10.9.0.1")
    assert seen_behind([said], [ip_address("10.9.0.1")], "gw") == (said,)
    assert seen_behind([said], HERE, "gw") == ()


def test_the_gateways_past_which_a_port_is_reached_are_named_once_each() -> None:
    both = [*seen_behind([PROXY, REWRITTEN], HERE, "a"), *seen_behind([UNREAD], HERE, "b")]
    assert past_us_at(both, SSH) == ("a",)
    assert past_us_at(both) == ("a",)


def test_what_a_machine_says_of_its_routes_is_about_its_own_ports_and_of_no_machine_behind_it() -> (
    None
):
    """EDGES G7. It does not say that somebody got no answer, which the gateway sees."""
    of_gateway = ANSWERS_BY_ANOTHER(version=4, gateway="gw-2", route="10.1.0.1", point="uid-gw-2")
    assert of_gateway.shadow is None, "access is not blocked"
    assert seen_behind([of_gateway], [ip_address("10.2.0.2")], "uid-db-1") == ()
    for kind in (ROUTE_ELSEWHERE, ANSWERS_ELSEWHERE, NO_ROUTE):
        said = kind(gateway="10.1.0.1", route="10.1.0.99", source="203.0.113.5")
        assert said.shadow is Shadow.BLOCKS
        assert said.concerns(SSH)
        assert not said.is_unanswered
        assert past_us([said]) is None, "the port is closed all the same"
        assert seen_behind([said], [ip_address("10.2.0.2")], "uid-db-1") == ()
    for kind in (UNANSWERED, NO_NEIGHBOUR):
        assert kind(port="22/tcp of 10.1.0.10", address="10.1.0.10").is_unanswered
