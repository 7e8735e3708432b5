"""Pages say where a machine is closed that only a gateway guards (EDGES G7)."""

from __future__ import annotations

import re

import pytest

from tests.portal.visiting import owner, text_of
from tests.wire.house import House
from tests.wire.test_gateway_faces import CLOSED, PROXY, prepare, report, tell


@pytest.fixture
def gated(house: House) -> House:
    prepare(house)
    return house


def test_the_portal_says_where(gated: House) -> None:
    olga = owner(gated)
    row = re.findall(r"<tr.*?</tr>", olga.page("/portal/jit"), re.DOTALL)
    (app,) = [text_of(each) for each in row if "app-1" in each]
    (web,) = [text_of(each) for each in row if "web-1" in each]
    assert "Closed at gw-1" in app
    assert "Closed" in web
    assert "Closed at" not in web
    (tall,) = [each for each in row if "app-1" in each and "<td" in each]
    assert 'title="Firewall"' in tall, "the how-to's connection icon"
    page = text_of(olga.page("/portal/machines/default/app-1"))
    assert "Kept closed at gw-1" in page
    assert "Only gw-1 closes ports of this machine." in page
    assert "Firewall gw-1" in page
    assert "The host itself admits" not in page, "it has no agent of its own"
    settings = text_of(olga.page("/portal/machines/default/app-1/configuration"))
    assert "These ports are closed at gw-1 until" in settings
    everything = text_of(olga.page("/portal/exposure?tab=all"))
    assert "closed at gw-1" in everything
    french = text_of(olga.page("/portal/machines/default/app-1", language="fr"))
    assert "gw-1" in french
    assert "Only gw-1" not in french


def test_with_an_agent_of_its_own_it_is_closed_and_the_icon_is_the_firewall(gated: House) -> None:
    """The how-to's rule: the firewall when both. What is open needs both."""
    house = gated
    agent = house.enrol("app-1")
    tell(house, agent, "app-1", "app-1", **CLOSED)
    page = owner(house).page("/portal/jit")
    (row,) = [each for each in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if "app-1" in each]
    assert 'title="Firewall"' in row


def test_the_portal_says_of_the_machine_what_is_found_at_its_gateway(gated: House) -> None:
    """Where another program's rule leads past the gateway, no page says closed (EDGES G7)."""
    report(gated, PROXY)
    olga = owner(gated)
    row = re.findall(r"<tr.*?</tr>", olga.page("/portal/jit?state=openPastUs"), re.DOTALL)
    (app,) = [text_of(each) for each in row if "app-1" in each]
    assert "Open past us at gw-1" in app
    page = text_of(olga.page("/portal/machines/default/app-1"))
    assert "open past us at gw-1" in page
    assert "At gw-1: haproxy on this gateway listens on port 8022/tcp" in page
    assert "Kept closed at" not in page
    assert "open past us at gw-1" in text_of(olga.page("/portal/exposure?tab=all"))
    settings = text_of(olga.page("/portal/machines/default/app-1/configuration"))
    assert "These ports are closed" not in settings
    french = text_of(olga.page("/portal/machines/default/app-1", language="fr"))
    assert "ouvert malgré nous sur gw-1" in french
    report(gated)
    assert "app-1" not in text_of(olga.page("/portal/jit?state=openPastUs"))
    assert "Closed at gw-1" in text_of(olga.page("/portal/jit"))
