"""What a server may tell its agent: what the API can grant, and nothing that a firewall refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bascule.agent.state import StateRefused, read_state
from bascule.domain.desired import CUT_FOR, LONGEST_CUT, Cut, DesiredState, Lease
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.protocol.codec import encode
from bascule.protocol.shape import MILLISECOND
from bascule.protocol.state import State
from tests.samples import ALICE_HOST, ANYWHERE, SSH, machine

STATE = DesiredState(
    "uid-web",
    7,
    frozenset({ClosedPort(SSH, OnExpiry.KILL)}),
    {PortKey(TransportProtocol.TCP, 3389): 6},
    (Lease("g", (SSH,), ALICE_HOST, MAXIMUM_DURATION, 2),),
    (Cut("h", (SSH,), ANYWHERE, CUT_FOR),),
)


def told() -> Any:
    """The state as the server writes it, to be changed by a test."""
    text = json.dumps(encode(State(STATE, machine().id.name)))
    return copy.deepcopy(json.loads(text))


def put(*path: str | int, value: object) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


def test_what_the_server_writes_is_read() -> None:
    assert read_state(told()).desired == STATE


NAN, ENDLESS = float("nan"), float("inf")
PORT = {"protocol": "TCP", "number": 22, "onExpiry": "keep"}


@pytest.mark.parametrize(
    "change",
    [
        *(
            put(*where, "number", value=number)
            for where in (("closed", 0), ("leases", 0, "ports", 0), ("cuts", 0, "ports", 0))
            for number in (70_000, 0, -1, 2**70, 22.5, "22", True, None, NAN)
        ),
        put("released", 0, "number", value=65_536),
        put("released", 0, "generation", value=-1),
        put("released", 0, "generation", value=None),
        put("closed", 0, "protocol", value="SCTP"),
        put("closed", 0, "protocol", value="*"),
        put("closed", 0, "onExpiry", value="never"),
        put("closed", value=[PORT, {**PORT, "onExpiry": "kill"}]),
        put("closed", value=None),
        put("closed", value="22"),
        put("machineUid", value=7),
        put("generation", value=-1),
        put("generation", value=2**53),
        *(
            put(what, 0, "remainingMs", value=value)
            for what in ("leases", "cuts")
            for value in (-1, 2**70, 86_400_001, NAN, ENDLESS, "60", 1.5)
        ),
        put("cuts", 0, "remainingMs", value=LONGEST_CUT // MILLISECOND + 1),
        put("leases", 0, "extension", value=-1),
        put("leases", 0, "sources", value=[]),
        put("leases", 0, "sources", value=["192.0.2.1/24"]),
        put("leases", 0, "ports", value=[]),
        put("leases", 0, "grantId", value=""),
        put("leases", 0, "grantId", value="g" * 65),
    ],
)
def test_a_state_that_cannot_be_is_refused_whole(change: Callable[[Any], None]) -> None:
    """Else this host would keep it, and its firewall refuse it at every boot (EDGES A6)."""
    data = told()
    change(data)
    with pytest.raises(StateRefused):
        read_state(data)


@pytest.mark.parametrize("what", ["leases", "cuts"])
def test_more_openings_than_a_machine_may_have_are_refused(what: str) -> None:
    """The bound of the API, 30,000; each address family of ``*`` is one."""
    data = told()
    one = {**data[what][0], "sources": ["192.0.2.1"] * 1000}
    data[what] = [{**one, "grantId": f"g-{n}"} for n in range(30)]
    assert len(read_state(data).desired.leases + read_state(data).desired.cuts) == 31
    data[what].append({**one, "grantId": "more", "sources": ["192.0.2.1"]})
    with pytest.raises(StateRefused, match="30001"):
        read_state(data)


def test_a_lease_may_last_a_day_and_not_longer() -> None:
    """A server whose clock was set back never tells more (``desired_state``)."""
    assert read_state(told()).desired.leases[0].remaining == timedelta(days=1)
