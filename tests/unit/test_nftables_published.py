"""Where closed ports lead, when the kernel's rules can be read and when they cannot."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import ip_address

import pytest

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.domain.weaknesses import PUBLISHED_UNREAD
from bascule.drivers.linux import conntrack, nat_rules, ruleset
from bascule.drivers.linux.nat_rules import Translations
from bascule.drivers.nftables import published
from bascule.drivers.nftables.published import Published

PORT, OWN = PortKey(TransportProtocol.TCP, 2222), PortKey(TransportProtocol.TCP, 22)
ONE, TWO = ip_address("172.17.0.2"), ip_address("fd17::2")
TARGETS = {("target4", ("172.17.0.2", "tcp", "22")), ("target6", ("fd17::2", "tcp", "22"))}
INSIDE = ("inside", ('"docker0"',))


class Kernel:
    """What other programs' rules say, and how often they were read."""

    def __init__(self) -> None:
        self.generation = 1
        self.read = Translations(frozenset({(ONE, OWN), (TWO, OWN)}))
        self.fault: Exception | None = None
        self.met: set[tuple[PortKey, tuple[Address, PortKey]]] = set()
        self.reads = 0
        self.addresses: frozenset[Address] = frozenset()

    def ask(self) -> int:
        if self.fault is not None:
            raise self.fault
        return self.generation

    def translations(
        self, ports: Collection[PortKey], is_ours: Callable[[int, str], bool]
    ) -> Translations:
        assert is_ours(1, "bascule"), "our own maps lead to no container"
        self.reads += 1
        return self.read if ports else Translations()

    def links(self, targets: Collection[Address]) -> frozenset[str]:
        return frozenset({"docker0"} if targets else ())


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()

    def targets(ports: Collection[PortKey]) -> set[tuple[PortKey, tuple[Address, PortKey]]]:
        return {each for each in made.met if each[0] in ports}

    monkeypatch.setattr(ruleset, "generation", made.ask)
    monkeypatch.setattr(nat_rules, "translations", made.translations)
    monkeypatch.setattr(conntrack, "targets", targets)
    monkeypatch.setattr(published, "container_links", made.links)
    monkeypatch.setattr(published, "local_addresses", lambda: made.addresses)
    return made


def test_rules_are_read_again_when_they_or_the_closed_ports_changed(kernel: Kernel) -> None:
    behind = Published(has_conntrack=True)
    for _ in range(3):
        assert behind.look([PORT]).keys() == TARGETS | {INSIDE}
    assert kernel.reads == 1
    kernel.generation, kernel.read = 2, Translations(frozenset({(ONE, OWN)}))
    assert behind.look([PORT]).keys() == {("target4", ("172.17.0.2", "tcp", "22")), INSIDE}
    assert behind.look([]) == {}
    assert kernel.reads == 3
    kernel.addresses = frozenset({TWO})
    behind.look([])
    assert kernel.reads == 4, "a rule may be for an address that has come to be ours"
    assert behind.weaknesses == ()


@pytest.mark.parametrize(
    "fault", [OSError(1, "Operation not permitted"), ValueError("of no form"), RecursionError()]
)
def test_what_was_known_stays_while_rules_cannot_be_read(kernel: Kernel, fault: Exception) -> None:
    """And whatever is wrong with other programs' rules, no closing waits for it."""
    behind = Published(has_conntrack=True)
    known = behind.look([PORT])
    kernel.fault = fault
    assert behind.look([PORT]) == known
    (said,) = behind.weaknesses
    assert said.is_of(PUBLISHED_UNREAD)
    kernel.fault = None
    behind.look([PORT])
    assert behind.weaknesses == ()


@pytest.mark.parametrize(("has_conntrack", "is_known"), [(True, True), (False, False)])
def test_connections_tell_what_rules_do_not(
    kernel: Kernel, *, has_conntrack: bool, is_known: bool
) -> None:
    """For as long as the port is closed and its rules are unread, after they have ended too."""
    kernel.read = Translations(unread=("a", "b", "c", "d"))
    kernel.met = {(PORT, (ONE, OWN))}
    behind = Published(has_conntrack=has_conntrack)
    wanted = {("target4", ("172.17.0.2", "tcp", "22")), INSIDE} if is_known else set()
    assert behind.look([PORT]).keys() == wanted
    assert behind.weaknesses == (PUBLISHED_UNREAD(unread="a, b, c and 1 more"),)
    kernel.met = set()
    assert behind.look([PORT]).keys() == wanted
    assert behind.look([]) == {}
    assert behind.look([PORT]) == {}


def test_connections_are_not_listed_where_rules_tell_all(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a busy host they are many, and the look comes every two seconds."""

    def never(ports: Collection[PortKey]) -> None:
        pytest.fail(f"asked for connections to {ports}")

    monkeypatch.setattr(conntrack, "targets", never)
    behind = Published(has_conntrack=True)
    assert behind.look([PORT]).keys() == TARGETS | {INSIDE}
    assert behind.weaknesses == ()
