"""Asking for access (CONTRACT 1.4 to 1.6; EDGES A14, A15, A20, A21)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.house import CALLER, JIT, PROXY, House, port_rule
from tests.wire.swagger import check

ENDS = "2030-01-01T13:00:00.1234567Z"


@pytest.fixture
def web(house: House) -> House:
    house.add_machine("web-1")
    put(house, port_rule())
    return house


def put(house: House, *ports: dict[str, Any]) -> None:
    machines = [{"id": house.machine("web-1"), "ports": list(ports)}]
    body = {"properties": {"virtualMachines": machines}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200


def initiate(house: House, *ports: dict[str, Any], client: Any = None, **more: Any) -> Any:
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": list(ports)}], **more}
    path = house.policy() + "/initiate"
    headers = {"Content-Type": "application/json"}
    if client is not None:
        return client.post(path, params={"api-version": JIT}, json=body)
    return house.call("POST", path, body, JIT, headers=headers)


def asked(**more: Any) -> dict[str, Any]:
    return {"number": 22, "endTimeUtc": ENDS, **more}


def only_port(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    check(answer.json(), "JitNetworkAccessRequest")
    ((port,),) = [machine["ports"] for machine in answer.json()["virtualMachines"]]
    return dict(port)


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (ENDS, ENDS),
        ("2030-01-01T13:00:00Z", "2030-01-01T13:00:00Z"),
        ("2030-01-01T13:00:00.5Z", "2030-01-01T13:00:00.5Z"),
        ("2030-01-01T14:00:00+01:00", "2030-01-01T13:00:00.0000000Z"),
        ("2030-01-01T13:00:00.123456789Z", "2030-01-01T13:00:00.1234560Z"),
        # Up to 60 s over the maximum is taken and cut; the answer says what holds.
        ("2030-01-01T15:00:59Z", "2030-01-01T15:00:00.0000000Z"),
        ("2030-01-01T15:00:00Z", "2030-01-01T15:00:00Z"),
        ("2030-01-01T12:00:01Z", "2030-01-01T12:00:01Z"),  # a second will do
    ],
)
def test_the_end_is_echoed_unchanged_unless_it_is_cut(web: House, sent: str, echoed: str) -> None:
    assert only_port(initiate(web, asked(endTimeUtc=sent)))["endTimeUtc"] == echoed


def test_a_duration_stands_for_an_end(web: House) -> None:
    port = only_port(initiate(web, {"number": "22", "duration": "PT90M", "endTimeUtc": None}))
    assert port["endTimeUtc"] == "2030-01-01T13:30:00.0000000Z"


@pytest.mark.parametrize(
    "sources",
    [
        {"allowedSourceAddressPrefix": "203.0.113.0/24"},
        {"allowedSourceAddressPrefix": "2001:db8::1"},
        {"allowedSourceAddressPrefix": "*"},
        {"allowedSourceAddressPrefixes": ["203.0.113.9"]},
        {"allowedSourceAddressPrefixes": ["203.0.113.9", "2001:db8::/64"]},
    ],
)
def test_sources_are_echoed_as_they_were_written(web: House, sources: dict[str, Any]) -> None:
    port = only_port(initiate(web, asked(**sources)))
    assert {key: port[key] for key in port if key.startswith("allowed")} == sources


@pytest.mark.parametrize("absent", [{}, {"allowedSourceAddressPrefix": None}])
def test_an_omitted_source_is_the_callers_address(web: House, absent: dict[str, Any]) -> None:
    assert only_port(initiate(web, asked(**absent)))["allowedSourceAddressPrefix"] == CALLER


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("0.0.0.0", "no host"),
        (PROXY, "the proxy's"),
        ("testclient", "does not know"),
    ],
)
def test_an_omitted_source_that_cannot_be_meant(web: House, address: str, word: str) -> None:
    client = web.client_of(web.service_token(), address)
    answer = initiate(web, asked(), client=client)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "SourceRequired"
    assert word in error["message"]
    assert "--from" in error["additionalInfo"][0]["info"]["advice"]
    named = asked(allowedSourceAddressPrefix="203.0.113.9")
    assert initiate(web, named, client=client).status_code == 202


def test_one_of_the_servers_own_addresses_cannot_be_meant(
    web: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.api.my_address.is_own_address", lambda _: True)
    answer = initiate(web, asked())
    assert "the server's own" in answer.json()["error"]["message"]


def test_forwarding_headers_count_from_a_proxy_alone(web: House) -> None:
    forged = {"X-Forwarded-For": "203.0.113.66"}
    client = web.client_of(web.service_token())
    client.headers.update(forged)
    assert only_port(initiate(web, asked(), client=client))["allowedSourceAddressPrefix"] == CALLER
    behind = web.client_of(web.service_token(), PROXY)
    behind.headers.update({"X-Forwarded-For": "198.18.0.1, 203.0.113.66"})
    port = only_port(initiate(web, asked(), client=behind))
    assert port["allowedSourceAddressPrefix"] == "203.0.113.66"


def test_one_port_for_two_sources_is_two_grants(web: House) -> None:
    answer = initiate(
        web,
        asked(allowedSourceAddressPrefix="203.0.113.1"),
        asked(allowedSourceAddressPrefix="203.0.113.2"),
    )
    (machine,) = answer.json()["virtualMachines"]
    assert [port["allowedSourceAddressPrefix"] for port in machine["ports"]] == [
        "203.0.113.1",
        "203.0.113.2",
    ]
    assert len({port["bascule"]["grantId"] for port in machine["ports"]}) == 2


def test_the_answer_says_who_when_and_how_to_wait(web: House) -> None:
    answer = initiate(web, asked(), justification="to mend a fan \u2013 \u2713")
    body = answer.json()
    port = only_port(answer)
    assert (port["status"], port["statusReason"]) == ("Initiating", "UserRequested")
    assert port["bascule"]["state"] == "opening"
    assert body["startTimeUtc"] == "2030-01-01T12:00:00.0000000Z"
    assert body["requestor"] == "administrator"
    assert body["justification"] == "to mend a fan \u2013 \u2713"
    assert body["bascule"]["resourceId"].endswith(body["bascule"]["requestId"])
    for header in ("location", "azure-asyncoperation", "retry-after"):
        assert header not in answer.headers  # it is no long-running operation
    assert b", " not in answer.content.replace(b"fan ", b"")  # compact


def test_a_newer_request_takes_the_olders_place(web: House) -> None:
    initiate(web, asked())
    initiate(web, asked(endTimeUtc="2030-01-01T14:00:00Z"))
    got = web.call("GET", web.policy(), version=JIT).json()["properties"]["requests"]
    reasons = [request["virtualMachines"][0]["ports"][0]["statusReason"] for request in got]
    assert sorted(reasons) == ["NewerRequestInitiated", "UserRequested"]


def test_a_denial_carries_every_reason_and_is_on_record(web: House) -> None:
    put(
        web,
        port_rule(
            22, bascule={"justificationRequired": True}, allowedSourceAddressPrefix="203.0.113.0/24"
        ),
    )
    answer = initiate(
        web, asked(endTimeUtc="2030-01-02T12:00:00Z"), {"number": 99, "endTimeUtc": ENDS}
    )
    assert answer.status_code == 400
    check(answer.json(), "CloudError")
    codes = {each["code"] for each in answer.json()["error"]["details"]}
    assert codes == {
        "SourceNotAllowed",
        "DurationTooLong",
        "JustificationRequired",
        "PortNotInPolicy",
    }
    assert web.events("AccessDenied") == ["AccessDenied"]
    assert web.see(lambda reader: reader.requests()) == []


def test_no_such_policy(house: House) -> None:
    house.add_machine("web-1")
    answer = initiate(house, asked())
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceNotFound")


def test_a_machine_without_an_agent_fails_after_the_wait_and_says_why(web: House) -> None:
    answer = initiate(web, asked())
    web.clock.pass_time(61)
    web.sweep()
    got = web.call("GET", answer.json()["bascule"]["resourceId"]).json()["properties"]
    port = got["virtualMachines"][0]["ports"][0]
    assert (got["state"], port["status"], port["statusReason"]) == ("failed", "Revoked", "Expired")
    assert "bascule machine enrol web-1" in port["bascule"]["failure"]


@pytest.mark.parametrize("kind", ["Initiates", "close", "initiate/now"])
def test_initiate_is_the_only_type(web: House, kind: str) -> None:
    answer = web.call("POST", f"{web.policy()}/{kind}", {}, JIT)
    assert answer.status_code == 404
