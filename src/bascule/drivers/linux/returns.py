"""Do answers of machines behind a gateway come back through it? (EDGES G7)

At the gateway an echo request tells: a machine that answers the gateway's address on their own link,
and not its address on the link of the default route, sends answers to strangers another way. On the
machine its own default route tells. What is not known: a machine that answers no echo requests, and one
whose answers come to the gateway by other routers.
Source: RFC 792, RFC 4443. Raw sockets take CAP_NET_RAW, which the agent does not have.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from bascule.domain.net import Address, PortKey, port_order
from bascule.domain.weaknesses import RETURNS_ELSEWHERE, ROUTE_ELSEWHERE, Weakness
from bascule.drivers.linux.routes import Hop, hop_to

_ANYWHERE = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}  # RFC 5737, RFC 3849
_TRIES, _WAIT = 3, 0.5  # seconds for an answer to each
_MOST = 64  # machines that are asked, all at once: their tries are over in three seconds


def returning_elsewhere(closed: Collection[PortKey]) -> tuple[list[Weakness], list[str]]:
    """The closed ports of machines behind that answer by another way; and, in words, of which machines
    that could not be told. Raises OSError where the default routes cannot be read.
    """
    behind = sorted((each for each in closed if each.at is not None), key=port_order)
    addresses = list(dict.fromkeys(each.at for each in behind if each.at is not None))
    outer = {version: hop_to(address) for version, address in _ANYWHERE.items()}
    missing: dict[Address, Address] = {}
    untold: dict[str, list[Address]] = defaultdict(list)
    with ThreadPoolExecutor(_MOST) as pool:
        asked = {
            each: pool.submit(_not_answered, each, outer[each.version])
            for each in addresses[:_MOST]
        }
        for address, answer in asked.items():
            try:
                source = answer.result()
            except OSError as error:  # a rule that drops echo requests, no source that may be used
                untold[error.strerror or str(error)].append(address)
            else:
                if source is not None:
                    missing[address] = source
    if addresses[_MOST:]:
        untold[f"no more than {_MOST} are asked"] = addresses[_MOST:]
    found = [
        RETURNS_ELSEWHERE(port=port, address=port.at, source=missing[port.at])
        for port in behind
        if port.at is not None and port.at in missing
    ]
    return found, [
        f"whether answers of {', '.join(map(str, each))} come back through this gateway ({why})"
        for why, each in untold.items()
    ]


def _not_answered(address: Address, outer: Hop | None) -> Address | None:
    """The gateway's own address that the machine does not answer; None: it does, or nobody can tell.

    Raises OSError where no echo request can be sent.
    """
    near = hop_to(address)
    if near is None or near.source is None or outer is None or outer.source is None:
        return None
    if near.interface == outer.interface or not _answers(address, near.source):
        return None
    return None if _answers(address, outer.source) else outer.source


def route_elsewhere(gateway: Address) -> Iterator[Weakness]:
    """Of this machine, where its default route is not by that gateway. Raises OSError."""
    hop = hop_to(_ANYWHERE[gateway.version])
    if hop is None:
        yield ROUTE_ELSEWHERE(gateway=gateway, route="none")
    elif hop.via != gateway:
        names = dict(socket.if_nameindex())
        by = f"{hop.via} " if hop.via is not None else ""
        yield ROUTE_ELSEWHERE(gateway=gateway, route=f"{by}dev {names.get(hop.interface, '?')}")


def _answers(address: Address, source: Address) -> bool:
    """Does it answer an echo request from that address of ours? Raises OSError."""
    is_4 = address.version == 4
    family = socket.AF_INET if is_4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if is_4 else socket.IPPROTO_ICMPV6
    request, answer = (8, 0) if is_4 else (128, 129)
    mark = os.urandom(8)
    with socket.socket(family, socket.SOCK_RAW, protocol) as made:
        made.bind((str(source), 0))
        for _ in range(_TRIES):
            made.sendto(_echo(request, mark), (str(address), 0))
            deadline = time.monotonic() + _WAIT
            while (left := deadline - time.monotonic()) > 0:
                made.settimeout(left)
                try:
                    got, (sender, *_) = made.recvfrom(256)
                except TimeoutError:
                    break
                body = got[(got[0] & 0xF) * 4 :] if is_4 else got
                if sender == str(address) and body[:1] == bytes([answer]) and body[8:16] == mark:
                    return True
    return False


def _echo(kind: int, mark: bytes) -> bytes:
    """The kernel sets ICMPv6's checksum."""
    whole = struct.pack(">BBHHH", kind, 0, 0, 0, 1) + mark
    total = sum(struct.unpack(f">{len(whole) // 2}H", whole))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">BBHHH", kind, 0, ~total & 0xFFFF, 0, 1) + mark
