"""Pages say where a machine is closed that only a gateway guards (EDGES G7)."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from tests.portal.asking import live
from tests.portal.test_activity import ids, rows
from tests.portal.test_how_to_firewall import ask_and_open, leading
from tests.portal.visiting import owner, text_of
from tests.wire.house import House
from tests.wire.test_firewalls import FIRST, Gateway
from tests.wire.test_gateway_faces import (
    CLOSED,
    PROXY,
    UNANSWERED,
    prepare,
    report,
    tell,
    uid_of,
)
from tests.wire.test_parallel import request

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own


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
    connect = "/portal/machines/default/app-1/connect"
    assert "The gateway in front of it is connected: gw-1" in text_of(olga.page(connect))
    assert "agent is connected" not in text_of(olga.page(connect)), "it has none"
    assert "devant elle est connectée" in text_of(olga.page(connect, language="fr"))
    french = text_of(olga.page("/portal/machines/default/app-1", language="fr"))
    assert "Seule gw-1 ferme les ports" in french
    (row,) = re.findall(
        r"<tr>\s*<th[^>]*>(?:(?!</tr>).)*app-1.*?</tr>", olga.page("/portal/points"), re.DOTALL
    )
    assert "Firewall" in text_of(row), "only a gateway guards it"
    assert "Host filter" not in text_of(row)


def test_with_an_agent_of_its_own_it_is_closed_and_the_icon_is_the_firewall(gated: House) -> None:
    """The how-to's rule: the firewall when both. What is open needs both."""
    house = gated
    agent = house.enrol("app-1")
    tell(house, agent, "app-1", "app-1", **CLOSED)
    olga = owner(house)
    page = olga.page("/portal/jit")
    (row,) = [each for each in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if "app-1" in each]
    assert 'title="Firewall"' in row
    shown = text_of(olga.page("/portal/machines/default/app-1"))
    assert "Host filter Firewall gw-1" in shown, "its page names both"


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


def test_a_request_says_that_no_answer_comes_back(gated: House) -> None:
    """Its page names the gateway and what may be wrong at the machine, in the reader's language."""
    grant = request(gated)
    agent = gated.client_of(gated.agent_token(uid_of(gated, "gw-1")))
    tell(gated, agent, "gw-1", "app-1", grant, **CLOSED)
    tell(gated, agent, "gw-1", "gw-1", weaknesses=[UNANSWERED])
    (found,) = live(gated)
    olga = owner(gated)
    page = text_of(olga.page(f"/portal/requests/{found.request_id}"))
    assert "No answer through gw-1: Connections to 22/tcp" in page
    french = text_of(olga.page(f"/portal/requests/{found.request_id}", language="fr"))
    assert "Aucune réponse à travers gw-1" in french
    assert "Connections to" not in french
    tell(gated, agent, "gw-1", "gw-1")
    assert "No answer" not in text_of(olga.page(f"/portal/requests/{found.request_id}"))


# -- led by the gateway -------------------------------------------------------------------------


@pytest.fixture
def led(house: House) -> Gateway:
    return leading(house)


def test_an_rdp_file_leads_to_the_public_address_and_port(led: Gateway) -> None:
    olga, path = ask_and_open(led)
    (grant,) = [each for each in live(led.house) if each.number == 3389]
    (public,) = [e["destinationPorts"][0] for e in led.rules if e["translatedPort"] == "3389"]
    answer = olga.get(f"{path}/{grant.id}.rdp")
    assert answer.content.startswith(f"full address:s:{FIRST}:{public}\r\n".encode())
    assert answer.headers["content-disposition"] == 'attachment; filename="app-1-3389.rdp"'


def test_over_no_page_names_the_public_port_any_more(led: Gateway) -> None:
    olga, path = ask_and_open(led)
    assert olga.send(f"{path}/close").status_code == 303
    led.tell("app-1")
    assert FIRST not in text_of(olga.page(path))
    assert led.rules == []


def test_an_owner_says_what_manages_a_gateway(gated: House) -> None:
    """EDGES G9: its machines are on the tab Unsupported, with that reason and what to do."""
    olga = owner(gated)
    point = f"/portal/points/{uid_of(gated, 'gw-1')}"
    assert olga.send(f"{point}/managed-by", {"by": "FortiManager"}).status_code == 303
    assert 'value="FortiManager"' in olga.page(point)
    there = text_of(olga.page("/portal/jit?tab=unsupported"))
    assert "gw-1, in front of app-1, is managed by FortiManager, as an owner says" in there
    assert "bascule machine managed-by gw-1 --nobody" in there
    page = text_of(olga.page("/portal/machines/default/app-1"))
    assert "Something other than Bascule manages a gateway in front of this machine." in page
    french = text_of(olga.page("/portal/jit?tab=unsupported", language="fr"))
    assert "est gérée par FortiManager, selon un propriétaire" in french
    olga.send(f"{point}/managed-by", {"by": ""})
    report(gated, {"code": "FlowsOffloaded", "arguments": {"tables": "inet filter fast"}})
    there = text_of(olga.page("/portal/jit?tab=unsupported"))
    assert "is managed by flow table inet filter fast, as its agent found" in there
    assert "bascule machine managed-by gw-1 Bascule" in there


def test_the_activity_log_names_the_gateway(gated: House) -> None:
    """On the event's page and in the file; the record has its uid."""
    olga, uid = owner(gated), uid_of(gated, "gw-1")
    log = olga.page("/portal/activity")
    (place,) = [
        number
        for number, row in zip(ids(log), rows(log), strict=True)
        if "Bind machine to enforcement point" in row
    ]
    own = text_of(olga.page(f"/portal/activity/events/{place}"))
    details = own.partition("Details")[2].partition("Time")[0]
    assert "gateway: gw-1" in details
    assert uid not in details
    file = olga.get("/portal/activity/csv").text
    assert "gateway: gw-1" in file
    assert f"uid: {uid}" not in file


def test_of_two_gateways_the_silent_one_is_named_and_the_machine_is_not_away(gated: House) -> None:
    """What it keeps open is not known, so no list says closed; but the other is heard."""
    gated.add_machine("gw-2")
    gated.enrol("gw-2")
    for name in ("gw-1", "gw-2"):
        path = f"{gated.machine('app-1')}/providers/Bascule.Fleet/enforcementPoints"
        body = {"addresses": ["10.1.0.10"], "parallel": True}
        put = gated.call("PUT", f"{path}/{uid_of(gated, name)}", body)
        assert put.status_code in (200, 201)
    report(gated)
    olga = owner(gated)
    listed = re.findall(r"<tr.*?</tr>", olga.page("/portal/jit"), re.DOTALL)
    (app,) = [text_of(each) for each in listed if "app-1" in each]
    assert "gw-2 away" in app
    assert "Agent away" not in app
    assert "Closed" not in app
    french = text_of(olga.page("/portal/jit", language="fr"))
    assert "gw-2 absente" in french
    page = "/portal/machines/default/app-1"
    assert "Only gw-1, gw-2 close ports of this machine." in text_of(olga.page(page))
    assert "Seules gw-1, gw-2 ferment" in text_of(olga.page(page, language="fr"))
    for path in (page, f"{page}/connect", asking(gated)):
        shown = text_of(olga.page(path))
        assert "gw-2 away" in shown
        assert "Requests open through the other gateways." in shown
        assert "Away" not in shown
        french = text_of(olga.page(path, language="fr"))
        assert "gw-2 absente" in french
        assert "Les demandes s’ouvrent par les autres passerelles." in french
    for path in ("/portal/machines", "/portal/exposure?tab=all", "/portal/points"):
        found = re.findall(r"<tr.*?</tr>", olga.page(path), re.DOTALL)
        shown = "".join(text_of(each) for each in found if "/app-1" in each)
        assert "gw-2 away" in shown, path
        assert "Away" not in shown
        assert "gw-2 absente" in text_of(olga.page(path, language="fr"))


def test_of_two_gateways_in_series_the_silent_one_keeps_requests_from_opening(gated: House) -> None:
    """The neighbour of the test above."""
    gated.add_machine("gw-2")
    gated.enrol("gw-2")
    path = f"{gated.machine('app-1')}/providers/Bascule.Fleet/enforcementPoints"
    body = {"addresses": ["10.1.0.10"]}
    assert gated.call("PUT", f"{path}/{uid_of(gated, 'gw-2')}", body).status_code == 201
    report(gated)
    olga = owner(gated)
    page = "/portal/machines/default/app-1"
    for path in (page, f"{page}/connect", asking(gated)):
        shown = text_of(olga.page(path))
        assert "gw-2 away" in shown
        assert "As long as that lasts, requests fail." in shown
        assert "through the other gateways" not in shown


def asking(house: House) -> str:
    return f"/portal/jit/request?{urlencode({'machine': house.machine('app-1')})}"
