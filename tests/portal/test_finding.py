"""The search box: what begins so, where this person may see it, and nothing else."""

from __future__ import annotations

import re

import pytest

from bascule.domain.actions import MACHINE_READ, POLICY_READ, USER_READ
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import JIT, House, port_rule


@pytest.fixture
def lived_in(house: House) -> House:
    for name in ("web-1", "web-2", "Web-10", "db-1"):
        house.add_machine(name)
    rules = [{"id": house.machine(name), "ports": [port_rule()]} for name in ("web-2", "db-1")]
    body = {"properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    return house


def asked(house: House, name: str) -> str:
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
    body = {"virtualMachines": [{"id": house.machine(name), "ports": [port]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["bascule"]["requestId"])


def machines(html: str) -> list[str]:
    return re.findall(r'class="name"><a href="/portal/machines/default/([^"]+)"', html)


def test_machines_and_people_are_found_by_how_their_names_begin(lived_in: House) -> None:
    olga = owner(lived_in)
    Person(lived_in, "webmaster@example.com")
    page = olga.page("/portal/search?q=WEB")
    assert machines(page) == ["web-1", "Web-10", "web-2"]
    assert "webmaster@example.com" in text_of(page)
    assert page.count('href="/portal/access/users/') == 1, "nobody else"
    assert machines(olga.page("/portal/search?q=web-1")) == ["web-1", "Web-10"]
    assert machines(olga.page("/portal/search?q=eb")) == []
    assert "Aucun résultat" in text_of(olga.page("/portal/search?q=zz", language="fr"))
    assert "Type the beginning of a name" in text_of(olga.page("/portal/search?q="))


def test_what_only_contains_it_is_one_link_away(lived_in: House) -> None:
    olga = owner(lived_in)
    page = olga.page("/portal/search?q=eb-1")
    assert machines(page) == []
    assert "Their own lists find any part of a name" in text_of(page)
    assert 'href="/portal/machines?q=eb-1"' in page
    assert machines(olga.page("/portal/machines?q=eb-1")) == ["web-1", "Web-10"]


def test_a_request_is_found_by_its_id_and_by_the_one_machine_that_is_meant(
    lived_in: House,
) -> None:
    olga, request_id = owner(lived_in), asked(lived_in, "db-1")
    for text in (request_id, "db"):
        assert f'href="/portal/requests/{request_id}"' in olga.page(f"/portal/search?q={text}")
    assert request_id not in olga.page("/portal/search?q=web")


def test_nobody_finds_what_he_may_not_see(lived_in: House) -> None:
    request_id = asked(lived_in, "db-1")
    Person(lived_in, "dbadmin@example.com")
    one = somebody(
        lived_in, "one@example.com", lived_in.machine("web-2"), MACHINE_READ, POLICY_READ
    )
    assert machines(one.page("/portal/search?q=web")) == ["web-2"]
    for text in ("db", request_id, "dbadmin@example.com", "administrator"):
        page = one.page(f"/portal/search?q={text}")
        assert "No results" in text_of(page), text
    people = somebody(lived_in, "p@example.com", lived_in.subscription, USER_READ)
    page = people.page("/portal/search?q=db")
    assert "dbadmin@example.com" in page
    assert machines(page) == []
    assert request_id not in page
    below = somebody(lived_in, "q@example.com", lived_in.machine("web-2"), USER_READ)
    assert "dbadmin@example.com" not in below.page("/portal/search?q=dba")


def test_letters_that_hide_or_would_be_markup_are_only_letters(lived_in: House) -> None:
    page = owner(lived_in).page("/portal/search?q=%3Cscript%3E%E2%80%AEx%25_")
    assert "<script>" not in page.replace('<script src="', "")
    assert "\u202e" not in page
    assert "No results" in text_of(page)
