"""What ``bench.gateway`` runs inside its namespaces: a client that connects, and a holder of grants.

``python -m bench.gateway_programs connect ADDRESS PORT SECONDS`` keeps connections under way and resets each
one when it is made, so that no port waits. ``... grants SERVER PUBLIC PORT`` opens a public port for the
sources that it is told, as a gateway's agent does, by the nftables driver. Both end with their input.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network

from bascule.domain.behind import behind
from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, PublicPort, TransportProtocol
from bascule.domain.plan import plan
from bascule.drivers.nftables import open_driver

PROGRAM = "bench.gateway_programs"
_AT_ONCE = 32
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close(2) sends a reset (socket(7))


def connect(address: str, port: int, seconds: float) -> None:
    for line in sys.stdin:
        span = seconds if json.loads(line)["do"] == "measure" else seconds / 4
        print(json.dumps({"per_second": _rate(address, port, span)}), flush=True)


def _rate(address: str, port: int, seconds: float) -> float:
    """Connections that were made, a second; one that fails is none."""
    waiting = select.epoll()
    under_way: dict[int, socket.socket] = {}
    made, began = 0, time.monotonic()
    end = began + seconds
    while (now := time.monotonic()) < end:
        while len(under_way) < _AT_ONCE:
            each = socket.socket()
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with contextlib.suppress(BlockingIOError):
                each.connect((address, port))
            under_way[each.fileno()] = each
            waiting.register(each, select.EPOLLOUT)
        for descriptor, _ in waiting.poll(end - now):
            each = under_way.pop(descriptor)
            made += each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            waiting.unregister(descriptor)
            each.close()
    took = time.monotonic() - began
    for each in under_way.values():
        each.close()
    waiting.close()
    return made / took


def grants(server: str, public: str, number: int) -> None:
    told: Sequence[str] = json.loads(sys.stdin.readline())["sources"]
    port, hour = PortKey(TransportProtocol.TCP, number), timedelta(hours=1)
    keys = [OpeningKey(ip_network(each), port) for each in told]
    own = RuleSet(
        frozenset({ClosedPort(port)}),
        {key: Opening(key, hour, f"g{n}") for n, key in enumerate(keys)},
    )
    mapped = {port: (PublicPort(ip_address(public), number),)}
    driver = open_driver()
    wanted = behind(own, (ip_address(server),), (), mapped)
    driver.apply(plan(wanted, driver.observe()))
    missing = wanted.openings.keys() - driver.observe().rules.openings.keys()
    outcome = (
        {"error": f"{len(missing)} openings are missing"} if missing else {"opened": len(told)}
    )
    print(json.dumps(outcome), flush=True)
    for _ in sys.stdin:
        driver.remove()
        print(json.dumps({"removed": True}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "connect":
        connect(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        grants(sys.argv[2], sys.argv[3], int(sys.argv[4]))
