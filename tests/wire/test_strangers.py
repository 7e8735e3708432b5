"""What callers without identity may make the server read, and write into its log (EDGES E1)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from bascule.api.sampling import PER_NETWORK
from tests.wire.house import CALLER, PROXY, House

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DEEP = "[" * 33 + "]" * 33
JSON_ROUTES = ("policy", "enrol", "machine")


def post(house: House, path: str, content: bytes, kind: str = "application/json") -> Any:
    return house.client_of(None).post(path, content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize("size", [4096, 4097])
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_strangers_body_is_at_most_4_kib(house: House, size: int, is_announced: bool) -> None:
    def pieces() -> Any:
        for start in range(0, size, 100):
            yield b" " * min(100, size - start)

    content = b" " * size if is_announced else pieces()
    answer = post(house, "/bascule/enrol", content)
    assert answer.status_code == (400 if size == 4096 else 413)
    assert "The body is too large. At most 4 KiB is accepted here." in answer.text or size == 4096


def test_a_route_that_needs_more_takes_it(house: House) -> None:
    tenant = house.installation.tenant_id
    for size, status in ((30_000, 400), (33_000, 413)):
        answer = house.client_of(None).post(
            f"/{tenant}/oauth2/v2.0/token", content=b"a=" + b"x" * size, headers=FORM
        )
        assert answer.status_code == status, answer.text
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")


def test_who_has_an_identity_may_send_a_mebibyte(house: House) -> None:
    answer = house.client.put(
        house.policy(),
        params={"api-version": "2020-01-01"},
        content=b" " * 1_000_000,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400


def test_a_bad_token_is_no_identity(house: House) -> None:
    """Nothing of the body is read; what is announced does not matter."""
    answer = house.client_of("nonsense").put(
        house.policy(),
        params={"api-version": "2020-01-01"},
        content=b" " * 1_000_000,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("route", JSON_ROUTES)
@pytest.mark.parametrize("depth", [33, 990, 2_000])
def test_what_nests_deeper_than_32_is_refused_before_it_is_parsed(
    house: House, route: str, depth: int
) -> None:
    path = {
        "policy": house.policy(),
        "enrol": "/bascule/enrol",
        "machine": house.machine("web-1"),
    }[route]
    content = ('{"nonce":' + "[" * depth + "]" * depth + "}").encode()
    client = house.client_of(None) if route == "enrol" else house.client
    with capture_logs() as lines:
        answer = client.request(
            "POST" if route == "enrol" else "PUT",
            path,
            params={"api-version": "2020-01-01"},
            content=content,
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code in (400, 413), answer.text
    assert "nests deeper than 32" in answer.text or len(content) > 4096
    assert not [line for line in lines if line["event"] == "call failed"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_json_is_utf_8(house: House, encoding: str) -> None:
    """Else its depth would be judged by other bytes than the parser's."""
    answer = post(house, "/bascule/enrol", DEEP.encode(encoding))
    assert answer.status_code == 400
    assert "UTF-8" in answer.text


def test_a_passkeys_answer_that_nests_deep_is_an_answer_that_is_not_right(house: House) -> None:
    client = house.client_of(None)
    page = client.get("/signin")
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert csrf
    for depth in (33, 990):
        form = {"csrf": csrf, "ticket": "x", "answer": "[" * depth + "]" * depth, "next": "/portal"}
        with capture_logs() as lines:
            answer = client.post("/signin/passkey", content=urlencode(form), headers=FORM)
        assert answer.status_code in (400, 401), (depth, answer.text)
        assert not [line for line in lines if line["event"] == "call failed"]


# -- the log ------------------------------------------------------------------------------


def lines_of(call: Any, count: int) -> list[Any]:
    with capture_logs() as lines:
        for _ in range(count):
            call()
    return [line for line in lines if line["event"] in ("call", "call failed", "token refused")]


def test_calls_of_a_stranger_are_sampled_and_those_of_a_known_caller_are_not(house: House) -> None:
    stranger = house.client_of(None)
    assert len(lines_of(lambda: stranger.get("/bascule/none"), 100)) == PER_NETWORK
    assert len(lines_of(lambda: house.client.get(house.machine("web-1")), 50)) == 50


def test_so_are_refused_tokens(house: House) -> None:
    path = f"/{house.installation.tenant_id}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    stranger = house.client_of(None)
    lines = lines_of(lambda: stranger.post(path, data=form), 100)
    assert len(lines) == PER_NETWORK


def test_tracebacks_are_bounded_whoever_causes_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("inner")

    monkeypatch.setattr(type(house.store), "read", fail)
    stranger = house.client_of(None)
    with capture_logs() as lines:
        answers = [stranger.get("/readyz") for _ in range(50)]
    assert {each.status_code for each in answers} == {500}
    traces = [line for line in lines if line.get("exc_info")]
    assert 1 <= len(traces) <= 5
    last = answers[-1].json()["error"]["message"]
    assert "under the id" not in last, "the log has no such id"


@pytest.mark.parametrize("peer", [CALLER, PROXY])
def test_a_line_says_where_the_call_came_from(house: House, peer: str) -> None:
    """Behind a configured proxy it is the caller's address, from anybody else the peer's."""
    client: TestClient = house.client_of(house.service_token(), peer)
    with capture_logs() as lines:
        client.get(house.machine("web-1"), headers={"X-Forwarded-For": "203.0.113.9"})
    (line,) = [each for each in lines if each["event"] == "call"]
    assert line["caller"] == ("203.0.113.9" if peer == PROXY else CALLER)


def test_a_call_by_another_name_is_a_line_with_its_peer(house: House) -> None:
    with capture_logs() as lines:
        house.client_of(None).get("/healthz", headers={"Host": "other.example"})
    (line,) = [each for each in lines if each["event"] == "call"]
    assert (line["status"], line["caller"]) == (421, CALLER)


def test_a_nested_text_counts_for_nothing_where_a_place_in_a_list_is_read(house: House) -> None:
    import base64

    token = base64.urlsafe_b64encode(json.dumps([[]]).replace("[]", DEEP).encode()).decode()
    answer = house.call(
        "GET", "/providers/Bascule.Audit/events", params={"$skiptoken": token.rstrip("=")}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidSkipToken")


# -- whose network is known (EDGES E6) ----------------------------------------------------------


def test_a_network_is_known_once_somebody_there_proved_who_they_are(house: House) -> None:
    known = house.state.known_networks
    house.client_of("nonsense", "192.0.2.1").get(house.machine("web-1"))
    house.client_of(None, "192.0.2.1").get("/healthz")
    assert "192.0.2.1/32" not in known
    house.client_of(house.service_token(), "192.0.2.1").get(house.machine("web-1"))
    assert "192.0.2.1/32" in known
