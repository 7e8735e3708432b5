"""The tree of paths finds the route that the router would find (``api.dispatch``)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Mount, Route

from bascule.api.dispatch import Dispatcher
from bascule.portal.routes import router as portal
from tests.wire.house import House

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
ODD = ("", ".", "..", "a b", "%2F", "é", "x.rdp", "x.rdp.rdp", "{name}", "-", "me")
MOST_ROUTERS = 2000  # each is some kilobytes


@pytest.fixture
def whole(house: House) -> Iterator[House]:
    made = House(house.state.ca_file.parent, [portal()])
    yield made
    made.close()


def _fits(router: APIRouter, path: str) -> list[int]:
    """Places of all routes that fit it, by whatever method."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    return [
        place
        for place, route in enumerate(router.routes)
        if (
            route.path_regex.match(path)
            if isinstance(route, Route)
            else route.matches(dict(scope))[0] is not Match.NONE
        )
    ]


def _check(router: APIRouter, dispatcher: Dispatcher, path: str) -> None:
    """The router takes the first that fits, by a method too: none may be missing, and none moved."""
    found = dispatcher.places(path)
    assert found == sorted(set(found)), path
    assert set(_fits(router, path)) <= set(found), path


def _path_of(route: BaseRoute, fill: str) -> str:
    return re.sub(r"\{[^}]*\}", fill, str(getattr(route, "path", "/")))


@pytest.mark.parametrize("fill", ["name", "virtualMachines", "a/b", "x.rdp", ""])
def test_each_route_is_found(whole: House, fill: str) -> None:
    """By its own path, with names that may be words or several segments."""
    router = whole.app.router
    dispatcher = Dispatcher(router)
    paths = {_path_of(route, fill) for route in router.routes}
    for path in paths:
        assert "/" in fill or not fill or _fits(router, path)
        for wanted in (path, f"{path}/", f"{path}/more", path.rpartition("/")[0]):
            _check(router, dispatcher, wanted)


def test_paths_of_any_segments_are_found(whole: House) -> None:
    """Words of all routes in any order, and what is none: a line end aside, which is left to the
    router.
    """
    router = whole.app.router
    dispatcher = Dispatcher(router)
    words = sorted({each for route in router.routes for each in _path_of(route, "name").split("/")})
    chance = random.Random(18)
    for _ in range(2000):
        route = chance.choice(router.routes)
        segments = _path_of(route, chance.choice([*words, *ODD])).split("/")
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(segments))
            segments[at : at + chance.randrange(2)] = [chance.choice([*words, *ODD])]
        _check(router, dispatcher, "/" + "/".join(segments).lstrip("/"))


def test_few_routes_are_compared(whole: House) -> None:
    """Else the tree would cost more than it saves."""
    router = whole.app.router
    dispatcher = Dispatcher(router)
    request = f"{whole.subscription}/providers/Bascule.Access/accessRequests/R"
    policy = f"{whole.group}/providers/Microsoft.Security/locations/l/jitNetworkAccessPolicies/p"
    assert len(dispatcher.places(request)) <= 1
    assert len(dispatcher.places(f"{policy}/initiate")) <= 12
    assert len(dispatcher.places("/" + "a/" * 5000)) <= 1


def test_callers_cannot_make_routers_without_end(whole: House) -> None:
    router = whole.app.router
    dispatcher = Dispatcher(router)
    words = sorted({each for route in router.routes for each in _path_of(route, "name").split("/")})
    chance, sets = random.Random(19), set[tuple[int, ...]]()
    for _ in range(5000):
        segments = _path_of(chance.choice(router.routes), "name").split("/")
        segments[chance.randrange(len(segments))] = chance.choice(words)
        sets.add(tuple(dispatcher.places("/".join(segments))))
    assert len(sets) < MOST_ROUTERS


def _answer(house: House, method: str, path: str) -> tuple[Any, ...]:
    answer = house.client_of(None).request(method, path, follow_redirects=False)
    told = [answer.headers.get(each) for each in ("allow", "location", "content-type")]
    is_json = "json" in answer.headers.get("content-type", "")
    return answer.status_code, told, GUID.sub("", answer.text) if is_json else ""


def test_answers_are_the_same(whole: House) -> None:
    """404, 405 with its Allow, HEAD, a line end, and a stranger's 401, of the whole application."""
    router = whole.app.router
    paths = [
        "/",
        "/nothing",
        "/portal/nothing",
        "/healthz/",
        "//healthz",
        "/healthz%0A",
        "/HEALTHZ",
    ]
    paths += [_path_of(route, "name") for route in router.routes[::11]]
    calls = [(method, path) for path in paths for method in ("GET", "HEAD", "PATCH", "BREW")]
    assert isinstance(router.middleware_stack, Dispatcher)
    found = [_answer(whole, *call) for call in calls]
    router.middleware_stack = router.app
    plain = [_answer(whole, *call) for call in calls]
    assert dict(zip(calls, found, strict=True)) == dict(zip(calls, plain, strict=True))
    assert {200, 401, 404, 405} <= {status for status, _, _ in plain}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "{x}", "{y}", "{z:path}", "{n:int}", "{x}.b"])),
        max_size=8,
    ),
    st.lists(st.sampled_from(["a", "b", "c", "7", "a.b", "", "{x}"]), max_size=5),
)
def test_any_routes_are_found(paths: list[list[str]], segments: list[str]) -> None:
    """Routes of all kinds, in any order, one behind the other."""

    async def here(_: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    routes: list[BaseRoute] = []
    for place, each in enumerate(paths):
        names = (part.replace("{", f"{{p{n}") for n, part in enumerate(each))
        path = "/" + "/".join(names)
        routes.append(
            Mount(path, routes=[])
            if place == 5
            else Route(path, here, methods=["GET", "PUT"][: place % 2 + 1])
        )
    router = APIRouter(routes=routes)
    dispatcher, path = Dispatcher(router), "/" + "/".join(segments)
    _check(router, dispatcher, path)
