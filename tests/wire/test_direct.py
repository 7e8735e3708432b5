"""Routes that are answered without FastAPI's resolution answer as with it (``api.direct``)."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute, request_response
from pydantic import BaseModel
from starlette.responses import Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.direct import direct_handler
from bascule.api.paths import PolicyPath
from tests.wire.house import JIT, House, port_rule

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
    with monkeypatch.context() as patched:
        patched.setattr("bascule.api.auth.direct_handler", lambda *_: None)
        for route in house.app.router.routes:
            if isinstance(route, GuardedRoute):
                patched.setattr(route, "app", request_response(route.get_route_handler()))
        whole = [_answers(house, *path, content) for path in paths]
    for way, mine, theirs in zip(paths, direct, whole, strict=True):
        assert mine[1] == theirs[1], way
        assert mine[0] == theirs[0] or {mine[0], theirs[0]} == {200, 201}, way


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


def _body_field(endpoint: Any) -> Any:
    return APIRoute("/", endpoint).body_field


def test_a_body_that_may_be_left_out_is_read_by_the_framework() -> None:
    field = _body_field(_may_have_a_body)
    assert field is not None
    assert direct_handler(_may_have_a_body, field) is None
    assert direct_handler(_has_a_body, _body_field(_has_a_body)) is not None


def test_only_what_is_known_whole_is_answered_so() -> None:
    """A dependency that nobody declared may be a check: it is never left out."""
    assert direct_handler(_known, None) is not None
    for other in (_with_query, _with_more, _bare, _no_response, _in_a_thread):
        assert direct_handler(other, None) is None
