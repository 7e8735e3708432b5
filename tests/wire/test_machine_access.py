"""The list of machines with who may come in, and what a change would do before it is made."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.services.sweep import forget_old_requests
from tests.wire.house import JIT, House, port_rule
from tests.wire.people import Person, make_role

LIST = "/providers/Bascule.Access/machineAccess"


def rules_of(house: House, name: str) -> str:
    return f"{house.machine(name)}/providers/Bascule.Access/machineRules/default"


def configure(house: House, name: str, *ports: dict[str, Any], **params: str) -> Any:
    body = {"properties": {"ports": list(ports) or [port_rule()]}}
    return house.call("PUT", rules_of(house, name), body, params=params)


def opened(house: House, name: str) -> None:
    uid = house.add_machine(name)
    agent = house.enrol(name)
    configure(house, name)
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.1"}
    body = {"virtualMachines": [{"id": house.machine(name), "ports": [port]}]}
    assert house.call("POST", f"{house.policy()}/initiate", body, JIT).status_code == 202
    grants = [grant.id for grant in house.see(lambda reader: reader.live_grants([uid]))]
    house.report(agent, uid, *grants)


def listed(house: House, client: Any = None, **params: str) -> list[dict[str, Any]]:
    if client is None:
        answer = house.call("GET", LIST, params=params)
    else:
        answer = client.call("GET", f"{house.subscription}{LIST}", **params)
    assert answer.status_code == 200, answer.text
    return [each["properties"] for each in answer.json()["value"]]


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["machineId"].rpartition("/")[2] for row in rows]


def test_a_row_tells_what_the_page_shows(house: House) -> None:
    opened(house, "web-1")
    house.add_machine("legacy-1")
    legacy, web = listed(house)
    assert (web["state"], web["accessState"]) == ("configured", "open")
    assert (web["approvedRequests"], web["lastUser"]) == (1, "administrator")
    assert web["lastAccessTimeUtc"].startswith("2030-01-01T12:00:00")
    (connection,) = web["connections"]
    assert (connection["number"], connection["requestor"]) == (22, "administrator")
    assert connection["allowedSourceAddressPrefix"] == "192.0.2.1"
    assert web["enforcementPoint"]["kind"] == "hostFilter"
    assert (legacy["state"], legacy["accessState"]) == ("unsupported", "nothingClosed")
    assert [each["code"] for each in legacy["reasons"]] == ["NoEnforcementPoint"]
    assert (legacy["lastAccessTimeUtc"], legacy["lastUser"]) == (None, None)
    assert (legacy["connections"], legacy["enforcementPoint"]) == ([], None)


def test_a_request_grows_old(house: House) -> None:
    """After a week it counts no more; the last access stays."""
    opened(house, "web-1")

    house.clock.pass_time(7 * 86_400 - 1)
    house.client = house.client_of(house.service_token())
    house.do(forget_old_requests)
    assert listed(house)[0]["approvedRequests"] == 1
    house.clock.pass_time(2)
    house.do(forget_old_requests)
    (row,) = listed(house)
    assert row["approvedRequests"] == 0
    assert row["lastUser"] == "administrator"


def test_filters_orders_and_pages(house: House) -> None:
    for name in ("web-1", "web-2", "db-1"):
        opened(house, name)
        house.clock.pass_time(5)
    assert names(listed(house)) == ["db-1", "web-1", "web-2"]
    assert names(listed(house, **{"$filter": "contains(name,'WEB')"})) == ["web-1", "web-2"]
    both = "contains(name,'web') and osType eq 'Linux' and accessState eq 'open'"
    assert names(listed(house, **{"$filter": both})) == ["web-1", "web-2"]
    assert listed(house, **{"$filter": "state eq 'notConfigured'"}) == []
    assert listed(house, **{"$filter": "resourceGroup eq 'other'"}) == []
    for order, expected in (
        ("name desc", ["web-2", "web-1", "db-1"]),
        ("lastAccessTimeUtc", ["web-1", "web-2", "db-1"]),
        ("lastAccessTimeUtc desc", ["db-1", "web-2", "web-1"]),
        ("approvedRequests desc", ["web-2", "web-1", "db-1"]),
        ("lastUser", ["db-1", "web-1", "web-2"]),
    ):
        found: list[str] = []
        answer = house.call("GET", LIST, params={"$orderby": order, "$top": "1"})
        for _ in range(4):
            found += names([each["properties"] for each in answer.json()["value"]])
            following = answer.json().get("nextLink")
            if following is None:
                break
            parts = urlsplit(following)
            answer = house.client.get(f"{parts.path}?{parts.query}")
        assert found == expected, order


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$filter", "name eq 'web-1'"),
        ("$filter", "accessState eq 'ajar'"),
        ("$filter", "osType eq 'BeOS'"),
        ("$orderby", "secret"),
        ("$orderby", "name sideways"),
        ("$skiptoken", "bm9uc2Vuc2U"),
        ("$skiptoken", "WzEsMl0"),
    ],
)
def test_what_cannot_be_read_is_refused(house: House, name: str, value: str) -> None:
    answer = house.call("GET", LIST, params={name: value})
    assert answer.status_code == 400, answer.text
    assert name in answer.json()["error"]["message"]


def test_a_token_of_one_order_is_none_of_another(house: House) -> None:
    for name in ("web-1", "web-2"):
        house.add_machine(name)
    link = house.call("GET", LIST, params={"$top": "1"}).json()["nextLink"]
    token = link.rpartition("skiptoken=")[2]
    answer = house.call(
        "GET", LIST, params={"$top": "1", "$orderby": "approvedRequests", "$skiptoken": token}
    )
    assert answer.status_code == 400


def test_rows_need_both_rights(house: House) -> None:
    """By the order of rows alone it would show who was let in where."""
    opened(house, "web-1")
    opened(house, "db-1")
    where = house.machine("web-1")
    for actions, expected in (
        ((MACHINE_READ, POLICY_READ), ["web-1"]),
        ((MACHINE_READ,), []),
        ((POLICY_READ,), []),
    ):
        role = make_role(house, f"role {len(actions)}{expected}{actions[0]}", *actions)
        somebody = Person(house, f"s-{role}", (role, where))
        assert names(listed(house, somebody)) == expected
        assert names(listed(house, somebody, **{"$orderby": "lastUser desc"})) == expected


# -- dryRun -----------------------------------------------------------------------------------


def dry(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if value}


def state_of(house: House) -> tuple[Any, ...]:
    return (
        house.call("GET", rules_of(house, "web-1")).json(),
        house.see(lambda reader: [(g.id, g.state, g.ends_at) for g in reader.live_grants()]),
        len(house.events()),
    )


def test_a_dry_run_says_what_the_act_then_does(house: House) -> None:
    house.add_machine("web-1")
    where = {"machineId": house.machine("web-1"), "number": 22, "protocol": "TCP"}
    before = state_of(house)
    closes = dry(configure(house, "web-1", dryRun="true"))
    assert closes == {"closes": [{**where, "onExpiry": "keep"}]}
    assert state_of(house) == before
    configure(house, "web-1")
    assert dry(configure(house, "web-1", dryRun="true")) == {}
    altered = dry(configure(house, "web-1", port_rule(bascule={"onExpiry": "kill"}), dryRun="true"))
    assert altered == {"alters": [{**where, "onExpiry": "kill"}]}


def test_a_dry_run_names_the_grants_that_it_would_end(house: House) -> None:
    opened(house, "web-1")
    before = state_of(house)
    for answer in (
        configure(house, "web-1", port_rule(3389), dryRun="true"),
        house.call("DELETE", house.policy(), version=JIT, params={"dryRun": "true"}),
        house.call("DELETE", rules_of(house, "web-1"), params={"dryRun": "true"}),
    ):
        (ended,) = dry(answer)["endsGrants"]
        assert (ended["requestor"], ended["number"]) == ("administrator", 22)
        assert state_of(house) == before
    shorter = configure(house, "web-1", port_rule(maxRequestAccessDuration="PT5M"), dryRun="true")
    (cut,) = dry(shorter)["shortensGrants"]
    assert cut["endTimeUtc"].startswith("2030-01-01T12:05:00")
    opens = dry(house.call("DELETE", rules_of(house, "web-1"), params={"dryRun": "true"}))
    assert [each["number"] for each in opens["opens"]] == [22]
    assert "leaves" not in opens
    configure(house, "web-1", port_rule(3389))
    release = house.call(
        "POST", f"{rules_of(house, 'web-1')}/release", {}, params={"dryRun": "true"}
    )
    assert [each["number"] for each in dry(release)["opens"]] == [22]
    assert house.call("GET", rules_of(house, "web-1")).json()["properties"]["closedPorts"]


def test_a_dry_run_needs_the_rights_and_checks_of_the_act(house: House) -> None:
    opened(house, "web-1")
    before = state_of(house)
    role = make_role(house, "reader", MACHINE_READ, POLICY_READ)
    reader = Person(house, "reader", (role, house.group))
    body = {"properties": {"ports": [port_rule(80)]}}
    answer = reader.call("PUT", rules_of(house, "web-1"), body, dryRun="true")
    assert answer.status_code == 403
    assert (
        configure(
            house, "web-1", port_rule(maxRequestAccessDuration="P2D"), dryRun="true"
        ).status_code
        == 400
    )
    stale = house.call(
        "PUT",
        house.policy(),
        {"properties": {"virtualMachines": []}},
        JIT,
        params={"dryRun": "true"},
        headers={"If-Match": '"old"'},
    )
    assert stale.status_code == 412
    after = state_of(house)
    assert after[:2] == before[:2]


def test_whose_access_would_end_is_told_to_who_may_read_it(house: House) -> None:
    opened(house, "web-1")
    role = make_role(house, "blind writer", MACHINE_WRITE, POLICY_WRITE)
    blind = Person(house, "blind", (role, house.group))
    body = {"properties": {"ports": [port_rule(80)]}}
    answer = blind.call("PUT", rules_of(house, "web-1"), body, dryRun="true")
    (ended,) = dry(answer)["endsGrants"]
    assert ended == {"machineId": house.machine("web-1")}
