"""Routes that are answered without FastAPI's resolution answer as with it (``api.direct``)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, Header, Query, Request
from fastapi.routing import APIRoute, request_response
from pydantic import BaseModel
from starlette.responses import Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.direct import direct_handler
from bascule.api.paths import PolicyPath
from tests.wire.house import BASCULE, JIT, House, port_rule

PORT = {"number": 22, "endTimeUtc": "2030-01-01T13:00:00Z", "allowedSourceAddressPrefix": "*"}
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b'{"virtualMachines": null}',
    b'{"virtualMachines": [{"id": 1, "ports": {}}], "justification": 5}',
    b'{"virtualMachines": [{"id": "/x", "ports": [{"number": "no"}]}]}',
    b'{"virtualMachines": ' + b"9" * 5000 + b"}",
    b'{"location": "nowhere at all", "tags": 7}',
    b"\xef\xbb\xbf{}",
    b"\xff",
    b'{"a": ' * 200,
    b'{"virtualMachines": []}',
    b'{"virtualMachines": [{"id": "WEB", "ports": [{"number": 22}]}]}',
]


def _asked(house: House) -> bytes:
    return json.dumps(
        {"virtualMachines": [{"id": house.machine("web-1"), "ports": [PORT]}]}
    ).encode()


def _answers(house: House, method: str, path: str, body: bytes) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    answer = house.client.request(
        method, path, params={"api-version": JIT}, content=body, headers=headers
    )
    return answer.status_code, _without_ids(answer.json())


def _without_ids(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_ids(each) for each in found]
    if not isinstance(found, dict):
        return found
    return {k: _without_ids(v) for k, v in found.items() if not k.lower().endswith("id")}


@pytest.mark.parametrize(
    "body",
    [*BODIES, _asked],
    ids=lambda body: str(body)[:40] if isinstance(body, bytes) else "asked",
)
def test_an_answer_is_the_same(house: House, monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    """Whatever the body and the path: a policy that is there, none, no location, no name."""
    house.add_machine("web-1")
    rules = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    assert house.call("PUT", house.policy(), {"properties": rules}, JIT).status_code == 200
    content = body(house) if callable(body) else body
    places = [house.policy(), house.policy("other"), house.policy(location="rome")]
    paths = [("POST", f"{each}/initiate") for each in [*places, house.policy("no name")]]
    paths += [("PUT", house.machine(name)) for name in ("web-2", "-", "n" * 99)]
    direct = [_answers(house, *path, content) for path in paths]
    assert {202, 200, 201} & {status for status, _ in direct} or not callable(body)
    with _without(house, monkeypatch):
        whole = [_answers(house, *path, content) for path in paths]
    for way, mine, theirs in zip(paths, direct, whole, strict=True):
        assert mine[1] == theirs[1], way
        assert mine[0] == theirs[0] or {mine[0], theirs[0]} == {200, 201}, way


@contextmanager
def _without(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All routes are FastAPI's."""
    with monkeypatch.context() as patched:
        patched.setattr("bascule.api.auth.direct_handler", lambda *_: None)
        for route in house.app.router.routes:
            if isinstance(route, GuardedRoute):
                patched.setattr(route, "app", request_response(route.get_route_handler()))
        yield


QUERIES = [
    *("", "waitSeconds=0", "waitSeconds=abc", "waitSeconds=-1", "waitSeconds=61", "waitSeconds="),
    *("waitSeconds=nan", "waitSeconds=1e999", "waitSeconds=0&waitSeconds=x", "waitseconds=x"),
    *("waitFor=closed", "waitFor=opened", "waitFor=never", "waitFor=", "waitFor=x&waitSeconds=y"),
    *("more=1", "wait_seconds=x", "waitSeconds=%30", "waitSeconds=0.0&waitFor=closed"),
]
SOME_BODIES = [b"{}", b'{"kill": true}', b'{"kill": "maybe"}', b'{"grantIds": 5}']


def _all_answers(house: House, base: str) -> list[tuple[int, Any]]:
    """Of reading and revoking a request that there is, one that there is not, and what is none."""
    found = []
    for name in (base, "00000000-0000-4000-8000-000000000009", "no-guid", "%0A", "x" * 300):
        path = f"{house.subscription}/providers/Bascule.Access/accessRequests/{name}"
        for query in QUERIES:
            answer = house.client.get(f"{path}?api-version={BASCULE}&{query}")
            found.append((answer.status_code, answer.json()))
        for body in (*BODIES, *SOME_BODIES):
            headers = {"Content-Type": "application/json"}
            params = {"api-version": BASCULE}
            answer = house.client.post(
                f"{path}/revoke", content=body, headers=headers, params=params
            )
            found.append((answer.status_code, answer.json()))
        answer = house.client.post(f"{path}/revoke", params={"api-version": BASCULE})
        found.append((answer.status_code, answer.json()))
    return found


def test_parameters_of_path_and_query_are_taken_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a body that may be left out. What is wrong is told in the same words, all at once."""
    house.add_machine("web-1")
    rules = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    assert house.call("PUT", house.policy(), {"properties": rules}, JIT).status_code == 200
    asked = json.loads(_asked(house))
    made = house.call("POST", f"{house.policy()}/initiate", asked, JIT).json()
    request_id = made["bascule"]["requestId"]
    first = _all_answers(house, request_id)  # revokes it: from here on nothing changes
    direct = _all_answers(house, request_id)
    with _without(house, monkeypatch):
        whole = _all_answers(house, request_id)
    assert direct == whole
    assert {200, 400, 404} <= {status for status, _ in first}


def test_the_hot_routes_are_answered_directly(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a whole cycle: a parameter more would have FastAPI resolve all of them."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    house.add_machine("web-1")
    monkeypatch.setattr("fastapi.routing.solve_dependencies", fail)
    request = f"{house.subscription}/providers/Bascule.Access/accessRequests/{uuid.uuid4()}"
    for method, path in (
        ("POST", f"{house.policy()}/initiate"),
        ("GET", request),
        ("POST", f"{request}/revoke"),
    ):
        body = json.loads(_asked(house)) if path.endswith("initiate") else None
        assert house.call(method, path, body).status_code == 404


class Shape(BaseModel):
    name: str = ""


NEVER_SENT = Response()  # the endpoints below are judged by their parameters, and never called


async def _has_a_body(call: CurrentCall, body: Shape) -> Response:
    return NEVER_SENT


async def _checks(call: CurrentCall) -> None:
    """A dependency of a route's own."""


async def _known(call: CurrentCall, policy: PolicyPath) -> Response:
    return NEVER_SENT


async def _with_query(call: CurrentCall, more: Annotated[str, Query()] = "") -> Response:
    return NEVER_SENT


async def _with_path(call: CurrentCall, name: str) -> Response:
    return NEVER_SENT


async def _with_header(call: CurrentCall, more: Annotated[str, Header()] = "") -> Response:
    return NEVER_SENT


async def _with_more(call: CurrentCall, _: Annotated[None, Depends(_checks)]) -> Response:
    return NEVER_SENT


async def _may_have_a_body(call: CurrentCall, body: Shape | None = None) -> Response:
    return NEVER_SENT


async def _bare(call: CurrentCall, request: Request) -> Response:
    return NEVER_SENT


async def _no_response(call: CurrentCall) -> dict[str, str]:
    return {}


def _in_a_thread(call: CurrentCall) -> Response:
    return NEVER_SENT


def _direct(endpoint: Any, path: str = "/") -> Any:
    route = APIRoute(path, endpoint)
    return direct_handler(endpoint, route.body_field, route.dependant)


def test_only_what_is_known_whole_is_answered_so() -> None:
    """A dependency that nobody declared may be a check: it is never left out."""
    for each in (_known, _with_query, _has_a_body, _may_have_a_body):
        assert _direct(each) is not None
    assert _direct(_with_path, "/{name}") is not None
    for other in (_with_header, _with_more, _bare, _no_response, _in_a_thread):
        assert _direct(other) is None
