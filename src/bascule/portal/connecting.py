"""How one connects to a port that is open: lines to copy, and the file that Windows opens.

Addresses were parsed when they came in and are written here from what was parsed, so that
none can be an option or a second command (EDGES A18, C4). The address is of the family that
was granted (A22). What is not here: any name: a machine's is its own, and may be nobody's in
the reader's DNS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bascule.domain.grant import Grant
from bascule.domain.machine import Machine
from bascule.domain.net import Address, AddressPrefix, is_within

SSH, RDP = 22, 3389
WINRM = {5985: "", 5986: " -UseSSL"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to connect; ``kind`` is ssh, rdp, winrm or other."""

    kind: str
    command: str


def reachable_address(machine: Machine, sources: Iterable[AddressPrefix]) -> Address | None:
    """The machine's first address of a family that these sources are of."""
    families = {network.version for source in sources for network in source.networks}
    return next((each for each in machine.addresses if each.version in families), None)


def admits(grant: Grant, address: Address) -> bool:
    return is_within([AddressPrefix.of(address)], grant.sources)


def ways_to(address: Address, number: int) -> tuple[Way, ...]:
    if number == SSH:
        return (Way("ssh", f"ssh {address}"),)
    if number == RDP:
        return (Way("rdp", f"mstsc /v:{_bracketed(address)}:{number}"),)
    if number in WINRM:
        command = f"Enter-PSSession -ComputerName {_bracketed(address)}{WINRM[number]}"
        return (Way("winrm", command),)
    return (Way("other", f"{_bracketed(address)}:{number}"),)


def rdp_file(address: Address, number: int) -> str:
    """Settings of a Remote Desktop connection, one a line (full address:s:...)."""
    return (
        f"full address:s:{_bracketed(address)}:{number}\r\n"
        "prompt for credentials:i:1\r\n"
        "administrative session:i:0\r\n"
    )


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
