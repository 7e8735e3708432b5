"""How to get in by a grant, as pages show it: a command to copy, or a file, or why there is none.

EDGES A18, A22, C4. What does not pass the checks of ``domain.ways_in`` is no command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bascule.domain import ways_in
from bascule.domain.grant import Grant
from bascule.domain.ids import is_name
from bascule.domain.machine import Machine
from bascule.domain.net import Address, PublicPort, TransportProtocol, parse_address
from bascule.domain.ways_in import Door, Kind, is_user
from bascule.errors import InvalidInput
from bascule.services.views import RequestView


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way, or why there is none."""

    kind: str = ""  # a ``Kind``, a word of ``way_in.*``
    command: str = ""  # to be copied
    has_file: bool = False  # an .rdp file may be had
    why_not: str = ""  # a word of ``way_in.not.*``
    through: str = ""  # the public address and port, where a gateway leads there


def way_in(
    machine: Machine | None, grant: Grant, user: str = "", public: Sequence[PublicPort] = ()
) -> WayIn:
    """How to use this grant; ``user`` goes into the command where it is one. ``public`` are the
    public ports that lead to it.
    """
    at = door_of(machine, grant, public)
    if machine is None or not is_name(machine.id.name):
        return WayIn(why_not="machine")
    if at is None:
        return WayIn(why_not="address" if not machine.addresses and not public else "family")
    is_tcp = any(key.protocol is TransportProtocol.TCP for key in grant.port_keys)
    kind = ways_in.kind_of(grant.number, is_tcp=is_tcp)
    line = ways_in.command(kind, grant.number, at, machine.id.name, user)
    is_led = PublicPort(at.address, at.number) in public
    return WayIn(kind.value, line, has_file=kind is Kind.RDP, through=str(at) if is_led else "")


def public_of(view: RequestView, grant: Grant) -> Sequence[PublicPort]:
    """The public ports that lead to a grant's port by TCP, else by UDP; the one to name first."""
    led = [through.claim for through in view.public_ports(grant)]
    by_tcp = [each.public for each in led if each.port.protocol is TransportProtocol.TCP]
    return by_tcp or [each.public for each in led]


def door_of(
    machine: Machine | None, grant: Grant, public: Iterable[PublicPort] = ()
) -> Door | None:
    """Where to connect to; None: no address is of an IP version that the grant lets in."""
    versions = {net.version for source in grant.sources for net in source.networks}
    return ways_in.door(grant.number, public, _addresses(machine), versions)


def _addresses(machine: Machine | None) -> Iterator[Address]:
    for each in machine.addresses if machine is not None else ():
        try:
            yield parse_address(str(each))
        except InvalidInput:
            continue


def rdp_file(at: Door, user: str = "") -> bytes:
    """Settings of Remote Desktop Connection: ``name:type:value``, lines ended by CR LF."""
    lines: Sequence[str] = (
        f"full address:s:{at}",
        *([f"username:s:{user}"] if is_user(user) else []),
        "prompt for credentials:i:1",
        "authentication level:i:2",  # warn when the host's certificate cannot be checked
        "negotiate security layer:i:1",
        "screen mode id:i:2",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
