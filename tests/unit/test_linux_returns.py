"""Machines behind a gateway whose answers go another way (EDGES G7)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.drivers.linux import returns
from bascule.drivers.linux.routes import Hop

SSH = PortKey(TransportProtocol.TCP, 22)
APP, NEAR, OUTER, ROUTER = map(ip_address, ("10.1.0.10", "10.1.0.1", "192.168.0.2", "192.168.0.1"))
BEHIND = Hop(3, None, NEAR)


@pytest.mark.parametrize(
    ("outer", "answered", "is_found"),
    [
        (Hop(2, ROUTER, OUTER), {NEAR}, True),
        (Hop(2, ROUTER, OUTER), {NEAR, OUTER}, False),
        (Hop(2, ROUTER, OUTER), set(), False),  # it may be off, or answers no echo requests
        (Hop(2, ROUTER, OUTER), {OUTER}, False),
        (Hop(3, ROUTER, NEAR), {NEAR}, False),  # on the link of the default route nothing tells
        (None, {NEAR}, False),
    ],
)
def test_a_machine_is_found_that_answers_a_neighbour_alone(
    monkeypatch: pytest.MonkeyPatch, outer: Hop | None, answered: set[Address], is_found: bool
) -> None:
    monkeypatch.setattr(returns, "hop_to", lambda to: BEHIND if to == APP else outer)
    monkeypatch.setattr(returns, "_answers", lambda _, source: source in answered)
    found = list(returns.returning_elsewhere([SSH, SSH.behind(APP)]))
    assert [(each.code, each.arguments["port"]) for each in found] == (
        [("ReturnsElsewhere", f"22/tcp of {APP}")] if is_found else []
    )


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
