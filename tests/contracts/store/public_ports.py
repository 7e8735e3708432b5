"""Public ports of gateways: one row each, changed only from what was read."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.net import PortKey, PublicPort, TransportProtocol
from bascule.domain.public_ports import Claim
from bascule.errors import Conflict
from bascule.interfaces.store import Store
from tests.contracts.store.samples import HOUR, NOW, a_machine, a_point, read, write
from tests.samples import SSH

FOUR = PublicPort(ip_address("198.51.100.7"), 2000)
SIX = PublicPort(ip_address("2001:db8::7"), 2000)
MINE = Claim("uid-gate", FOUR, "uid-app", SSH)


class PublicPortContract:
    def test_a_public_port_comes_back_as_it_was_given(self, store: Store) -> None:
        """Of a machine and a gateway that are not there, too: it outlives both."""
        other = Claim("uid-gate", SIX, "uid-app", SSH, NOW)
        elsewhere = Claim("uid-other", FOUR, "uid-sql", SSH)
        udp = Claim("uid-gate", FOUR, "uid-sql", PortKey(TransportProtocol.UDP, 53))
        write(store, lambda tx: tx.add_public_ports([]))
        write(store, lambda tx: tx.add_public_ports([elsewhere, udp, other, MINE]))
        assert read(store, lambda r: r.public_ports_at("uid-gate")) == [MINE, udp, other]
        assert read(store, lambda r: r.public_ports_of(["uid-app"])) == [MINE, other]
        assert read(store, lambda r: r.public_ports_of(["uid-sql", "x"])) == [udp, elsewhere]
        assert read(store, lambda r: r.public_ports_of([])) == []

    def test_one_is_never_given_twice(self, store: Store) -> None:
        write(store, lambda tx: tx.add_public_ports([MINE]))
        for machine in ("uid-app", "uid-sql"):
            again = Claim("uid-gate", FOUR, machine, SSH)
            with pytest.raises(Conflict):
                write(store, lambda tx: tx.add_public_ports([again]))
        assert read(store, lambda r: r.public_ports_at("uid-gate")) == [MINE]

    def test_one_is_changed_from_what_was_read_alone(self, store: Store) -> None:
        write(store, lambda tx: tx.add_public_ports([MINE]))
        released = MINE.released(NOW)
        theirs = Claim("uid-gate", FOUR, "uid-sql", SSH)
        write(store, lambda tx: tx.put_public_port(released, MINE))
        for was in (MINE, MINE.released(NOW + HOUR), theirs.released(NOW)):
            with pytest.raises(Conflict):
                write(store, lambda tx: tx.put_public_port(theirs, was))
        assert read(store, lambda r: r.public_ports_at("uid-gate")) == [released]
        write(store, lambda tx: tx.put_public_port(theirs, released))
        assert read(store, lambda r: r.public_ports_at("uid-gate")) == [theirs]

    def test_what_is_held_back_no_longer_and_nobody_s_is_forgotten(self, store: Store) -> None:
        for name in ("gate", "app"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        write(store, lambda tx: tx.put_enforcement_point(a_point("uid-gate")))

        def claim(number: int, machine: str, point: str = "uid-gate", hours: int = 2) -> Claim:
            public = PublicPort(FOUR.address, number)
            return Claim(point, public, machine, SSH, NOW - timedelta(hours=hours))

        kept = [claim(1, "uid-app"), claim(2, "uid-gone", hours=1)]
        standing = Claim("uid-gate", PublicPort(FOUR.address, 3), "uid-gone", SSH)
        gone = [claim(4, "uid-gone"), claim(5, "uid-app", "uid-no-gate")]
        write(store, lambda tx: tx.add_public_ports([*kept, standing, *gone]))
        write(store, lambda tx: tx.forget_public_ports(NOW - HOUR))
        assert read(store, lambda r: r.public_ports_at("uid-gate")) == [*kept, standing]
        assert read(store, lambda r: r.public_ports_at("uid-no-gate")) == []
