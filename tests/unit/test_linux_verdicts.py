"""What foreign rules do with a packet: a drop counts only where no packet passes."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.drivers.linux import netlink
from bascule.drivers.linux.ruleset import Attributes, Base, Element, Rule
from bascule.drivers.linux.verdicts import INPUT, Drop, Packet, drops

Expression = tuple[str, Attributes]
SSH = Packet(
    PortKey(TransportProtocol.TCP, 22),
    ip_address("10.0.0.1"),
    ip_address("10.0.0.9"),
    (2, "eth0"),
)


def word(number: int) -> bytes:
    return struct.pack(">i", number)


def dport(number: int) -> Rule:
    load = {1: word(8), 2: word(2), 3: word(2), 4: word(2)}
    return [("payload", load), ("cmp", compare(struct.pack(">H", number)))]


def saddr(text: str) -> Rule:
    load = {1: word(8), 2: word(1), 3: word(12), 4: word(4)}
    return [("payload", load), ("cmp", compare(ip_address(text).packed))]


def compare(data: bytes) -> Attributes:
    return {1: word(8), 2: word(0), 3: netlink.attribute(1, data)}


def verdict(code: int, chain: str = "") -> Expression:
    inner = netlink.attribute(1, word(code))
    if chain:
        inner += netlink.attribute(2, chain.encode() + b"\0")
    return "immediate", {1: word(0), 2: netlink.attribute(2, inner)}


DROP, ACCEPT, RETURN = verdict(0), verdict(1), verdict(-5)
LIMIT: Expression = ("limit", {})
NEVER_SEEN: Expression = ("newer", {})


class Rules:
    family: int = socket.AF_INET
    name = "filter"

    def __init__(self, policy_drops: bool, chains: dict[str, list[Rule]]) -> None:
        self.bases = {"input": Base(INPUT, 0, "filter", drops=policy_drops)}
        self.rules = chains

    def elements(self, name: str) -> list[Element]:
        del name
        return []


@pytest.mark.parametrize(
    ("rules", "end"),
    [
        (Rules(False, {}), None),
        (Rules(True, {}), Drop("input", -1)),
        (Rules(True, {"input": [[*dport(22), ACCEPT]]}), None),
        (Rules(True, {"input": [[*dport(23), ACCEPT]]}), Drop("input", -1)),
        (Rules(False, {"input": [[*dport(22), DROP]]}), Drop("input", 0)),
        (Rules(False, {"input": [[*dport(22), LIMIT, DROP]]}), None),  # as fast as the limit
        (Rules(True, {"input": [[LIMIT, *dport(22), ACCEPT]]}), None),
        (Rules(True, {"input": [[NEVER_SEEN, ACCEPT]]}), None),
        (Rules(False, {"input": [[NEVER_SEEN, DROP]]}), None),
        (Rules(False, {"input": [[*saddr("10.0.0.9"), DROP]]}), Drop("input", 0)),
        (Rules(False, {"input": [[*saddr("10.0.0.8"), DROP]]}), None),
        # Through chains: back from a jump, not from a goto.
        (
            Rules(False, {"input": [[verdict(-3, "a")], [DROP]], "a": [[RETURN]]}),
            Drop("input", 1),
        ),
        (Rules(False, {"input": [[verdict(-4, "a")], [DROP]], "a": [[RETURN]]}), None),
        (Rules(True, {"input": [[verdict(-3, "a")]], "a": [[*dport(22), ACCEPT]]}), None),
        (Rules(False, {"input": [[verdict(-3, "a")]], "a": [[DROP]]}), Drop("a", 0)),
        # A queue, or a verdict that is not known, may let it pass.
        (Rules(True, {"input": [[("queue", {})]]}), None),
        (Rules(True, {"input": [[verdict(77)]]}), None),
    ],
)
def test_a_drop_is_certain_or_it_is_none(rules: Rules, end: Drop | None) -> None:
    assert drops(rules, INPUT, SSH) == end


def test_a_source_that_is_not_known_makes_no_drop_certain() -> None:
    anybody = Packet(SSH.port, SSH.address, None, SSH.interface)
    assert drops(Rules(False, {"input": [[*saddr("10.0.0.9"), DROP]]}), INPUT, anybody) is None


def test_another_hook_or_family_is_not_looked_at() -> None:
    rules = Rules(True, {})
    assert drops(rules, INPUT + 1, SSH) is None
    assert drops(rules, INPUT, Packet(SSH.port, ip_address("fd00::1"))) is None
