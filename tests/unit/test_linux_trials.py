"""What a packet in a copy of the rules shows of a finding, without a kernel (EDGES G7)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Self, cast

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    BRIDGED,
    FORWARDED_PAST,
    MORE_FOUND,
    REWRITTEN_PAST,
    SECOND_PORT,
    SOURCE_BLOCKED,
    Weakness,
)
from bascule.drivers.linux import copied_rules, trials
from bascule.drivers.linux.copied_rules import CopiedRules
from bascule.drivers.linux.other_rules import OtherRules, Way
from bascule.drivers.linux.routes import Hop
from bascule.drivers.linux.scratch import CannotTry, Journey
from bascule.interfaces.driver import Outcome, Trial

SSH = PortKey(TransportProtocol.TCP, 22)
HOST, HOST6, INNER, TARGET = map(ip_address, ("10.0.0.1", "fd00::1", "10.9.0.1", "10.9.0.2"))
SECOND = SECOND_PORT(port=SSH, other="2222/tcp", program="sshd", rule="r")
BLOCKED = BLOCKED_ELSEWHERE(port=SSH, where="ufw", rule="r", how="h")


class Host:
    """Of two links; 22 and 2222 are served over both IP versions."""

    own = frozenset({HOST, HOST6, INNER})
    addresses = ((2, HOST), (2, HOST6), (3, INNER))
    ways = (Way((2, "eth0"), HOST), Way((2, "eth0"), HOST6), Way((3, "in0"), INNER))

    def served(self, port: PortKey) -> tuple[int, ...]:
        del port
        return (4, 6)

    def targets(self, port: PortKey) -> frozenset[object]:
        del port
        return frozenset()


class World:
    """Which packets come through, and what was sent."""

    def __init__(self, comes: Callable[[Journey], bool], fault: str = "") -> None:
        self.comes = comes
        self.fault = fault
        self.sent: list[Journey] = []
        self.left_out: list[bool] = []

    def copied(self, is_left_out: Callable[[str, str], bool]) -> CopiedRules:
        self.left_out.append(is_left_out("inet", "bascule"))
        assert not is_left_out("ip", "filter")
        return CopiedRules(())

    def scratch(self, journey: Journey, names: object, addresses: object) -> Scratch:
        del names, addresses
        if self.fault:
            raise CannotTry(self.fault)
        self.sent.append(journey)
        return Scratch(self, journey)


class Scratch:
    here: object = None

    def __init__(self, world: World, journey: Journey) -> None:
        self._world, self._journey = world, journey

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def check(self) -> None: ...

    def arrives(self) -> bool:
        return self._world.comes(self._journey)


def tried(
    monkeypatch: pytest.MonkeyPatch,
    finding: Weakness,
    comes: Callable[[Journey], bool],
    fault: str = "",
) -> tuple[World, Trial]:
    world = World(comes, fault)
    monkeypatch.setattr(trials, "copied", world.copied)
    monkeypatch.setattr(trials, "Scratch", world.scratch)
    monkeypatch.setattr(trials, "hop_to", lambda _: Hop(3, None, None))
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "in0")])
    host = cast("OtherRules", Host())  # what of it is asked for
    (trial,) = trials.tried([finding], host, lambda *named: named == ("inet", "bascule"))
    return world, trial


def _never(_: Journey) -> bool:
    return False


def _always(_: Journey) -> bool:
    return True


def _over_6(journey: Journey) -> bool:
    return journey.to.version == 6


@pytest.mark.parametrize(
    ("finding", "comes", "outcome", "without_ours"),
    [
        (SECOND, _always, Outcome.CONFIRMED, False),
        (SECOND, _over_6, Outcome.CONFIRMED, False),
        (SECOND, _never, Outcome.REFUTED, False),
        (BLOCKED, _never, Outcome.CONFIRMED, True),
        (BLOCKED, _over_6, Outcome.REFUTED, True),
        (BLOCKED, _always, Outcome.REFUTED, True),
    ],
)
def test_what_a_packet_shows(
    monkeypatch: pytest.MonkeyPatch,
    finding: Weakness,
    comes: Callable[[Journey], bool],
    outcome: Outcome,
    without_ours: bool,
) -> None:
    """A block is another program's only where our own table is not in the copy."""
    world, trial = tried(monkeypatch, finding, comes)
    assert trial == Trial(outcome)
    assert world.left_out == [without_ours]


def sent(monkeypatch: pytest.MonkeyPatch, finding: Weakness) -> list[str]:
    world, _ = tried(monkeypatch, finding, _never)
    return [
        f"{e.source} {e.interface} {e.to} {e.port}"
        + (f" > {e.inner[0]} {e.inner[1]} {e.inner[2]}" if e.inner else "")
        for e in world.sent
    ]


def test_which_packet_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour's, by every link from outside; on to another link where it is sent on."""
    assert sent(monkeypatch, SECOND) == [
        "10.0.0.254 eth0 10.0.0.1 2222/tcp",
        "fd00::ffff:ffff:ffff:fffe eth0 fd00::1 2222/tcp",
        "10.9.0.254 in0 10.9.0.1 2222/tcp",
    ]
    target = f"{TARGET} 5432/tcp"
    past = FORWARDED_PAST(
        port="5432/tcp", other="any other port, such as 49151/tcp", target=target, rule="r"
    )
    assert sent(monkeypatch, past) == [
        f"10.0.0.254 eth0 10.0.0.1 49151/tcp > in0 {TARGET} 5432/tcp"
    ]
    over = BLOCKED_ELSEWHERE(port=SSH, where="ufw over IPv6", rule="r", how="h")
    assert sent(monkeypatch, over) == ["fd00::ffff:ffff:ffff:fffe eth0 fd00::1 22/tcp"]
    source = SOURCE_BLOCKED(port=SSH, where="nftables", source="198.51.100.7", rule="r")
    assert sent(monkeypatch, source)[0] == "198.51.100.7 eth0 10.0.0.1 22/tcp"
    behind = BLOCKED_ELSEWHERE(port=SSH.behind(TARGET), where="iptables", rule="r", how="h")
    assert sent(monkeypatch, behind) == [f"10.0.0.254 eth0 {TARGET} 22/tcp > in0 {TARGET} 22/tcp"]


@pytest.mark.parametrize(
    "finding",
    [
        REWRITTEN_PAST(where="w", rule="r"),
        BRIDGED(port=SSH.behind(TARGET), rule="br0"),
        MORE_FOUND(number=1, codes="SecondPort", most=8),
    ],
)
def test_what_names_no_packet_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, finding: Weakness
) -> None:
    world, trial = tried(monkeypatch, finding, _always)
    assert trial.outcome is Outcome.UNTRIED
    assert trial.reason
    assert world.sent == []


def test_a_copy_that_cannot_be_made_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that something leads past us nor that nothing does."""
    for finding in (SECOND, BLOCKED):
        _, trial = tried(monkeypatch, finding, _always, "nft is not installed")
        assert trial == Trial(Outcome.UNTRIED, "nft is not installed")


def test_rules_are_copied_by_who_wrote_them(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = "\tset a {\n\t\tflags timeout\n}\n}\n"
    listed = {
        "nft list tables": "table inet bascule\ntable ip filter\ntable ip nat\ntable ip6 mine\n",
        "nft list table inet bascule": "table inet bascule {\n\tflags owner,persist\n" + inner,
        "nft list table ip filter": 'table ip filter {\nxt match "comment" accept\n}\n',
        "nft list table ip nat": "table ip nat {\n}\n",
        "nft list table ip6 mine": "table ip6 mine {\n}\n",
        "iptables-nft-save -t filter": "*filter",
        "iptables-legacy-save -t mangle": "*mangle",
    }
    monkeypatch.setattr(copied_rules, "run", lambda *command: listed[" ".join(command)])
    monkeypatch.setattr(copied_rules, "legacy_tables", lambda: [(2, "mangle")])
    whole = copied_rules.copied(lambda _family, _name: False).parts
    assert [(" ".join(command), text) for command, text in whole] == [
        ("nft -f -", "table inet bascule {\n" + inner),
        ("iptables-nft-restore -n", "*filter"),
        ("nft -f -", "table ip nat {\n}\n"),
        ("nft -f -", "table ip6 mine {\n}\n"),
        ("iptables-legacy-restore -n", "*mangle"),
    ]
    others = copied_rules.copied(lambda family, name: (family, name) == ("inet", "bascule")).parts
    assert others == whole[1:]
