"""Finding a call's route by the fixed words of its path, before the router compares patterns.

The router compares a path with one regular expression a route, in order, until one fits: some hundred
for many calls. Here a tree of path segments gives the few routes that can fit a path, in the same
order, and a router of those alone takes the call. It compares, answers 404 and 405, and hands over as
the whole router does (``tests/wire/test_dispatch.py`` compares them).

What the tree does not know is left to the router: a segment that is neither a word nor a whole name
(``{rest:path}``, ``{name}.rdp``) fits every path from there on, a route of another kind fits every path,
and a path with a line end, which a pattern may leave out at its end, is compared with all routes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fastapi import APIRouter
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

_NAME = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")  # the whole of a segment that may be anything


@dataclass(slots=True)
class _Branch:
    """What comes after the same segments. Routes are named by their places."""

    by_word: dict[str, _Branch] = field(default_factory=dict)
    by_name: _Branch | None = None
    ends: list[int] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)  # they may fit whatever comes


class Dispatcher:
    """Comes before a router's own search. Its routes are all there when this is made."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._whole = router.app
        self._routes = tuple(router.routes)
        self._tree = _Branch()
        self._few: dict[tuple[int, ...], APIRouter] = {}
        for place, route in enumerate(self._routes):
            _put(self._tree, route, place)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("root_path") or "\n" in scope["path"]:
            await self._whole(scope, receive, send)
            return
        scope.setdefault("router", self._router)
        await self._router_for(scope["path"]).app(scope, receive, send)

    def _router_for(self, path: str) -> APIRouter:
        found = tuple(self.places(path))
        known = self._few.get(found)
        if known is None:  # there are as many as ways through the tree: callers cannot make more
            known = APIRouter(
                routes=[self._routes[place] for place in found],
                redirect_slashes=self._router.redirect_slashes,
                default=self._router.default,
            )
            self._few[found] = known
        return known

    def places(self, path: str) -> list[int]:
        """Of the routes that may fit, in their order."""
        branches, found = [self._tree], [*self._tree.rest]
        for segment in path.split("/"):
            further: list[_Branch] = []
            for branch in branches:
                if segment in branch.by_word:
                    further.append(branch.by_word[segment])
                if branch.by_name is not None and segment:
                    further.append(branch.by_name)
            for branch in further:
                found += branch.rest
            branches = further
        for branch in branches:
            found += branch.ends
        return sorted(found)


def _put(tree: _Branch, route: BaseRoute, place: int) -> None:
    branch = tree
    for segment in route.path.split("/") if isinstance(route, Route) else ("{:any}",):
        if _NAME.fullmatch(segment):
            if branch.by_name is None:
                branch.by_name = _Branch()
            branch = branch.by_name
        elif "{" in segment:
            branch.rest.append(place)
            return
        else:
            branch = branch.by_word.setdefault(segment, _Branch())
    branch.ends.append(place)
