"""The inventory in the portal: listed, added, changed, deleted, by who may."""

from __future__ import annotations

import re
from html import unescape

import pytest

from bascule.domain.actions import MACHINE_DELETE, MACHINE_READ, MACHINE_WRITE
from bascule.domain.ids import machine_id
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.machines import MachineDraft, put_machine
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import JIT, House, port_rule

MACHINES = "/portal/machines"


@pytest.fixture
def olga(house: House) -> Person:
    return owner(house)


def rows(html: str) -> list[str]:
    return re.findall(r'<th scope="row".*?<a [^>]*>([^<]+)</a>', html, re.DOTALL)


def addresses(house: House, name: str) -> list[str]:
    found = [each for each in house.see(lambda r: r.machines()) if each.id.name == name]
    return [str(address) for each in found for address in each.addresses]


def test_the_list_of_machines_is_in_the_navigation(house: House, olga: Person) -> None:
    """Marked as where one is, on the list and on each page of one machine."""
    house.add_machine("web-1")
    marked = re.compile(r'<a href="([^"]+)" aria-current="page"><svg')
    for path in (MACHINES, f"{MACHINES}/default/web-1", f"{MACHINES}/default/web-1/activity"):
        for language, words in (("en", "Virtual machines"), ("fr", "Machines virtuelles")):
            page = olga.page(path, language=language)
            assert set(marked.findall(page)) == {MACHINES}, path
            (link,) = set(re.findall(rf'<a href="{MACHINES}" aria.*?</a>', page, re.DOTALL))
            assert words in text_of(link)
    page = olga.page("/portal/points")
    assert f'<a href="{MACHINES}"><svg' in page
    assert set(marked.findall(page)) == {"/portal/points"}


def test_a_machine_is_added_and_listed(house: House, olga: Person) -> None:
    assert "No machine yet" in text_of(olga.page(MACHINES))
    fields = {"name": "web-1", "os": "Windows", "addresses": "192.0.2.1,2001:db8::1"}
    answer = olga.send(f"{MACHINES}/add", fields)
    assert answer.headers["location"] == f"{MACHINES}?notice=machine_added"
    text = text_of(olga.page(MACHINES))
    for words in ("web-1", "Windows", "192.0.2.1, 2001:db8::1", "No agent"):
        assert words in text
    assert house.events("MachineAdded") == ["MachineAdded"]


def test_adding_leads_on_to_the_agent(olga: Person) -> None:
    answer = olga.send(f"{MACHINES}/add", {"name": "web-1", "enrol": "1"})
    assert answer.headers["location"] == "/portal/points/enrol/default/web-1"


def test_a_name_that_is_taken_is_refused_and_changes_nothing(house: House, olga: Person) -> None:
    olga.send(f"{MACHINES}/add", {"name": "web-1", "addresses": "192.0.2.1"})
    answer = olga.send(f"{MACHINES}/add", {"name": "Web-1", "addresses": "192.0.2.66"})
    assert answer.status_code == 409
    assert 'value="192.0.2.66"' in answer.text, "what was typed stays"
    assert addresses(house, "web-1") == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "not a valid name"),
        ({"name": "a/b"}, "not a valid name"),
        ({"name": "x", "addresses": "example.com"}, "not an IPv4 or IPv6 address"),
        ({"name": "x", "os": "BeOS"}, "Linux or Windows"),
        ({"name": "x", "group": "../x"}, "Choose a resource group"),
        ({"name": "x", "group": "nowhere"}, "does not exist"),
        ({"name": "x", "addresses": " ".join(f"10.0.0.{n}" for n in range(40))}, "at most 32"),
    ],
)
def test_bad_input_is_told_and_adds_nothing(
    house: House, olga: Person, fields: dict[str, str], words: str
) -> None:
    answer = olga.send(f"{MACHINES}/add", fields)
    assert answer.status_code in (400, 404)
    assert words in text_of(answer.text)
    assert house.see(lambda reader: reader.machines()) == []


def test_a_machine_is_changed_and_keeps_what_it_is(house: House, olga: Person) -> None:
    uid = house.add_machine("web-1", tags={"team": "red"})
    page = olga.page(f"{MACHINES}/default/web-1/edit")
    assert 'name="addresses"' in page
    olga.send(f"{MACHINES}/default/web-1/edit", {"addresses": "192.0.2.7", "name": "other"})
    assert addresses(house, "web-1") == ["192.0.2.7"]
    machine = house.see(lambda reader: reader.machine_by_uid(uid))
    assert machine is not None
    assert (machine.id.name, machine.tags["team"]) == ("web-1", "red")
    assert olga.send(f"{MACHINES}/default/none/edit", {"addresses": ""}).status_code == 404
    assert len(house.see(lambda reader: reader.machines())) == 1, "an edit makes none"


def test_a_form_of_before_takes_nothing_back(house: House, olga: Person) -> None:
    house.add_machine("web-1", tags={"team": "red"})
    path = f"{MACHINES}/default/web-1/edit"
    (etag,) = re.findall(r'name="etag" value="([^"]*)"', olga.page(path))
    house.add_machine("web-1", tags={"team": "red", "env": "prod"})
    shown = {"os": "Linux", "addresses": "192.0.2.7", "tags": "team=blue", "etag": unescape(etag)}
    answer = olga.send(path, shown)
    assert answer.status_code == 412
    assert "changed by somebody else in the meantime" in text_of(answer.text)
    assert "team=blue" in answer.text
    assert addresses(house, "web-1") == []
    (etag,) = re.findall(r'name="etag" value="([^"]*)"', olga.page(path))
    assert olga.send(path, {**shown, "etag": unescape(etag)}).status_code == 303
    assert addresses(house, "web-1") == ["192.0.2.7"]


def test_deleting_says_what_it_does_and_does_it(house: House, olga: Person) -> None:
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    house.call("PUT", house.policy(), {"kind": "Basic", "properties": body}, JIT)
    house.report(agent, uid, closed=[{"protocol": "TCP", "number": 22, "onExpiry": "keep"}])
    port = {"number": 22, "allowedSourceAddressPrefix": "192.0.2.1", "duration": "PT1H"}
    asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    assert house.call("POST", f"{house.policy()}/initiate", asked, JIT).status_code == 202
    text = text_of(olga.page(f"{MACHINES}/default/web-1/delete"))
    for words in ("1 live access ends", "removed from these policies: default", "22/tcp"):
        assert words in text
    answer = olga.send(f"{MACHINES}/default/web-1/delete")
    assert answer.headers["location"] == f"{MACHINES}?notice=machine_deleted"
    assert house.see(lambda reader: reader.machines()) == []
    assert house.events("MachineDeleted") == ["MachineDeleted"]


def test_the_list_is_searched_and_paged(house: House, olga: Person) -> None:
    subscription = house.installation.subscription_id

    def work(tx: Transaction, act: Act) -> None:
        for number in range(53):
            wanted = machine_id(subscription, "default", f"web-{number:02}")
            put_machine(tx, act, wanted, MachineDraft(), "local")

    house.do(work)
    first = olga.page(MACHINES)
    assert len(rows(first)) == 50
    (beyond,) = set(re.findall(r'href="(/portal/machines\?[^"]*after=[^"]*)"', first))
    assert rows(olga.page(unescape(beyond))) == ["web-50", "web-51", "web-52"]
    assert rows(olga.page(f"{MACHINES}?q=-07")) == ["web-07"]
    assert "No machine matches" in text_of(olga.page(f"{MACHINES}?q=%25"))


def test_tags_are_changed_and_narrow_the_list(house: House, olga: Person) -> None:
    for name in ("web-1", "web-2"):
        house.add_machine(name)
    sent = {"name": "web-1", "group": "default", "os": "Linux", "addresses": ""}
    page = f"{MACHINES}/default/web-1/edit"
    assert olga.send(page, {**sent, "tags": "env=prod\r\n\r\ntier=<b>"}).status_code == 303
    assert "env=prod\ntier=&lt;b&gt;" in olga.page(page)
    assert rows(olga.page(f"{MACHINES}?tag=env%3Dprod")) == ["web-1"]
    assert rows(olga.page(f"{MACHINES}?tag=env%3Dpro")) == []
    for bad in ("env", "=x", "a=1\nA=2", "\n".join(f"t{n}=1" for n in range(51))):
        assert olga.send(page, {**sent, "tags": bad}).status_code == 400, bad
    assert olga.send(page, sent).status_code == 303
    assert rows(olga.page(f"{MACHINES}?tag=tier")) == ["web-1"], "a form without them keeps them"
    assert olga.send(page, {**sent, "tags": ""}).status_code == 303
    assert rows(olga.page(f"{MACHINES}?tag=tier")) == []


def test_others_machines_are_not_shown(house: House) -> None:
    house.add_machine("web-1")
    house.add_machine("db-1")
    bert = somebody(house, "bert@example.com", house.machine("web-1"), MACHINE_READ)
    assert rows(bert.page(MACHINES)) == ["web-1"]
    assert "You may not see this" in text_of(Person(house, "anna@example.com").page(MACHINES))
    for verb in ("edit", "delete"):
        answer = bert.get(f"{MACHINES}/default/db-1/{verb}")
        assert answer.status_code == 403


def test_crafted_forms_change_nothing_without_rights(house: House) -> None:
    house.add_machine("web-1")
    house.add_machine("db-1")
    reader = somebody(house, "bert@example.com", house.subscription, MACHINE_READ)
    here = f"{MACHINES}/default/web-1"
    assert reader.send(f"{MACHINES}/add", {"name": "x", "group": "default"}).status_code == 403
    assert reader.send(f"{here}/edit", {"addresses": "192.0.2.66"}).status_code == 403
    assert reader.send(f"{here}/delete").status_code == 403
    own = house.machine("db-1")
    carl = somebody(house, "carl@example.com", own, MACHINE_READ, MACHINE_WRITE, MACHINE_DELETE)
    assert carl.send(f"{here}/edit", {"addresses": "192.0.2.66"}).status_code == 403
    assert carl.send(f"{here}/delete").status_code == 403
    assert (
        carl.client.post(f"{MACHINES}/default/db-1/delete", data={"csrf": "x"}).status_code == 403
    )
    assert sorted(each.id.name for each in house.see(lambda r: r.machines())) == ["db-1", "web-1"]
    assert addresses(house, "web-1") == []
    assert carl.send(f"{MACHINES}/default/db-1/delete").status_code == 303


def test_the_pages_speak_french(house: House, olga: Person) -> None:
    house.add_machine("web-1")
    assert "Machines virtuelles" in text_of(olga.page(MACHINES, language="fr"))
    text = text_of(olga.page(f"{MACHINES}/default/web-1/delete", language="fr"))
    assert "Ce qui va se passer" in text


def test_a_page_is_left_and_found_again_whatever_came_between(house: House, olga: Person) -> None:
    """Going back reads the order the other way round: rows that come and go shift nothing."""
    for number in range(60):
        house.add_machine(f"m-{number:02}")

    def names(html: str) -> list[str]:
        return re.findall(r"/portal/machines/default/(m-\d\d)\"", html)

    def link(html: str, way: str) -> str:
        found = re.search(rf'href="([^"]*)" rel="{way}"', html)
        assert found, way
        return unescape(found[1])

    first = olga.page(f"{MACHINES}?size=25")
    second = olga.page(link(first, "next"))
    third = olga.page(link(second, "next"))
    assert names(second)[:1] == ["m-25"]
    assert names(third) == [f"m-{number}" for number in range(50, 60)]
    assert "60 entries" in text_of(third)
    assert 'rel="next"' not in third
    house.add_machine("m-30a")
    assert names(olga.page(link(third, "prev")))[0] == "m-26"
    assert names(olga.page(link(second, "prev"))) == names(first)
    assert 'rel="prev"' not in olga.page(link(second, "prev"))
    # The filter and the size stay; a place that is none is the beginning.
    filtered = olga.page(f"{MACHINES}?q=m-&size=25")
    assert "q=m-" in link(filtered, "next")
    assert "size=25" in link(filtered, "next")
    assert names(olga.page(f"{MACHINES}?size=25&after=nonsense&before=WzFd")) == names(first)
