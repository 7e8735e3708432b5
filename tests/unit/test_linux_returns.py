"""Machines behind a gateway whose answers go another way (EDGES G7)."""

from __future__ import annotations

import errno
import threading
from ipaddress import ip_address

import pytest

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import returns
from bascule.drivers.linux.routes import Hop

SSH = PortKey(TransportProtocol.TCP, 22)
APP, NEAR, OUTER, ROUTER = map(ip_address, ("10.1.0.10", "10.1.0.1", "192.168.0.2", "192.168.0.1"))
BEHIND, OUTWARD = Hop(3, None, NEAR), Hop(2, ROUTER, OUTER)


@pytest.mark.parametrize(
    ("outer", "answered", "is_found"),
    [
        (OUTWARD, {NEAR}, True),
        (OUTWARD, {NEAR, OUTER}, False),
        (OUTWARD, set(), False),  # it may be off, or answers no echo requests
        (OUTWARD, {OUTER}, False),
        (Hop(3, ROUTER, NEAR), {NEAR}, False),  # on the link of the default route nothing tells
        (None, {NEAR}, False),
    ],
)
def test_a_machine_is_found_that_answers_a_neighbour_alone(
    monkeypatch: pytest.MonkeyPatch, outer: Hop | None, answered: set[Address], is_found: bool
) -> None:
    monkeypatch.setattr(returns, "hop_to", lambda to: BEHIND if to == APP else outer)
    monkeypatch.setattr(returns, "_answers", lambda _, source: source in answered)
    found, untold = returns.returning_elsewhere([SSH, SSH.behind(APP)])
    assert untold == []
    assert [(each.code, each.arguments["port"]) for each in found] == (
        [("ReturnsElsewhere", f"22/tcp of {APP}")] if is_found else []
    )


def test_one_machine_that_cannot_be_asked_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule of the gateway's drops its own echo request to one machine: that one is not told."""
    refused = ip_address("10.1.0.9")

    def answers(to: Address, source: Address) -> bool:
        if to == refused:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return source == NEAR

    inside = {refused, APP}
    monkeypatch.setattr(returns, "hop_to", lambda to: BEHIND if to in inside else OUTWARD)
    monkeypatch.setattr(returns, "_answers", answers)
    found, untold = returns.returning_elsewhere([SSH.behind(refused), SSH.behind(APP)])
    assert [each.arguments["address"] for each in found] == [str(APP)]
    assert untold == [
        f"whether answers of {refused} come back through this gateway (Operation not permitted)"
    ]


def test_machines_are_asked_all_at_once_and_those_left_out_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So 64 that are switched off take as long as one."""
    together = threading.Barrier(64, timeout=10)

    def answers(_to: Address, _source: Address) -> bool:
        together.wait()  # raises where they are asked one after the other
        return False

    machines = [APP + number for number in range(66)]
    monkeypatch.setattr(returns, "hop_to", lambda to: BEHIND if to in machines else OUTWARD)
    monkeypatch.setattr(returns, "_answers", answers)
    found, untold = returns.returning_elsewhere([SSH.behind(each) for each in machines])
    assert found == []
    (told,) = untold
    assert f" {machines[64]}, {machines[65]} come back" in told
    assert "(no more than 64 are asked)" in told


@pytest.mark.parametrize(
    ("hop", "said"),
    [
        (Hop(2, NEAR, APP), None),
        (Hop(1, ROUTER, APP), f"{ROUTER} dev lo"),
        (Hop(1, None, APP), "dev lo"),
        (None, "none"),
    ],
)
def test_a_machine_s_default_route_leads_to_its_gateway(
    monkeypatch: pytest.MonkeyPatch, hop: Hop | None, said: str | None
) -> None:
    monkeypatch.setattr(returns, "hop_to", lambda _: hop)
    found = list(returns.route_elsewhere(NEAR))
    assert [each.arguments["route"] for each in found] == ([said] if said else [])
