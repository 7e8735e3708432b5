"""Enforcement points in the portal: listed, enrolled, removed, by who may."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bascule import portal
from bascule.agent.enrolment import parse_token
from bascule.api.origin import Proxies
from bascule.domain.actions import (
    ENROLMENT_DELETE,
    ENROLMENT_WRITE,
    MACHINE_READ,
    MACHINE_WRITE,
    POINT_READ,
)
from bascule.domain.ids import machine_id
from bascule.domain.machine import EnforcementPoint
from bascule.domain.times import format_utc
from bascule.interfaces.store import Transaction
from bascule.portal.codes import TEXTS
from bascule.services.act import Act
from bascule.services.machines import MachineDraft, put_machine
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.support.enrolling import enrol_body
from tests.support.repository import write_repository
from tests.wire.house import JIT, PUBLIC_KEY, House, port_rule

OTHER_KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
POINTS, ENROL = "/portal/points", "/portal/points/enrol"
WEB = "/portal/machines/default/web-1"
POINT = "/subscriptions/{}/providers/Bascule.Fleet/enforcementPoints/{}"
_TOKEN = re.compile(r"(bascule-enrol\.[\w-]+)")


@pytest.fixture
def olga(house: House) -> Person:
    return owner(house)


def token_in(html: str) -> str:
    found = _TOKEN.search(unescape(html))
    assert found, text_of(html)
    return found[1]


def join(house: House, token: str, key: str = PUBLIC_KEY) -> Any:
    return house.client_of(None).post("/bascule/enrol", json=enrol_body(token, key))


def add_agent(house: House, name: str) -> tuple[str, Any]:
    """A machine with an agent that is heard of; its uid and the agent's client."""
    uid = house.add_machine(name)
    agent = house.enrol(name)
    house.report(agent, uid, agentVersion="0.3", blockedAttempts=1234)
    return uid, agent


def add_many(house: House, count: int) -> None:
    """Machines web-00, web-01, ... with agents that were never heard of."""
    subscription = house.installation.subscription_id

    def work(tx: Transaction, act: Act) -> None:
        for number in range(count):
            wanted = machine_id(subscription, "default", f"web-{number:02}")
            machine, _ = put_machine(tx, act, wanted, MachineDraft(), "local")
            tx.put_enforcement_point(EnforcementPoint(machine.uid, PUBLIC_KEY, act.now))

    house.do(work)


def shut(house: House, *names: str) -> None:
    rules = [{"id": house.machine(name), "ports": [port_rule()]} for name in names]
    body = {"kind": "Basic", "properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200


def rows(html: str) -> list[str]:
    return re.findall(r'<th scope="row".*?<a [^>]*>([^<]+)</a>', html, re.DOTALL)


# -- the list


def test_the_list_tells_how_each_agent_is(house: House, olga: Person) -> None:
    add_agent(house, "web-1")
    text = text_of(olga.page(POINTS))
    for words in ("web-1", "Healthy", "Host filter", "0.3", "1,234"):
        assert words in text
    shut(house, "web-1")
    assert "Not up to date" in text_of(olga.page(POINTS))
    house.clock.pass_time(120)
    assert "Away" in text_of(olga.page(POINTS))


def test_weaknesses_are_counted_and_told(house: House, olga: Person) -> None:
    uid, agent = add_agent(house, "web-1")
    house.report(agent, uid, weaknesses=[{"code": "FullMoon"}])
    assert "1 weakness" in text_of(olga.page(POINTS))
    assert "FullMoon" in text_of(olga.page(f"{POINTS}/{uid}"))


def test_what_a_point_cannot_do_is_told_and_nothing_is_counted_for_it(
    house: House, olga: Person
) -> None:
    """A missing lease is severe; what is not seen is not shown as 0."""
    uid, agent = add_agent(house, "web-1")
    able = {"endsLeases": True, "countsSessions": True, "endsSessions": True}
    house.report(agent, uid, capabilities={**able, "seesChanges": True})
    machine = text_of(olga.page("/portal/machines/default/web-1"))
    assert "Unknown: this machine’s enforcement point does not see blocked attempts." in machine
    assert "Nobody" not in machine.split("Blocked attempts")[1][:200]
    for page in (POINTS, f"{POINTS}/{uid}"):
        assert "cannot be determined" in text_of(olga.page(page))
    house.report(agent, uid, capabilities={**able, "endsLeases": False})
    assert "Opens nothing" in text_of(olga.page(POINTS))
    for page in (f"{POINTS}/{uid}", "/portal/machines/default/web-1"):
        html = olga.page(page)
        assert "the port would stay open" in text_of(html)
        assert 'class="note bad"' in html


def test_pages_say_when_attempts_were_counted_last(house: House, olga: Person) -> None:
    """An agent reports the number with other news: it may be old."""
    uid, agent = add_agent(house, "web-1")
    assert "Last count received: 2030-01-01 12:00" in text_of(olga.page(WEB))
    house.clock.pass_time(600)
    agent = house.client_of(house.agent_token(uid))
    house.report(agent, uid, blockedAttempts=1235)
    assert "Last count received: 2030-01-01 12:10" in text_of(olga.page(WEB))
    assert "1,235 2030-01-01 12:10" in text_of(olga.page(f"{POINTS}/{uid}"))
    able = {"endsLeases": True, "countsSessions": True, "endsSessions": True}
    house.report(agent, uid, capabilities={**able, "seesChanges": True})
    assert "Last count" not in olga.page(WEB), "what is not seen is not counted"


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_pages_say_how_far_a_clock_is_off(house: House, olga: Person, seconds: int) -> None:
    uid, agent = add_agent(house, "web-1")
    pages = (WEB, f"{POINTS}/{uid}")
    assert not any("Clock differs by" in olga.page(each) for each in pages)
    told = house.clock.now() + timedelta(seconds=seconds)
    house.report(agent, uid, clock=format_utc(told))
    for each in pages:
        assert "Clock differs by 1 h" in text_of(olga.page(each))
        assert "Écart d’horloge 1 h" in text_of(olga.page(each, language="fr"))


def test_the_list_is_searched_narrowed_and_paged(house: House, olga: Person) -> None:
    add_many(house, 52)
    house.add_machine("bare-1")
    first = olga.page(POINTS)
    assert rows(first) == [f"web-{number:02}" for number in range(50)]
    (beyond,) = set(re.findall(r'href="(/portal/points\?[^"]*after=[^"]*)"', first))
    assert rows(olga.page(unescape(beyond))) == ["web-50", "web-51"]
    assert rows(olga.page(f"{POINTS}?q=B-3")) == [f"web-3{number}" for number in range(10)]
    assert "Nothing matches" in text_of(olga.page(f"{POINTS}?q=nowhere"))
    assert rows(olga.page(f"{POINTS}?only=well")) == []
    assert len(rows(olga.page(f"{POINTS}?only=silent"))) == 50


def test_what_is_empty_says_what_to_do(house: House, olga: Person) -> None:
    page = olga.page(POINTS)
    assert "No agent yet" in text_of(page)
    assert f'href="{ENROL}"' in page


def test_rows_are_those_that_one_may_see(house: House) -> None:
    uid, _ = add_agent(house, "web-1")
    other, _ = add_agent(house, "db-1")
    bert = somebody(house, "bert@example.com", house.machine("web-1"), POINT_READ)
    assert rows(bert.page(POINTS)) == ["web-1"]
    assert bert.get(f"{POINTS}/{uid}").status_code == 200
    nobody = "11111111-2222-3333-4444-555555555555"
    assert [bert.get(f"{POINTS}/{each}").status_code for each in (other, nobody)] == [403, 403]
    anna = Person(house, "anna@example.com")
    text = text_of(anna.page(POINTS))
    assert "web-1" not in text
    assert "You may not see this" in text


def test_the_list_speaks_french(house: House, olga: Person) -> None:
    add_agent(house, "web-1")
    text = text_of(olga.page(POINTS, language="fr"))
    for words in ("En bon état", "Dernier contact", "Tentatives bloquées", "Version de"):
        assert words in text


# -- enrolling


@pytest.mark.parametrize("is_through", [True, False])
def test_a_token_for_an_agent_behind_a_proxy(house: House, olga: Person, is_through: bool) -> None:
    """EDGES I1: the token carries it, and nothing else does. An agent without it takes no other certificate."""
    house.add_machine("web-1")
    assert 'name="through"' in olga.page(ENROL)
    chosen = house.machine("web-1")
    fields = {"machine": chosen, **({"through": "1"} if is_through else {})}
    made = olga.send(ENROL, fields)
    assert made.status_code == 200, text_of(made.text)
    assert parse_token(token_in(made.text)).is_through is is_through
    assert ("add --proxy-ca FILE" in text_of(made.text)) is is_through
    again = olga.send(f"{ENROL}/default/web-1", {"through": "1"})
    assert parse_token(token_in(again.text)).is_through


def test_without_a_proxy_there_is_no_choice_of_one(
    house: House, olga: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_machine("web-1")
    monkeypatch.setattr(Proxies, "__bool__", lambda _: False)
    assert 'name="through"' not in olga.page(ENROL)
    chosen = house.machine("web-1")
    refused = olga.send(ENROL, {"machine": chosen, "through": "1"})
    assert refused.status_code == 409
    assert "knows no proxy" in text_of(refused.text)
    assert not _TOKEN.search(refused.text)


def test_a_known_machine_is_chosen_and_its_command_shown_once(house: House, olga: Person) -> None:
    house.add_machine("web-1")
    add_agent(house, "db-1")
    choice = olga.page(ENROL)
    assert f'value="{house.machine("web-1")}"' in choice
    assert house.machine("db-1") not in choice, "it has an agent"
    answer = olga.send(ENROL, {"machine": house.machine("web-1")})
    token = token_in(answer.text)
    assert answer.headers["hx-push-url"] == f"{ENROL}/default/web-1"
    assert token not in olga.page(f"{ENROL}/default/web-1")
    assert "Waiting for the agent" in text_of(answer.text)
    assert join(house, token).status_code == 200
    assert "Never contacted" in text_of(olga.page(f"{ENROL}/default/web-1"))
    assert join(house, token, OTHER_KEY).status_code >= 400


def test_the_line_for_a_bare_debian_is_shown_to_be_copied(data_dir: Path, tmp_path: Path) -> None:
    """EDGES I3: where the server hands out packages; a new key for a host that has one needs ``--replace``."""
    house = House(data_dir, [portal.router()], packages=write_repository(tmp_path / "apt"))
    try:
        olga, packages = owner(house), house.state.packages
        assert packages is not None
        house.add_machine("web-1")
        add_agent(house, "db-1")
        for name, fields in (("web-1", {}), ("db-1", {"replace": "1"})):
            answer = unescape(olga.send(f"{ENROL}/default/{name}", fields).text)
            line = packages.line(
                "https://localhost", house.state.ca_fingerprint, replaces=bool(fields)
            )
            assert line in answer
            assert token_in(answer) not in line
            assert (
                f"bascule agent install --server https://localhost{' --replace' * bool(fields)}<"
                in answer
            )
            assert "Copy: the line for a bare Debian" in answer
    finally:
        house.close()


def test_a_form_sent_again_revives_no_token_that_was_voided(house: House, olga: Person) -> None:
    """Removing the agent voids the tokens of its machine, one that leaked among them."""
    uid, _ = add_agent(house, "web-1")
    path = f"{ENROL}/default/web-1"
    key = re.search(r'name="once" value="([^"]+)"', olga.page(path))
    assert key is not None
    fields = {"once": key[1], "replace": "1"}
    token = token_in(olga.send(path, fields).text)
    assert token_in(olga.send(path, fields).text) == token, "a second click"
    assert (
        house.call("DELETE", POINT.format(house.installation.subscription_id, uid)).status_code
        == 200
    )
    again = olga.send(path, fields)
    assert again.status_code == 409, text_of(again.text)
    assert join(house, token, OTHER_KEY).status_code == 403


def test_a_new_machine_is_added_with_its_command_or_not_at_all(house: House, olga: Person) -> None:
    answer = olga.send(ENROL, {"name": "web-9", "addresses": "192.0.2.9 2001:db8::9"})
    assert join(house, token_in(answer.text)).status_code == 200
    machine = house.see(lambda reader: reader.machines())[0]
    assert [str(each) for each in machine.addresses] == ["192.0.2.9", "2001:db8::9"]
    taken = olga.send(ENROL, {"name": "web-9"})
    assert taken.status_code == 409
    assert "already" in text_of(taken.text)


def test_a_live_agent_is_replaced_only_where_that_is_asked_for(house: House, olga: Person) -> None:
    add_agent(house, "web-1")
    path = f"{ENROL}/default/web-1"
    assert 'name="replace"' in olga.page(path)
    refused = olga.send(path)
    assert refused.status_code == 409
    assert "bascule-enrol" not in refused.text, "it could only be refused"
    assert (
        join(house, token_in(olga.send(path, {"replace": "1"}).text), OTHER_KEY).status_code == 200
    )


def test_a_crafted_form_makes_no_token_without_the_right(house: House) -> None:
    house.add_machine("web-1")
    house.add_machine("db-1")
    bert = somebody(
        house, "bert@example.com", house.machine("web-1"), MACHINE_READ, ENROLMENT_WRITE
    )
    assert bert.send(ENROL, {"machine": house.machine("db-1")}).status_code == 403
    assert bert.send(f"{ENROL}/default/db-1").status_code == 403
    assert bert.send(ENROL, {"name": "x-1", "group": "default"}).status_code == 403
    assert bert.get(f"{ENROL}/default/db-1").status_code == 403
    assert house.machine("db-1") not in bert.page(ENROL)
    assert house.events("EnrolmentCreated") == []
    writer = somebody(house, "carl@example.com", house.subscription, MACHINE_READ, MACHINE_WRITE)
    assert writer.send(ENROL, {"name": "x-1"}).status_code == 403
    assert len(house.see(lambda reader: reader.machines())) == 2, "both or neither"


@pytest.mark.parametrize("machine", ["web-1", "/subscriptions/x", "../web-1", "a" * 5000])
def test_what_is_no_machine_is_refused_in_words(house: House, olga: Person, machine: str) -> None:
    answer = olga.send(ENROL, {"machine": machine})
    assert answer.status_code == 400
    assert "Choose a machine from the list" in text_of(answer.text)


# -- removing


def test_removing_says_what_it_does_and_does_it(house: House, olga: Person) -> None:
    uid, agent = add_agent(house, "web-1")
    shut(house, "web-1")
    told = "These ports stay closed on the host: 22/tcp"
    assert told not in text_of(olga.page(f"{POINTS}/{uid}/remove")), "not read back so yet"
    house.report(agent, uid, closed=[{"protocol": "TCP", "number": 22, "onExpiry": "keep"}])
    text = text_of(olga.page(f"{POINTS}/{uid}/remove"))
    assert told in text
    assert "refused from now on" in text
    answer = olga.send(f"{POINTS}/{uid}/remove")
    assert answer.headers["location"] == "/portal/points?notice=point_removed"
    assert "The agent is removed" in text_of(olga.page(answer.headers["location"]))
    assert house.see(lambda reader: reader.enforcement_point(uid)) is None
    assert agent.get(f"/bascule/points/{uid}/state").status_code in (401, 403)


def test_what_roots_uninstall_opened_is_not_called_shut(house: House, olga: Person) -> None:
    """B2: of the agent, and of the machine that goes."""
    uid, agent = add_agent(house, "web-1")
    shut(house, "web-1")
    house.report(agent, uid, closed=[{"protocol": "TCP", "number": 22, "onExpiry": "keep"}])
    house.report(agent, uid, generation=0, weaknesses=[{"code": "AgentUninstalled"}])
    for page in (f"{POINTS}/{uid}/remove", "/portal/machines/default/web-1/delete"):
        assert "stay closed on the host" not in text_of(olga.page(page))


def test_a_crafted_form_removes_nothing_without_the_right(house: House) -> None:
    uid, _ = add_agent(house, "web-1")
    other, _ = add_agent(house, "db-1")
    reader = somebody(house, "bert@example.com", house.subscription, POINT_READ, ENROLMENT_WRITE)
    assert reader.send(f"{POINTS}/{uid}/remove").status_code == 403
    assert "Ask for a role" in text_of(reader.page(f"{POINTS}/{uid}/remove"))
    keeper = somebody(
        house, "carl@example.com", house.machine("web-1"), POINT_READ, ENROLMENT_DELETE
    )
    assert keeper.send(f"{POINTS}/{other}/remove").status_code == 403
    assert keeper.client.post(f"{POINTS}/{uid}/remove", data={"csrf": "x"}).status_code == 403, (
        "no proof"
    )
    assert house.events("AgentRemoved") == []
    assert keeper.send(f"{POINTS}/{uid}/remove").status_code == 303


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("online", ("Connected", "Connecté")),
        ("offline", ("Away", "Injoignable")),
        ("neverSeen", ("Never contacted", "Jamais contacté")),
        ("tooOld", ("Too old", "Trop ancien")),
    ],
)
def test_an_agent_is_called_the_same_on_every_page(
    house: House, state: str, words: tuple[str, str]
) -> None:
    """One state was *Silent*, *Away*, *Offline* and *not heard*, as the page had it."""
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    if state != "neverSeen":
        house.report(agent, uid)
    if state == "tooOld":
        assert agent.get(f"/bascule/agents/{uid}/stream").status_code == 426
    if state == "offline":
        house.clock.pass_time(60)
    olga = owner(house)
    pages = (
        POINTS,
        f"{POINTS}/{uid}",
        f"{ENROL}/default/web-1",
        "/portal/machines",
        "/portal/machines/default/web-1",
    )
    for path in pages:
        assert words[0] in text_of(olga.page(path)), path
    if state == "tooOld":
        assert words[0] in text_of(olga.page("/portal/exposure?tab=all")), "not away"
        assert words[1] in text_of(olga.page(path, language="fr")), path
    others = {"Silent", "Offline", "Online", "Not heard of yet", "Agent silent", "Agent offline"}
    assert not others & set(TEXTS.values())


@pytest.mark.parametrize("is_new", [True, False])
def test_two_clicks_make_one_token(house: House, is_new: bool) -> None:
    """Without a script a second click sends the form again, and its answer is the one shown."""
    olga = owner(house)
    form = {"name": "web-9", "group": "default", "os": "Linux"}
    path = ENROL
    if not is_new:
        house.add_machine("web-9")
        form, path = {}, f"{ENROL}/default/web-9"
    key = re.search(r'name="once" value="([^"]+)"', olga.page(path))
    assert key is not None
    answers = [olga.send(path, {**form, "once": key[1]}) for _ in range(2)]
    tokens = [_TOKEN.findall(each.text) for each in answers]
    assert [each.status_code for each in answers] == [200, 200]
    assert tokens[0]
    assert tokens[0] == tokens[1]
    assert _TOKEN.findall(olga.send(f"{ENROL}/default/web-9", {}).text) != tokens[0]


def test_agents_older_than_the_server_are_found_with_what_to_run(
    house: House, olga: Person
) -> None:
    """The page says the command; nothing is run from here (EDGES I2)."""
    uids = {}
    for name, version in (("old-1", "0.0.9"), ("new-1", "999.0")):
        uid = uids[name] = house.add_machine(name)
        house.report(house.enrol(name), uid, agentVersion=version)
    page = olga.page(f"{POINTS}?only=old")
    assert "old-1" in page
    assert "new-1" not in page
    assert "older than the server" in text_of(page)
    command = "apt-get install --only-upgrade bascule-agent"
    assert command in olga.page(f"{POINTS}/{uids['old-1']}")
    assert command not in olga.page(f"{POINTS}/{uids['new-1']}")
