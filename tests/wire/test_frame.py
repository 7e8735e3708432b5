"""Around each call: headers, ids, the last net, health, the document, the record."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bascule.api.app import build_app
from bascule.api.origin import Names
from bascule.api.routes import health
from bascule.api.sampling import Sampler
from bascule.config import AccessLog
from bascule.errors import EnforcementFailed, Unavailable
from tests.support.enrolling import enrol_body
from tests.wire.house import BASCULE, CALLER, JIT, PROXY, House
from tests.wire.swagger import check

EVENTS = "/providers/Bascule.Audit/events"


def test_headers_as_the_live_service_sends_them(house: House) -> None:
    answer = house.call("GET", "/providers/Microsoft.Compute/virtualMachines")
    headers = answer.headers
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert "no-cache" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-ms-request-id"]
    assert headers["x-ms-correlation-request-id"]


@pytest.mark.parametrize(
    ("name", "is_told"),
    [("jit.example", True), ("localhost", False), ("192.0.2.1", False), ("2001:db8::1", False)],
)
def test_browsers_are_told_to_stay_on_https_for_a_name_of_its_own_alone(
    house: House, name: str, is_told: bool
) -> None:
    """Not for localhost, where other programs may speak HTTP, and for nothing below the name."""
    house.app = build_app(replace(house.state, names=Names((name,))))
    host = f"[{name}]" if ":" in name else name
    answer = house.client_of(None).get("/healthz", headers={"Host": f"{host}:8443"})
    assert answer.status_code == 200
    said = answer.headers.get("strict-transport-security")
    assert said == ("max-age=31536000" if is_told else None)


def test_a_correlation_id_is_echoed_and_recorded(house: House) -> None:
    sent = {"x-ms-correlation-request-id": "abc-1.2_3", "x-ms-client-request-id": "mine"}
    answer = house.call("PUT", house.machine("web-1"), {}, headers=sent)
    assert answer.headers["x-ms-correlation-request-id"] == "abc-1.2_3"
    assert answer.headers["x-ms-client-request-id"] == "mine"
    (event,) = house.call("GET", EVENTS, params={"$filter": "kind eq 'MachineAdded'"}).json()[
        "value"
    ]
    assert event["correlationId"] == "abc-1.2_3"
    assert event["actor"]["principal_id"] == house.administrator


def test_who_is_known_is_told_his_address(house: House) -> None:
    """The command line takes it for *my address*; behind a proxy it cannot know it otherwise."""
    name = "x-bascule-caller-address"
    assert house.call("GET", house.policy()).headers[name] == CALLER
    forwarded = house.client_of(house.service_token(), PROXY)
    answer = forwarded.get(
        house.policy(), params={"api-version": JIT}, headers={"X-Forwarded-For": "203.0.113.9"}
    )
    assert answer.headers[name] == "203.0.113.9"
    assert name not in house.client_of(None).get(house.policy()).headers


@pytest.mark.parametrize("odd", ["a b", "x" * 65, "a;b", "<script>", "\u00e9", ""])
def test_an_odd_correlation_id_is_not_echoed(house: House, odd: str) -> None:
    sent = {"x-ms-correlation-request-id": odd.encode("latin-1")}
    answer = house.call("GET", house.machine("web-1"), headers=sent)
    assert answer.headers["x-ms-correlation-request-id"] == answer.headers["x-ms-request-id"]


@pytest.mark.parametrize("error", [RuntimeError("inner secret"), EnforcementFailed("inner secret")])
def test_an_error_of_ours_says_nothing_inner_but_an_id(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(house.store), "read_few", fail)
    with capture_logs() as logs:
        answer = house.call("GET", house.machine("web-1"))
    assert answer.status_code == 500
    check(answer.json(), "CloudError")
    assert "inner secret" not in answer.text
    error_id = answer.headers["x-ms-request-id"]
    assert error_id in answer.json()["error"]["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [log for log in logs if log["event"] == "call failed" and log["id"] == error_id]


def test_a_database_that_is_away_is_503_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("The database cannot be written: the disk is full.", advice="Free some.")

    monkeypatch.setattr(type(house.store), "write", fail)
    answer = house.call("PUT", house.machine("web-1"), {})
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["error"]["message"]
    monkeypatch.setattr(type(house.store), "check_writable", fail)
    stranger = house.client_of(None)
    assert stranger.get("/readyz").status_code == 503
    assert stranger.get("/healthz").status_code == 200


def test_a_read_that_does_not_end_keeps_no_monitor_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(type(house.store), "read", stuck)
    monkeypatch.setattr(health, "CHECK_WITHIN", 0.05)
    answer = house.client_of(None).get("/readyz")
    assert answer.status_code == 503
    assert "did not finish a read" in answer.json()["error"]["message"]


def test_however_often_strangers_ask_the_disk_is_written_once_a_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = type(house.store).check_writable, 0

    async def counted(store: Any) -> None:
        nonlocal written
        written += 1
        await real(store)

    monkeypatch.setattr(type(house.store), "check_writable", counted)
    stranger, began = house.client_of(None), time.monotonic()
    for _ in range(50):
        assert stranger.get("/readyz").status_code == 200
    assert written <= time.monotonic() - began + 1


def test_the_log_has_no_secrets(house: House) -> None:
    token = house.service_token()
    client = house.client_of(token)
    with capture_logs() as logs:
        client.get(house.machine("web-1"), params={"api-version": JIT, "code": "my-secret"})
        client.post("/bascule/enrol", json={**enrol_body("x", "A" * 43), "proof": "my-secret"})
    written = json.dumps(logs)
    assert "my-secret" not in written
    assert token not in written
    assert [log["status"] for log in logs if log["event"] == "call"] == [404, 403]


@pytest.mark.parametrize(
    ("which", "of_strangers", "of_known"),
    [(AccessLog.SAMPLED, 2, 5), (AccessLog.ALL, 5, 5), (AccessLog.OFF, 0, 0)],
)
def test_whose_calls_are_in_the_log(
    house: House, which: AccessLog, of_strangers: int, of_known: int
) -> None:
    """A stranger may call as often as the network lets them."""
    few = Sampler("calls", 2, clock=lambda: 0.0)
    house.app = build_app(replace(house.state, access_log=which, stranger_lines=few))
    stranger = house.client_of(None)
    with capture_logs() as logs:
        for _ in range(5):
            stranger.get("/healthz")
    assert sum(log["event"] == "call" for log in logs) == of_strangers
    known = house.client_of(house.service_token())
    with capture_logs() as logs:
        for _ in range(5):
            known.get(house.machine("web-1"), params={"api-version": JIT})
    assert sum(log["event"] == "call" for log in logs) == of_known


def test_the_log_has_the_clients_address_behind_a_proxy(house: House) -> None:
    with capture_logs() as logs:
        for peer, forwarded in ((PROXY, "192.0.2.44"), (CALLER, "192.0.2.55")):
            house.client_of(None, peer).get("/healthz", headers={"X-Forwarded-For": forwarded})
    said = [log["caller"] for log in logs if log["event"] == "call"]
    assert said == ["192.0.2.44", CALLER], "who is no proxy is not believed"


def test_health_and_the_ca_need_no_token(house: House) -> None:
    stranger = house.client_of(None)
    assert stranger.get("/healthz").json()["status"] == "ok"
    assert stranger.get("/readyz").json() == {"status": "ok", "database": "ok"}
    pem = stranger.get("/bascule/ca.pem").text
    assert ssl.PEM_cert_to_DER_cert(pem)
    house.services.hub.close()
    assert stranger.get("/readyz").status_code == 503


def test_a_host_whose_clock_is_wrong_says_so_to_a_monitor(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes by the database's clock, and works: only certificates and its log are in doubt."""
    words = "this host's clock is 600 s behind the database's"
    monkeypatch.setattr(health, "apart_words", lambda _: words)
    answer = house.client_of(None).get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "clock": words}


def test_events_that_wait_to_be_sealed_are_told_to_a_monitor(house: House) -> None:
    """Nobody seals here."""
    stranger = house.client_of(None)
    house.clock.pass_time(60)
    answer = stranger.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["sealing"].endswith("events are not sealed yet, the oldest for 60 s")


def test_another_host_is_misdirected(house: House) -> None:
    answer = house.call("GET", house.machine("web-1"), headers={"Host": "evil.example"})
    assert answer.status_code == 421
    check(answer.json(), "CloudError")


def test_double_slashes_collapse_everywhere(house: House) -> None:
    """az with a slash at its endpoint's end asks //metadata/endpoints."""
    stranger = house.client_of(None)
    assert stranger.get("https://localhost//metadata/endpoints").status_code == 200
    assert stranger.get("https://localhost//healthz").status_code == 200


def test_the_document_names_every_route_and_no_page_of_docs(house: House) -> None:
    stranger = house.client_of(None)
    document = stranger.get("/openapi.json").json()
    assert len(document["paths"]) >= 25
    for page in ("/docs", "/redoc"):
        assert stranger.get(page).status_code == 404


# -- the record -------------------------------------------------------------------------


def test_the_record_filters_and_pages(house: House) -> None:
    for name in ("web-1", "web-2", "db-1"):
        house.add_machine(name)
        house.clock.pass_time(60)

    def listed(text: str) -> list[dict[str, Any]]:
        answer = house.call("GET", EVENTS, params={"$filter": text})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    added = listed("kind eq 'MachineAdded'")
    assert [each["data"]["machine"].rpartition("/")[2] for each in added] == [
        "db-1",
        "web-2",
        "web-1",
    ]
    assert set(added[0]) == {
        "sequence",
        "id",
        "at",
        "kind",
        "actor",
        "resourceId",
        "correlationId",
        "data",
        "operation",
        "operationName",
        "status",
        "about",
        "gateways",
    }
    assert len(listed(f"resourceId eq '{house.machine('WEB-1')}'")) == 1
    assert len(listed(f"resourceId eq '{house.group}'")) == 3
    assert len(listed("at ge '2030-01-01T12:01:00Z' and at lt 2030-01-01T12:02:00Z")) == 1
    assert len(listed(f"principalId eq '{house.administrator}'")) == 3
    assert listed("principalId eq 'nobody'") == []
    first = house.call(
        "GET", EVENTS, params={"$top": 2, "$filter": "kind eq 'MachineAdded'"}
    ).json()
    rest = house.client.get(first["nextLink"]).json()
    sequences = [each["sequence"] for each in first["value"] + rest["value"]]
    assert sequences == sorted(sequences, reverse=True)
    assert len(sequences) == 3


# createOption as the specification requires; caching is read by key by azcollection.
WINDOWS_DISK = {"osType": "Windows", "createOption": "Attach", "caching": "None"}


def test_machines_come_change_and_go(house: House) -> None:
    path = house.machine("web-1")
    body = {
        "location": "local",
        "tags": {"tier": "front"},
        "properties": {
            "storageProfile": {"osDisk": {"osType": "windows"}},
            "bascule": {"addresses": ["10.0.0.1", "2001:db8::1", "10.0.0.1"]},
        },
    }
    made = house.call("PUT", path, body)
    assert made.status_code == 201
    shown = made.json()
    assert shown["properties"]["bascule"] == {
        "addresses": ["10.0.0.1", "2001:db8::1"],
        "state": "unsupported",
        "reasons": shown["properties"]["bascule"]["reasons"],
        "closedPorts": [],
        "claimedPorts": [],
        "closedAt": [],
        "localOpenings": [],
        "stillClosed": [],
        "enforcementPoint": None,
    }
    assert shown["properties"]["storageProfile"]["osDisk"] == WINDOWS_DISK
    assert shown["tags"] == {"tier": "front"}
    changed = house.call("PUT", path, {"properties": {"bascule": {"addresses": []}}})
    assert changed.status_code == 200
    assert changed.json()["properties"]["vmId"] == shown["properties"]["vmId"]
    assert changed.json()["properties"]["storageProfile"]["osDisk"] == WINDOWS_DISK
    assert changed.json()["properties"]["bascule"]["addresses"] == []
    listed = house.call("GET", f"{house.group}/providers/Microsoft.Compute/virtualMachines")
    assert [each["name"] for each in listed.json()["value"]] == ["web-1"]
    assert house.call("DELETE", path).status_code == 200
    assert house.call("DELETE", path).status_code == 204
    assert house.call("GET", path, version=BASCULE).status_code == 404
    anew = house.call("PUT", path, {})
    assert anew.json()["properties"]["vmId"] != shown["properties"]["vmId"]


def test_machines_are_found_by_name_in_every_group(house: House) -> None:
    """How the command line resolves a bare name without reading the whole fleet."""
    house.do(lambda tx, _: tx.add_resource_group("second"))
    for name in ("web-1", "web-2"):
        house.add_machine(name)
    path = "/providers/Microsoft.Compute/virtualMachines"
    second = f"{house.subscription}/resourceGroups/second{path}/WEB-1"
    assert house.call("PUT", second, {}).status_code == 201

    def listed(below: str, text: str) -> list[str]:
        answer = house.call("GET", below + path, params={"$filter": text})
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["value"]]

    assert listed("", "name eq 'Web-1'") == [house.machine("web-1"), second]
    assert listed(house.group, "name eq 'Web-1'") == [house.machine("web-1")]
    assert listed("", "name eq 'nobody'") == []
    assert listed("", "name eq 'web-1' and name eq 'web-2'") == []
    odd = house.call("GET", path, params={"$filter": "name eq 'a b'"})
    assert odd.json()["error"]["code"] == "InvalidResourceName"
