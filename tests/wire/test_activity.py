"""Microsoft.Insights over HTTP: filters of both kinds of client, fields, pages, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.house import JIT, House, port_rule

VALUES = "/providers/Microsoft.Insights/eventtypes/management/values"
EVENTS = "/providers/Bascule.Audit/events"
VERSION = "2015-04-01"
SINCE = "eventTimestamp ge '2030-01-01T00:00:00Z'"
JIT_INITIATE = "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"


@pytest.fixture
def lived_in(house: House) -> House:
    """Two machines, a policy, a request, one refused."""
    house.add_machine("web-1")
    house.clock.pass_time(60)
    house.add_machine("db-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    body = {"properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    for number, status in ((22, 202), (23, 400)):
        port = {"number": number, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
        answer = house.call(
            "POST",
            f"{house.policy()}/initiate",
            {**asked, "justification": "ticket"},
            JIT,
            headers={"x-ms-correlation-request-id": f"corr-{number}"},
        )
        assert answer.status_code == status, answer.text
    return house


def log(house: House, *clauses: str, **params: str) -> list[dict[str, Any]]:
    given = {"$filter": " and ".join([SINCE, *clauses]), **params}
    answer = house.call("GET", VALUES, version=VERSION, params=given)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["value"])


def names(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["operationName"]["value"], each["status"]["value"]) for each in entries]


def test_the_whole_log_newest_first(lived_in: House) -> None:
    found = names(log(lived_in))
    assert found[:2] == [(JIT_INITIATE, "Failed"), (JIT_INITIATE, "Started")]
    assert (JIT_INITIATE, "Accepted") in found
    assert found[-1][0] == "Bascule.Audit/installations/write"


@pytest.mark.parametrize(
    ("clause", "first", "count"),
    [
        ("resourceGroupName eq 'DEFAULT'", "Failed", None),
        ("resourceGroupName eq 'def'", "", 0),
        ("resourceProvider eq 'Microsoft.Security'", "Failed", 6),
        ("resourceProvider eq 'microsoft.compute'", "Succeeded", 4),
        ("resourceProvider eq 'Microsoft'", "", 0),
        ("correlationId eq 'CORR-22'", None, None),
        ("correlationId eq 'other'", "", 0),
        ("status eq 'Failed'", "Failed", 1),
        ("caller eq 'nobody'", "", 0),
        ("eventChannels eq 'Admin, Operation'", "Failed", None),
        ("category eq 'Administrative'", "Failed", None),
        ("eventTimestamp le 2030-01-01T12:00:00.000000", "Succeeded", 3),
        ("eventTimestamp le '2030-01-01T11:59:59Z'", "", 0),
        ("eventTimestamp le 2030-01-02", "Failed", None),
        ("eventTimestamp le '9999-12-31T23:59:59.999999Z'", "Failed", None),
    ],
)
def test_filters(lived_in: House, clause: str, first: str | None, count: int | None) -> None:
    found = log(lived_in, clause)
    if count is not None:
        assert len(found) == count, names(found)
    if first:
        assert found[0]["status"]["value"] == first
    if clause.startswith("correlationId eq 'CORR"):
        assert {each["correlationId"] for each in found} == {"corr-22"}
        assert len(found) >= 3


def test_a_resource_is_found_under_both_names(lived_in: House) -> None:
    for field in ("resourceUri", "resourceId"):
        found = log(lived_in, f"{field} eq '{lived_in.policy().upper()}'")
        assert {each["resourceId"] for each in found} == {lived_in.policy()}
        assert len(found) == 6


def test_callers_are_found_by_id_and_name(lived_in: House) -> None:
    by_id = log(lived_in, f"caller eq '{lived_in.administrator.upper()}'")
    assert len(by_id) > 5
    name = next(iter(by_id[0]["claims"].get(key) for key in by_id[0]["claims"] if "/name" in key))
    assert log(lived_in, f"caller eq '{name}'") == by_id


def test_az_writes_instants_bare_and_without_a_zone(lived_in: House) -> None:
    text = (
        "eventTimestamp ge 2030-01-01T00:00:00.245740 and eventTimestamp le "
        "2030-02-01T00:00:00.245740 and resourceGroupName eq 'default'"
    )
    answer = lived_in.call("GET", VALUES, version=VERSION, params={"$filter": text})
    assert answer.status_code == 200
    assert answer.json()["value"]


def test_select_names_fields(lived_in: House) -> None:
    found = log(lived_in, **{"$select": "eventTimestamp, Caller"})
    assert {frozenset(each) for each in found} == {frozenset({"eventTimestamp", "caller"})}


@pytest.mark.parametrize("top", ["1", "2", "3", "100"])
def test_pages_meet(lived_in: House, top: str) -> None:
    """Each entry once, in order; a page may have none and still go on."""
    whole = [each["eventDataId"] for each in log(lived_in)]
    paged: list[str] = []
    params = {"$filter": SINCE, "$top": top}
    page = lived_in.call("GET", VALUES, version=VERSION, params=params).json()
    while True:
        paged += [each["eventDataId"] for each in page["value"]]
        if "nextLink" not in page:
            break
        page = lived_in.client.get(page["nextLink"]).json()
    assert paged == whole


def test_a_sieve_that_finds_nothing_goes_on(lived_in: House) -> None:
    params = {"$filter": f"{SINCE} and resourceProvider eq 'Nothing'", "$top": "1"}
    page = lived_in.call("GET", VALUES, version=VERSION, params=params).json()
    rounds = 0
    while "nextLink" in page:
        assert page["value"] == []
        rounds += 1
        page = lived_in.client.get(page["nextLink"]).json()
    assert rounds >= 2


@pytest.mark.parametrize("clause", ["caller eq 'nobody'", "correlationId eq 'none'"])
def test_a_search_that_finds_nothing_goes_on(
    lived_in: House, monkeypatch: pytest.MonkeyPatch, clause: str
) -> None:
    """Nobody reads the whole record in one call by asking for what is not there."""
    for route in ("activity", "audit"):
        monkeypatch.setattr(f"bascule.api.routes.{route}.MOST_SEARCHED", 3)
    for path, text in ((VALUES, f"{SINCE} and {clause}"), (EVENTS, clause)):
        page = lived_in.call("GET", path, version=VERSION, params={"$filter": text}).json()
        rounds = 0
        while "nextLink" in page:
            assert page["value"] == []
            rounds += 1
            page = lived_in.client.get(page["nextLink"]).json()
        assert rounds >= 2


@pytest.mark.parametrize("top", ["1", "2", "100"])
def test_a_search_finds_the_same_in_parts(
    lived_in: House, monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    clause = f"caller eq '{lived_in.administrator}'"
    asked = ((VALUES, f"{SINCE} and {clause}", "eventDataId"), (EVENTS, clause, "id"))
    whole = [followed(lived_in, path, text, "100", key) for path, text, key in asked]
    for route in ("activity", "audit"):
        monkeypatch.setattr(f"bascule.api.routes.{route}.MOST_SEARCHED", 2)
    assert [followed(lived_in, path, text, top, key) for path, text, key in asked] == whole
    assert all(whole)


def followed(house: House, path: str, text: str, top: str, key: str) -> list[str]:
    params = {"$filter": text, "$top": top}
    page = house.call("GET", path, version=VERSION, params=params).json()
    ids = [each[key] for each in page["value"]]
    while "nextLink" in page:
        page = house.client.get(page["nextLink"]).json()
        ids += [each[key] for each in page["value"]]
    return ids


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "InvalidFilter"),
        ({"$filter": "caller eq 'x'"}, "InvalidFilter"),
        ({"$filter": "eventTimestamp le '2030-01-01T00:00:00Z'"}, "InvalidFilter"),
        ({"$filter": f"{SINCE} or 1 eq 1"}, "InvalidFilter"),
        ({"$filter": f"{SINCE}; DROP TABLE events"}, "InvalidFilter"),
        ({"$filter": "eventTimestamp ge 'yesterday'"}, "InvalidDateTime"),
        ({"$filter": SINCE, "$select": "secret"}, "InvalidSelect"),
        ({"$filter": SINCE, "$skiptoken": "x"}, "InvalidSkipToken"),
    ],
)
def test_what_cannot_be_read_is_refused(house: House, params: dict[str, str], code: str) -> None:
    answer = house.call("GET", VALUES, version=VERSION, params=params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_quote_in_a_value_stays_a_value(lived_in: House) -> None:
    assert log(lived_in, "caller eq 'x'' or ''1'' eq ''1'") == []


def test_the_path_is_read_without_regard_to_case(lived_in: House) -> None:
    path = "/providers/microsoft.insights/EventTypes/management/Values"
    answer = lived_in.call("GET", path, version=VERSION, params={"$filter": SINCE})
    assert answer.status_code == 200


def test_no_secret_is_in_it(lived_in: House) -> None:
    made = lived_in.call(
        "POST", f"{lived_in.machine('web-1')}/providers/Bascule.Fleet/enrolments", {"replace": True}
    ).json()["properties"]
    answer = lived_in.call("GET", VALUES, version=VERSION, params={"$filter": SINCE})
    assert made["token"] not in answer.text
    assert "enrolments/write" in answer.text
