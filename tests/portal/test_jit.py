"""Just-in-time VM access: tabs, filters, orders and pages; who sees which row and button."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.portal.codes import text_of as text_of_code
from bascule.portal.pages import jit
from bascule.words import Words
from tests.portal.visiting import owner, somebody, text_of
from tests.wire.house import House, port_rule

_ROWS = re.compile(r'<tr id="row-.*?</tr>', re.DOTALL)
_NAME = re.compile(r'<a href="/portal/machines/[^"]*">([^<]*)</a><small>')


def rows(html: str) -> dict[str, str]:
    """The text of each row by the machine's name, in the order of the page."""
    found = {}
    for row in _ROWS.findall(html):
        match = _NAME.search(row)
        assert match, row
        found[match[1]] = text_of(row)
    return found


def configure(house: House, name: str, *numbers: int) -> None:
    path = f"{house.machine(name)}/providers/Bascule.Access/machineRules/default"
    body = {"properties": {"ports": [port_rule(number) for number in numbers or (22,)]}}
    answer = house.call("PUT", path, body)
    assert answer.status_code == 200, answer.text


def request(house: House, name: str) -> Any:
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.1"}
    body = {"virtualMachines": [{"id": house.machine(name), "ports": [port]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def opened(house: House, name: str) -> None:
    """A machine with an agent that has read the request's port back open."""
    uid = house.add_machine(name)
    agent = house.enrol(name)
    configure(house, name)
    request(house, name)
    grants = [grant.id for grant in house.see(lambda reader: reader.live_grants([uid]))]
    house.report(agent, uid, *grants)


def enrolled(house: House, name: str, **body: Any) -> str:
    uid = house.add_machine(name, **body)
    house.report(house.enrol(name), uid)
    return uid


def test_each_machine_is_on_its_tab_and_all_are_counted(house: House) -> None:
    opened(house, "web-1")
    enrolled(house, "db-1")
    house.add_machine("legacy-1")
    olga = owner(house)
    page = olga.page("/portal/jit")
    assert list(rows(page)) == ["web-1"]
    assert "Configured 1 Not configured 1 Unsupported 1" in text_of(page)
    assert list(rows(olga.page("/portal/jit?tab=notConfigured"))) == ["db-1"]
    unsupported = rows(olga.page("/portal/jit?tab=unsupported"))
    assert list(unsupported) == ["legacy-1"]
    assert "No agent is enrolled on legacy-1" in unsupported["legacy-1"]
    assert "bascule machine enrol legacy-1" in unsupported["legacy-1"]


def test_a_row_tells_who_is_in_until_when_and_who_came_last(house: House) -> None:
    opened(house, "web-1")
    row = rows(owner(house).page("/portal/jit"))["web-1"]
    assert "22 administrator · 1:00:00" in row
    assert row.count("administrator") == 2  # who is in, and the last user
    assert "2030-01-01 12:00" in row  # the last access
    assert " 1 2030" in row  # approved requests
    assert "Open" in row


def test_french_is_whole(house: House) -> None:
    opened(house, "web-1")
    house.add_machine("legacy-1")
    olga = owner(house)
    text = text_of(olga.page("/portal/jit", language="fr"))
    for words in (
        "Accès juste-à-temps aux machines virtuelles",
        "Configuré 1 Non configuré 0 Non pris en charge 1",
        "Demandes approuvées (7 jours)",
        "Dernier utilisateur",
        "Ouvert",
        Words("fr")("Request access"),
    ):
        assert words in text
    page = olga.page("/portal/jit?tab=unsupported", language="fr")
    why = text_of_code(Words("fr"), "jit.why.NoEnforcementPoint", None, machine="legacy-1")
    assert "\N{NO-BREAK SPACE}: rien" in why
    assert why in unescape(page)


def test_filters_are_in_the_address_and_narrow_the_rows(house: House) -> None:
    for name, kind in (("web-1", "Linux"), ("web-2", "Windows"), ("db-1", "Linux")):
        disk = {"storageProfile": {"osDisk": {"osType": kind}}}
        enrolled(house, name, properties=disk)
        configure(house, name)
    olga = owner(house)

    def names(query: str) -> list[str]:
        return list(rows(olga.page(f"/portal/jit?{query}")))

    assert names("") == ["db-1", "web-1", "web-2"]
    assert names("q=WEB") == ["web-1", "web-2"]
    assert names("q=web&os=Windows") == ["web-2"]
    assert names("group=default&os=Linux") == ["db-1", "web-1"]
    assert names("group=elsewhere") == []
    assert names("state=applying") == ["db-1", "web-1", "web-2"]  # the agents have not said
    assert names("state=open") == []
    assert names("state=nonsense&tab=nonsense&os=x&sort=y&after=zz") == names("")
    page = olga.page("/portal/jit?q=nothing-like-it")
    assert "No machine matches the filter" in text_of(page)
    assert 'value="nothing-like-it"' in page
    assert "&lt;b&gt;" in olga.page("/portal/jit?q=%3Cb%3E")  # what was typed is only shown


def test_orders_turn_round_and_pages_go_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row once, whichever the order: by way of the page's own links."""
    monkeypatch.setattr(jit, "PAGE", 2)
    for name in ("a-1", "b-1", "c-1", "d-1", "e-1"):
        opened(house, name)
        house.clock.pass_time(5)
    request(house, "b-1")
    olga = owner(house)

    def all_names(path: str) -> list[str]:
        names: list[str] = []
        for _ in range(4):
            page = olga.page(path)
            names += rows(page)
            following = re.search(r'href="([^"]*)" rel="next"', page)
            if following is None:
                return names
            path = unescape(following[1])
        raise AssertionError("the pages do not end")

    def there_and_back(path: str) -> list[list[str]]:
        """The pages as they are seen going on to the last, and back to the first."""
        seen: list[list[str]] = []
        back: list[list[str]] = []
        for way, pages in (("next", seen), ("prev", back)):
            page = olga.page(path)
            pages.append(list(rows(page)))
            while found := re.search(rf'href="([^"]*)" rel="{way}"', page):
                path = unescape(found[1])
                page = olga.page(path)
                pages.append(list(rows(page)))
        assert back == seen[::-1]
        return seen

    first = olga.page("/portal/jit")
    by_access = re.search(r'href="([^"]*sort=lastAccess[^"]*)"', first)
    assert by_access
    newest_first = unescape(by_access[1])
    assert all_names("/portal/jit") == ["a-1", "b-1", "c-1", "d-1", "e-1"]
    assert all_names(newest_first) == ["e-1", "d-1", "c-1", "b-1", "a-1"]
    assert all_names("/portal/jit?sort=lastAccess") == ["a-1", "b-1", "c-1", "d-1", "e-1"]
    assert all_names("/portal/jit?sort=approvedRequests&desc=1")[0] == "b-1"
    assert len(all_names("/portal/jit?sort=lastUser")) == 5
    assert there_and_back("/portal/jit") == [["a-1", "b-1"], ["c-1", "d-1"], ["e-1"]]
    assert there_and_back(newest_first) == [["e-1", "d-1"], ["c-1", "b-1"], ["a-1"]]
    assert "5 entries" in text_of(first)
    filtered = olga.page("/portal/jit?q=-1&size=25")
    assert list(rows(filtered)) == ["a-1", "b-1", "c-1", "d-1", "e-1"]
    assert "1 entry" in text_of(olga.page("/portal/jit?q=C-1"))
    # A size that is none of those offered is not one.
    assert list(rows(olga.page("/portal/jit?size=3"))) == ["a-1", "b-1"]


def test_only_what_may_be_read_is_shown_and_counted(house: House) -> None:
    opened(house, "web-1")
    opened(house, "db-1")
    anna = somebody(house, "anna@example.com", house.machine("web-1"), MACHINE_READ, POLICY_READ)
    page = anna.page("/portal/jit")
    assert list(rows(page)) == ["web-1"]
    assert "Configured 1" in text_of(page)
    assert "db-1" not in page
    assert "db-1" not in anna.page("/portal/jit?sort=lastAccess&desc=1&q=db")
    for name, action in (("bob", MACHINE_READ), ("eve", POLICY_READ)):  # one is not enough
        half = somebody(house, f"{name}@example.com", house.machine("web-1"), action)
        page = half.page("/portal/jit")
        assert not rows(page)
        assert "web-1" not in page


def test_what_would_be_refused_says_what_is_missing(house: House) -> None:
    opened(house, "web-1")
    reader = somebody(house, "rita@example.com", house.group, MACHINE_READ, POLICY_READ)
    row = rows(reader.page("/portal/jit"))["web-1"]
    assert f"You lack this right here: {POLICY_WRITE}" in row
    assert "/portal/jit/remove?" not in reader.page("/portal/jit")
    writer = somebody(
        house,
        "will@example.com",
        house.group,
        MACHINE_READ,
        POLICY_READ,
        POLICY_WRITE,
        MACHINE_WRITE,
    )
    page = writer.page("/portal/jit")
    machine = quote(house.machine("web-1"), safe="")
    assert f"/portal/jit/configure?machine={machine}" in page
    assert f"/portal/jit/remove?machine={machine}" in page
    assert f"/portal/jit/request?machine={machine}" not in page  # he may not ask


def test_an_empty_installation_says_what_to_do(house: House) -> None:
    text = text_of(owner(house).page("/portal/jit"))
    assert "There are no machines yet" in text


def test_a_silent_agent_is_never_shown_as_closed_or_open(house: House) -> None:
    opened(house, "web-1")
    enrolled(house, "db-1")
    configure(house, "db-1")
    house.clock.pass_time(31)
    shown = rows(owner(house).page("/portal/jit"))
    assert "Not confirmed" in shown["web-1"]
    assert "Agent away" in shown["db-1"]
