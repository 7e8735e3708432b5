"""What a PUT of a policy keeps, replaces and ignores (CONTRACT 1.6, 1.7; EDGES A15, A16)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.wire.house import BASCULE, COMPUTE, JIT, House, port_rule
from tests.wire.swagger import check


@pytest.fixture
def web(house: House) -> House:
    house.add_machine("web-1")
    house.add_machine("db-1")
    return house


def policy_of(house: House, *ports: dict[str, Any], name: str = "web-1") -> dict[str, Any]:
    return {"properties": {"virtualMachines": [{"id": house.machine(name), "ports": list(ports)}]}}


def put(house: House, *ports: dict[str, Any], **more: Any) -> Any:
    return house.call("PUT", house.policy(), policy_of(house, *ports), JIT, **more)


def first_rule(answer: Any) -> dict[str, Any]:
    rule: dict[str, Any] = answer.json()["properties"]["virtualMachines"][0]["ports"][0]
    return rule


def test_the_answer_is_200_also_when_it_is_new(web: House) -> None:
    """The SDK, az and the published document take 200 only."""
    assert put(web, port_rule()).status_code == 200
    assert put(web, port_rule()).status_code == 200


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"allowedSourceAddressPrefix": "*"}, {"allowedSourceAddressPrefix": "*"}),
        (
            {"allowedSourceAddressPrefix": "*", "allowedSourceAddressPrefixes": None},
            {"allowedSourceAddressPrefix": "*"},
        ),
        (
            {"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": ["192.0.2.0/24"]},
            {"allowedSourceAddressPrefixes": ["192.0.2.0/24"]},
        ),
        (
            {"allowedSourceAddressPrefixes": ["2001:db8::/64", "192.0.2.1", "192.0.2.1/32"]},
            {"allowedSourceAddressPrefixes": ["2001:db8::/64", "192.0.2.1"]},
        ),
        (
            {"allowedSourceAddressPrefix": "::ffff:192.0.2.1"},
            {"allowedSourceAddressPrefix": "192.0.2.1"},
        ),
        ({"allowedSourceAddressPrefix": "::/0"}, {"allowedSourceAddressPrefix": "::/0"}),
        ({}, {"allowedSourceAddressPrefix": "*"}),
    ],
)
def test_sources_are_echoed_as_they_were_written(
    web: House, sent: dict[str, Any], echoed: dict[str, Any]
) -> None:
    rule = port_rule()
    del rule["allowedSourceAddressPrefix"]
    answer = put(web, rule | sent)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "JitNetworkAccessPolicy")
    got = first_rule(answer)
    assert {key: got[key] for key in got if key.startswith("allowed")} == echoed


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"number": "22"}, {"number": 22}),
        ({"protocol": "tcp"}, {"protocol": "TCP"}),
        ({"protocol": "*"}, {"protocol": "*"}),
        ({"maxRequestAccessDuration": "PT5M"}, {"maxRequestAccessDuration": "PT5M"}),
        ({"maxRequestAccessDuration": "P1D"}, {"maxRequestAccessDuration": "P1D"}),
        ({"maxRequestAccessDuration": "PT24H"}, {"maxRequestAccessDuration": "P1D"}),
        ({"maxRequestAccessDuration": "PT90M"}, {"maxRequestAccessDuration": "PT1H30M"}),
        ({"somethingNew": {"a": [1]}}, {"number": 22}),
    ],
)
def test_what_clients_are_known_to_write(
    web: House, sent: dict[str, Any], echoed: dict[str, Any]
) -> None:
    answer = put(web, port_rule(**sent))
    assert answer.status_code == 200, answer.text
    assert first_rule(answer).items() >= echoed.items()


def test_what_the_body_says_of_id_and_requests_is_ignored(web: House) -> None:
    body = policy_of(web, port_rule())
    body |= {"id": "x", "name": 5, "type": None, "location": "mars", "kind": None}
    body["properties"] |= {"requests": "nonsense", "provisioningState": "Failed"}
    answer = web.call("PUT", web.policy(), body, JIT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == web.policy()
    assert answer.json()["location"] == "local"
    assert answer.json()["kind"] == "Basic"
    assert answer.json()["properties"]["requests"] == []


def test_bascule_absent_keeps_null_resets_and_an_object_sets(web: House) -> None:
    """A client of Azure's that reads and writes back must not lose what it cannot see."""
    ours = {"onExpiry": "kill", "justificationRequired": True}
    usual = {"onExpiry": "keep", "justificationRequired": False}
    assert first_rule(put(web, port_rule(bascule=ours)))["bascule"] == ours
    assert first_rule(put(web, port_rule()))["bascule"] == ours
    assert first_rule(put(web, port_rule(bascule={"onExpiry": "kill"})))["bascule"] == usual | {
        "onExpiry": "kill"
    }
    assert first_rule(put(web, port_rule(bascule=None)))["bascule"] == usual


def test_a_drain_is_kept_by_who_does_not_know_it(web: House) -> None:
    ours = {"onExpiry": "drain", "justificationRequired": False, "drainFor": "PT10M"}
    assert first_rule(put(web, port_rule(bascule=ours)))["bascule"] == ours
    assert first_rule(put(web, port_rule()))["bascule"] == ours
    kill = {"onExpiry": "kill", "justificationRequired": False}
    assert first_rule(put(web, port_rule(bascule=kill)))["bascule"] == kill


MACHINE_RULES = "/providers/Bascule.Access/machineRules/default"
OURS = {"onExpiry": "kill", "justificationRequired": True}
USUAL = {"onExpiry": "keep", "justificationRequired": False}
TCP = port_rule(number=53, protocol="TCP")
UDP = port_rule(number=53, protocol="UDP")
BOTH = port_rule(number=53, protocol="*")


@pytest.mark.parametrize(
    ("stored", "sent", "kept"),
    [
        # Each keeps its own, whichever stands first.
        ([TCP | {"bascule": OURS}, UDP], [TCP, UDP], [OURS, USUAL]),
        ([TCP, UDP | {"bascule": OURS}], [TCP, UDP], [USUAL, OURS]),
        ([UDP, TCP | {"bascule": OURS}], [UDP, TCP], [USUAL, OURS]),
        # What is said is never overwritten, by another protocol's rule neither.
        ([TCP, UDP], [TCP | {"bascule": OURS}, UDP], [OURS, USUAL]),
        ([TCP | {"bascule": OURS}, UDP], [TCP | {"bascule": USUAL}, UDP], [USUAL, USUAL]),
        ([TCP | {"bascule": OURS}, UDP], [TCP | {"bascule": None}, UDP], [USUAL, USUAL]),
        # One that becomes two, two that become one, one that changes its protocol.
        ([BOTH | {"bascule": OURS}], [TCP, UDP], [OURS, OURS]),
        ([TCP | {"bascule": OURS}, UDP], [BOTH], [OURS]),
        ([TCP | {"bascule": OURS}], [UDP], [OURS]),
        # Of another number nothing is kept.
        ([port_rule(number=54, bascule=OURS)], [TCP], [USUAL]),
    ],
)
@pytest.mark.parametrize("is_machine_rules", [False, True], ids=["policy", "machine rules"])
def test_tcp_and_udp_of_one_number_keep_each_its_own(
    web: House,
    stored: list[dict[str, Any]],
    sent: list[dict[str, Any]],
    kept: list[dict[str, Any]],
    is_machine_rules: bool,
) -> None:
    assert put(web, *stored).status_code == 200
    if is_machine_rules:
        body = {"properties": {"ports": sent, "policyName": web.policy().rpartition("/")[2]}}
        answer = web.call("PUT", web.machine("web-1") + MACHINE_RULES, body)
    else:
        answer = put(web, *sent)
    assert answer.status_code == 200, answer.text
    now = web.call("GET", web.policy(), None, JIT).json()
    ports = now["properties"]["virtualMachines"][0]["ports"]
    assert [each["bascule"] for each in ports] == kept


def test_the_etag_covers_the_rules_and_nothing_else(web: House) -> None:
    first = put(web, port_rule())
    etag = first.headers["etag"]
    assert first.json()["etag"] == etag
    asked = {
        "virtualMachines": [
            {"id": web.machine("web-1"), "ports": [{"number": 22, "duration": "PT1H"}]}
        ]
    }
    assert web.call("POST", web.policy() + "/initiate", asked, JIT).status_code == 202
    assert web.call("GET", web.policy(), version=JIT).headers["etag"] == etag
    assert put(web, port_rule()).headers["etag"] == etag
    assert put(web, port_rule(23)).headers["etag"] != etag


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other", {etag}'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "W/{etag}"}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": "unquoted"}, 400),
        ({"If-None-Match": "{etag}"}, 400),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_preconditions(web: House, headers: dict[str, str], status: int, method: str) -> None:
    etag = put(web, port_rule()).headers["etag"]
    filled = {name: value.format(etag=etag) for name, value in headers.items()}
    body = policy_of(web, port_rule(23)) if method == "PUT" else None
    answer = web.call(method, web.policy(), body, JIT, headers=filled)
    assert answer.status_code == status, answer.text
    stored = web.call("GET", web.policy(), version=JIT)
    assert (stored.status_code == 200 and stored.headers["etag"] == etag) == (status >= 400)


def test_if_none_match_creates_and_if_match_star_does_not(web: House) -> None:
    assert put(web, port_rule(), headers={"If-Match": "*"}).status_code == 412
    assert put(web, port_rule(), headers={"If-None-Match": "*"}).status_code == 200


def test_of_two_writers_with_one_etag_one_wins(web: House) -> None:
    """Two portals open, two changes: the second is told, and undoes nothing."""
    etag = put(web, port_rule()).headers["etag"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: put(web, port_rule(number), headers={"If-Match": etag}).status_code,
                range(1000, 1008),
            )
        )
    assert sorted(answers) == [200] + [412] * 7


def test_a_put_keeps_the_requests_and_ends_what_it_no_longer_allows(web: House) -> None:
    put(web, port_rule(22), port_rule(80))
    ports = [{"number": 22, "duration": "PT1H"}, {"number": 80, "duration": "PT1H"}]
    asked = {"virtualMachines": [{"id": web.machine("web-1"), "ports": ports}]}
    web.call("POST", web.policy() + "/initiate", asked, JIT)
    (request,) = put(web, port_rule(22)).json()["properties"]["requests"]
    check(request, "JitNetworkAccessRequest")
    states = {
        port["number"]: (port["status"], port["bascule"]["state"])
        for port in request["virtualMachines"][0]["ports"]
    }
    assert states == {22: ("Initiating", "opening"), 80: ("Revoked", "closed")}


def test_requests_are_the_live_ones_and_seven_days_newest_first(web: House) -> None:
    put(web, port_rule())
    asked = {
        "virtualMachines": [
            {"id": web.machine("web-1"), "ports": [{"number": 22, "duration": "PT1M"}]}
        ]
    }
    for reason in ("old", "newer", "newest"):
        web.call("POST", web.policy() + "/initiate", asked | {"justification": reason}, JIT)
        web.sweep()
        web.clock.pass_time(3 * 86_400)
        web.sweep()
        web.client = web.client_of(web.service_token())
    listed = web.call("GET", web.policy(), version=JIT).json()["properties"]["requests"]
    assert [each["justification"] for each in listed] == ["newest", "newer"]
    everything = web.call("GET", "/providers/Bascule.Access/accessRequests").json()["value"]
    assert len(everything) == 3


def test_updating_until_every_point_that_is_there_has_reported(web: House) -> None:
    uid = web.see(lambda reader: reader.machines()[1]).uid
    agent = web.enrol("web-1")
    web.report(agent, uid)
    assert put(web, port_rule()).json()["properties"]["provisioningState"] == "Updating"
    web.clock.pass_time(31)  # the agent fell silent: it is away, and said to be
    got = web.call("GET", web.policy(), version=JIT).json()["properties"]
    assert (got["provisioningState"], got["bascule"]["away"]) == (
        "Succeeded",
        [web.machine("web-1")],
    )
    agent = web.client_of(web.agent_token(uid))
    web.report(agent, uid)
    got = web.call("GET", web.policy(), version=JIT).json()["properties"]
    assert (got["provisioningState"], got["bascule"]["away"]) == ("Succeeded", [])


@pytest.mark.parametrize("is_deleted", [True, False])
def test_what_others_have_still_to_apply_is_not_forgotten_when_one_leaves(
    web: House, is_deleted: bool
) -> None:
    """The policy said Succeeded and nobody away, while the other's port was open yet."""
    uids = {name: web.add_machine(name) for name in ("web-1", "db-1")}
    agents = {name: web.enrol(name) for name in uids}
    for name, uid in uids.items():
        web.report(agents[name], uid)
    body = policy_of(web, port_rule())
    body["properties"]["virtualMachines"].append(
        {"id": web.machine("db-1"), "ports": [port_rule()]}
    )
    assert web.call("PUT", web.policy(), body, JIT).status_code == 200
    below = "" if is_deleted else "/providers/Bascule.Access/machineRules/default"
    version = COMPUTE if is_deleted else BASCULE
    answer = web.call("DELETE", web.machine("web-1") + below, version=version)
    assert answer.status_code in (200, 204), answer.text

    def told() -> tuple[str, list[str]]:
        got = web.call("GET", web.policy(), version=JIT).json()["properties"]
        return got["provisioningState"], got["bascule"]["away"]

    if not is_deleted:
        web.report(agents["web-1"], uids["web-1"])
    assert told() == ("Updating", [])
    web.clock.pass_time(31)
    assert told() == ("Succeeded", [web.machine("db-1")])
    web.report(web.client_of(web.agent_token(uids["db-1"])), uids["db-1"])
    assert told() == ("Succeeded", [])


def test_a_machine_of_another_location_is_refused(web: House) -> None:
    web.add_machine("far-1", location="mars")
    answer = web.call("PUT", web.policy(), policy_of(web, port_rule(), name="far-1"), JIT)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidMachineLocation"
    beside = web.policy(location="MARS")
    answer = web.call("PUT", beside, policy_of(web, port_rule(), name="far-1"), JIT)
    assert answer.status_code == 200
    assert answer.json()["location"] == "mars"


def test_paths_compare_without_case_and_names_keep_theirs(web: House) -> None:
    """azure-cli#9855 and others: /Initiate, microsoft.Security, resourcegroups."""
    put(web, port_rule())
    odd = (
        web.policy()
        .replace("/resourceGroups/default", "//resourcegroups/DEFAULT")
        .replace("Microsoft.Security", "microsoft.SECURITY")
        .replace("jitNetworkAccessPolicies/default", "JITnetworkaccesspolicies/Default")
    )
    got = web.call("GET", odd.upper().replace("/SUBSCRIPTIONS", "/subscriptions", 1), version=JIT)
    assert got.json()["id"] == web.policy()
    asked = {
        "virtualMachines": [
            {"id": web.machine("WEB-1").upper(), "ports": [{"number": 22, "duration": "PT1M"}]}
        ]
    }
    answer = web.call("POST", odd + "/Initiate/", asked, JIT)
    assert answer.status_code == 202, answer.text
    assert answer.json()["virtualMachines"][0]["id"] == web.machine("web-1")
    assert web.call("GET", odd, version=JIT).json()["name"] == "default"


@pytest.mark.parametrize("name", ["subscriptions", "providers", "initiate", "release"])
def test_a_name_may_be_a_word_of_the_grammar(web: House, name: str) -> None:
    for spelt in (name, name.upper()):
        path = web.machine(spelt)
        assert web.call("PUT", path, {}, COMPUTE).status_code in (200, 201)
    got = web.call("GET", web.machine(name), version=COMPUTE)
    assert got.json()["name"] == name


def test_pages_follow_each_other(web: House) -> None:
    for number in range(5):
        web.call("PUT", web.policy(f"p{number}"), policy_of(web, port_rule()), JIT)
    path = "/providers/Microsoft.Security/jitNetworkAccessPolicies"
    names: list[str] = []
    first = web.call("GET", path, version=JIT, params={"$top": 2})
    check(first.json(), "JitNetworkAccessPoliciesList")
    pages = 1
    names += [each["name"] for each in first.json()["value"]]
    link = first.json()["nextLink"]
    while link is not None:
        assert link.startswith("https://localhost/subscriptions/")
        page = web.client.get(link).json()
        names += [each["name"] for each in page["value"]]
        link = page.get("nextLink")
        pages += 1
    assert (names, pages) == ([f"p{number}" for number in range(5)], 3)
