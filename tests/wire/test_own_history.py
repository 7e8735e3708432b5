"""One's own history needs no right, and tells nothing of anybody else."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.builtin_roles import CONTRIBUTOR
from tests.wire.house import JIT, House, port_rule
from tests.wire.test_principals_api import Directory

OWN = "/providers/Bascule.Audit/ownEvents"


@pytest.fixture
def people(house: House) -> Directory:
    house.add_machine("web-1")
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    answer = house.call("PUT", house.policy(), {"kind": "Basic", "properties": body}, JIT)
    assert answer.status_code == 200, answer.text
    return Directory(house)


def own(people: Directory, by: Any, text: str = "") -> list[dict[str, Any]]:
    answer = people.ask("GET", OWN, by=by, params={"$filter": text} if text else {})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["value"])


def test_each_reads_what_they_did_and_nobody_else_did(people: Directory) -> None:
    """Anna and Bert may ask for access and may not read the record."""
    anna, bert = (people.user(name, CONTRIBUTOR) for name in ("anna", "bert"))
    stranger = people.as_user(people.user("stranger"))
    as_anna, as_bert = people.as_user(anna), people.as_user(bert)
    people.open_port(as_anna)
    events = own(people, as_anna)
    assert {each["actor"]["principal_id"] for each in events} == {anna}
    assert "AccessRequested" in {each["kind"] for each in events}
    assert any(each["about"] for each in events), "it is told whose access: one's own"
    assert {each["actor"]["principal_id"] for each in own(people, as_bert)} <= {bert}
    assert "AccessRequested" not in {each["kind"] for each in own(people, as_bert)}
    assert own(people, stranger) == []
    named = own(people, as_anna, "kind eq 'AccessRequested'")
    assert [each["kind"] for each in named] == ["AccessRequested"]


@pytest.mark.parametrize("asked", ["caller eq '{anna}'", "principalId eq '{anna}'"])
def test_nobody_is_asked_for_by_name(people: Directory, asked: str) -> None:
    anna, bert = people.user("anna", CONTRIBUTOR), people.user("bert")
    people.open_port(people.as_user(anna))
    answer = people.ask(
        "GET", OWN, by=people.as_user(bert), params={"$filter": asked.format(anna=anna)}
    )
    assert answer.status_code == 400
    found = own(people, people.as_user(bert), "resourceId eq '/subscriptions'")
    assert found == []


def test_what_one_did_to_anothers_access_tells_no_more_of_it(people: Directory) -> None:
    """The administrator's revocation is his own act; whose sources these were is read by right."""
    anna = people.user("anna", CONTRIBUTOR)
    path = people.open_port(people.as_user(anna))
    revoked = people.ask("POST", f"{path}/revoke")
    assert revoked.status_code == 200, revoked.text
    events = [each for each in own(people, people.house.client) if each["kind"] == "GrantEnded"]
    assert events
    assert [each["about"] for each in events] == [None] * len(events)


def test_pages_of_ones_own_go_on_to_the_last(people: Directory) -> None:
    anna = people.user("anna", CONTRIBUTOR)
    as_anna = people.as_user(anna)
    for _ in range(3):
        people.open_port(as_anna)
    every = [each["sequence"] for each in own(people, as_anna)]
    assert len(every) > 4
    found: list[int] = []
    page = people.ask("GET", OWN, by=as_anna, params={"$top": "2"}).json()
    while True:
        found += [each["sequence"] for each in page["value"]]
        link = page.get("nextLink", "")
        if not link:
            break
        page = as_anna.get(link).json()
    assert found == every
