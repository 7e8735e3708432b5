"""How to get in by an open port: a command to copy, or a file; checked before it is shown.

EDGES A18, A22, C4: name and address are parsed again here, because they go where a shell or a
program reads them, and the address is of a family that the grant lets in. What does not pass
is no command: the page then says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bascule.domain.grant import Grant
from bascule.domain.ids import is_name
from bascule.domain.machine import Machine
from bascule.domain.net import Address, TransportProtocol, parse_address
from bascule.errors import InvalidInput

SSH, RDP, WINRM, WINRM_TLS = 22, 3389, 5985, 5986
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?:@[A-Za-z0-9][A-Za-z0-9.-]{0,127})?")


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way, or why there is none."""

    kind: str = ""  # ssh, rdp, winrm, plain: a word of ``way_in.*``
    command: str = ""  # to be copied
    has_file: bool = False  # an .rdp file may be had
    why_not: str = ""  # a word of ``way_in.not.*``


def is_user(text: str) -> bool:
    """May this stand in a command as a user's name? Letters, digits, and what no shell reads."""
    return _USER.fullmatch(text) is not None


def way_in(machine: Machine | None, grant: Grant, user: str = "") -> WayIn:
    """How to use this grant; ``user`` goes into the command where it is one."""
    address = address_of(machine, grant)
    if machine is None or not is_name(machine.id.name):
        return WayIn(why_not="machine")
    if address is None:
        return WayIn(why_not="address" if not machine.addresses else "family")
    is_tcp = any(key.protocol is TransportProtocol.TCP for key in grant.port_keys)
    if not is_tcp:
        return WayIn("plain", host_and_port(address, grant.number))
    name = user if is_user(user) else ""
    if grant.number == SSH:
        at = f"{name}@" if name else ""
        return WayIn("ssh", f"ssh -o HostKeyAlias={machine.id.name} {at}{address}")
    if grant.number == RDP:
        return WayIn("rdp", f"mstsc /v:{host_and_port(address, RDP)}", has_file=True)
    if grant.number in (WINRM, WINRM_TLS):
        return WayIn("winrm", _winrm(address, grant.number, name))
    return WayIn("plain", host_and_port(address, grant.number))


def address_of(machine: Machine | None, grant: Grant) -> Address | None:
    """The machine's first address of a family that the grant lets in; None: there is none."""
    families = {net.version for source in grant.sources for net in source.networks}
    for each in machine.addresses if machine is not None else ():
        try:
            address = parse_address(str(each))
        except InvalidInput:
            continue
        if address.version in families:
            return address
    return None


def host_and_port(address: Address, number: int) -> str:
    """RFC 3986 section 3.2.2: an IPv6 address stands in brackets."""
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"{host}:{number}"


def _winrm(address: Address, number: int, user: str) -> str:
    """PowerShell takes an IPv6 address in a URI alone."""
    is_tls = number == WINRM_TLS
    if address.version == 6:
        scheme = "https" if is_tls else "http"
        target = f"-ConnectionUri '{scheme}://{host_and_port(address, number)}/wsman'"
    else:
        target = f"-ComputerName {address} -Port {number}{' -UseSSL' if is_tls else ''}"
    return f"Enter-PSSession {target} -Credential {user or '(Get-Credential)'}"


def rdp_file(address: Address, number: int, user: str = "") -> bytes:
    """Settings of Remote Desktop Connection: ``name:type:value``, lines ended by CR LF."""
    lines: Sequence[str] = (
        f"full address:s:{host_and_port(address, number)}",
        *([f"username:s:{user}"] if is_user(user) else []),
        "prompt for credentials:i:1",
        "authentication level:i:2",  # warn when the host's certificate cannot be checked
        "negotiate security layer:i:1",
        "screen mode id:i:2",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
