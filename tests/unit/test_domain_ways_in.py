"""Where to connect, and by which command: nothing in it that was not checked, no other door."""

from __future__ import annotations

import shlex
from ipaddress import ip_address

import pytest

from bascule.domain.net import PublicPort
from bascule.domain.ways_in import Door, Kind, command, door, kind_of

FOUR, SIX = ip_address("10.1.0.10"), ip_address("fd01::10")
PUBLIC_FOUR = PublicPort(ip_address("198.51.100.80"), 2001)
PUBLIC_SIX = PublicPort(ip_address("2001:db8::80"), 2002)
BOTH = (4, 6)


def test_a_public_port_comes_before_the_machine_s_own_address() -> None:
    assert door(22, [PUBLIC_FOUR], [FOUR, SIX], BOTH) == Door(PUBLIC_FOUR.address, 2001)
    assert door(22, [], [FOUR, SIX], BOTH) == Door(FOUR, 22)


def test_no_door_of_another_ip_version() -> None:
    public, own = [PUBLIC_FOUR, PUBLIC_SIX], [FOUR, SIX]
    assert door(22, public, own, {6}) == Door(PUBLIC_SIX.address, 2002)
    assert door(22, [PUBLIC_FOUR], own, {6}) == Door(SIX, 22), "by its own address, if it is routed"
    assert door(22, [PUBLIC_FOUR], [FOUR], {6}) is None
    assert door(22, public, own, ()) is None


@pytest.mark.parametrize(
    ("number", "at", "user", "line"),
    [
        (22, Door(FOUR, 22), "", "ssh -o HostKeyAlias=app-1 10.1.0.10"),
        (
            22,
            Door(PUBLIC_FOUR.address, 2001),
            "ada",
            "ssh -p 2001 -o HostKeyAlias=app-1 ada@198.51.100.80",
        ),
        (
            22,
            Door(PUBLIC_SIX.address, 2002),
            "$(reboot)",
            "ssh -p 2002 -o HostKeyAlias=app-1 2001:db8::80",
        ),
        (3389, Door(PUBLIC_FOUR.address, 2001), "", "mstsc /v:198.51.100.80:2001"),
        (3389, Door(PUBLIC_SIX.address, 2002), "ada", "mstsc /v:[2001:db8::80]:2002"),
        (
            5985,
            Door(PUBLIC_FOUR.address, 2001),
            "",
            "Enter-PSSession -ComputerName 198.51.100.80 -Port 2001 -Credential (Get-Credential)",
        ),
        (
            5986,
            Door(PUBLIC_FOUR.address, 2001),
            "ada",
            "Enter-PSSession -ComputerName 198.51.100.80 -Port 2001 -UseSSL -Credential ada",
        ),
        (
            5985,
            Door(PUBLIC_SIX.address, 2002),
            "ada",
            "Enter-PSSession -ConnectionUri 'http://[2001:db8::80]:2002/wsman' -Credential ada",
        ),
        (
            5986,
            Door(PUBLIC_SIX.address, 2002),
            "ada",
            "Enter-PSSession -ConnectionUri 'https://[2001:db8::80]:2002/wsman' -Credential ada",
        ),
        (5432, Door(PUBLIC_FOUR.address, 2001), "", 'psql "host=198.51.100.80 port=2001"'),
        (5432, Door(FOUR, 5432), "ada", 'psql "host=10.1.0.10 port=5432 user=ada"'),
        (1433, Door(PUBLIC_SIX.address, 2002), "", "[2001:db8::80]:2002"),
    ],
)
def test_the_line_by_the_machine_s_port_and_the_door(
    number: int, at: Door, user: str, line: str
) -> None:
    """What it is follows from the machine's port, where it goes from the public one."""
    assert command(kind_of(number, is_tcp=True), number, at, "app-1", user) == line


def test_by_udp_nothing_is_said_to_speak_there() -> None:
    assert kind_of(22, is_tcp=False) is Kind.PLAIN


def test_what_a_shell_makes_of_psql_s_line_is_one_word() -> None:
    line = command(Kind.POSTGRESQL, 5432, Door(FOUR, 2001), "sql-1", "ada@example.com")
    assert shlex.split(line) == ["psql", "host=10.1.0.10 port=2001 user=ada@example.com"]
