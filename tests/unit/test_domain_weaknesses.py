"""Shadows: what may be said of a closed port that something else reaches or blocks (EDGES G7)."""

from __future__ import annotations

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    KINDS,
    PUBLISHED_UNREAD,
    RULES_UNREAD,
    SECOND_PORT,
    TABLE_UNOWNED,
    Shadow,
    Weakness,
    past_us,
    shadows,
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
