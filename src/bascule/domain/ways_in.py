"""How to get in by an open port: where to connect, and a command to copy. Pure.

EDGES A18, A22: addresses and names are parsed, because they go where a shell or a program reads
them, and the address is of an IP version that the grant lets in. A public port of a gateway comes
before the machine's own address. ssh knows a host key by the machine's name (HostKeyAlias), so that
two machines at one public address differ, and one whose public port changed stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import NamedTuple

from bascule.domain.net import Address, PublicPort

SSH, RDP, POSTGRESQL, WINRM, WINRM_TLS = 22, 3389, 5432, 5985, 5986
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?:@[A-Za-z0-9][A-Za-z0-9.-]{0,127})?")


class Kind(StrEnum):
    """Of a way in."""

    SSH = "ssh"
    RDP = "rdp"
    WINRM = "winrm"
    POSTGRESQL = "psql"
    PLAIN = "plain"  # an address and a port, for whatever speaks there


class Door(NamedTuple):
    """Where to connect to."""

    address: Address
    number: int

    def __str__(self) -> str:
        """RFC 3986 section 3.2.2: an IPv6 address stands in brackets."""
        return f"{self.host}:{self.number}"

    @property
    def host(self) -> str:
        return f"[{self.address}]" if self.address.version == 6 else str(self.address)


def is_user(text: str) -> bool:
    """May this stand in a command as a user's name? Letters, digits, and what no shell reads."""
    return _USER.fullmatch(text) is not None


def door(
    number: int,
    public: Iterable[PublicPort],
    addresses: Iterable[Address],
    versions: Collection[int],
) -> Door | None:
    """The first public port, else the machine's first address, of one of these IP versions.

    ``number`` is the machine's own port. None: there is no such address.
    """
    for each in public:
        if each.address.version in versions:
            return Door(each.address, each.number)
    for address in addresses:
        if address.version in versions:
            return Door(address, number)
    return None


def kind_of(number: int, *, is_tcp: bool) -> Kind:
    """By the machine's own port."""
    if not is_tcp:
        return Kind.PLAIN
    return {
        SSH: Kind.SSH,
        RDP: Kind.RDP,
        POSTGRESQL: Kind.POSTGRESQL,
        WINRM: Kind.WINRM,
        WINRM_TLS: Kind.WINRM,
    }.get(number, Kind.PLAIN)


def command(kind: Kind, number: int, at: Door, machine: str, user: str = "") -> str:
    """The line that gets in; ``machine`` is a checked name, ``user`` is left out if it is none."""
    name = user if is_user(user) else ""
    if kind is Kind.SSH:
        port = "" if at.number == SSH else f"-p {at.number} "
        return f"ssh {port}-o HostKeyAlias={machine} {f'{name}@' if name else ''}{at.address}"
    if kind is Kind.RDP:
        return f"mstsc /v:{at}"
    if kind is Kind.WINRM:
        return _winrm(at, name, is_tls=number == WINRM_TLS)
    if kind is Kind.POSTGRESQL:
        return f'psql "host={at.address} port={at.number}{f" user={name}" if name else ""}"'
    return str(at)


def _winrm(at: Door, user: str, *, is_tls: bool) -> str:
    """PowerShell takes an IPv6 address in a URI alone."""
    if at.address.version == 6:
        target = f"-ConnectionUri '{'https' if is_tls else 'http'}://{at}/wsman'"
    else:
        target = f"-ComputerName {at.address} -Port {at.number}{' -UseSSL' if is_tls else ''}"
    return f"Enter-PSSession {target} -Credential {user or '(Get-Credential)'}"
