"""Parameters of a route that the guard knows already, and a body: taken without FastAPI.

Resolving nested dependencies for each call is a third of the event loop's work for an
``initiate``. Where every parameter of a route is known here, its call is answered by this
module; other routes are FastAPI's. The signature stays what documents the route, and the body is
read and validated as FastAPI does, with its own field and its own errors
(``tests/wire/test_direct.py`` compares them).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from starlette.exceptions import HTTPException
from starlette.responses import Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Taken = Callable[[Request], Awaitable[Any]]
TakenFunction = TypeVar("TakenFunction", bound=Taken)

_NOTHING = object()  # the body is empty
_KNOWN: dict[Callable[..., Any], Taken] = {}  # by the dependency that it stands for


def stands_for(dependency: Callable[..., Any]) -> Callable[[TakenFunction], TakenFunction]:
    """Declare that a function gives what this dependency would, once the guard has run."""

    def declare(taken: TakenFunction) -> TakenFunction:
        _KNOWN[dependency] = taken
        return taken

    return declare


def direct_handler(endpoint: Callable[..., Any], body_field: Any) -> Handler | None:  # noqa: ANN401  # reason: FastAPI's own
    """What answers a call of this endpoint; None: FastAPI must."""
    if not inspect.iscoroutinefunction(endpoint):
        return None
    body_name = body_field.name if body_field is not None else None
    hints = get_type_hints(endpoint, include_extras=True)
    if hints.get("return") is not Response:
        return None
    taken: dict[str, Taken] = {}
    has_body = False
    for name in inspect.signature(endpoint).parameters:
        known = _known(hints.get(name))
        if known is not None:
            taken[name] = known
        elif name == body_name:
            has_body = True
        else:
            return None
    if has_body is not (body_field is not None):
        return None
    if has_body and not body_field.field_info.is_required():
        return None

    async def answer(request: Request) -> Response:
        found = await _json(request) if has_body else None
        values = {name: await take(request) for name, take in taken.items()}
        if has_body:
            values[body_field.name] = _validated(found, body_field)
        response: Response = await endpoint(**values)
        return response

    return answer


def _known(hint: Any) -> Taken | None:  # noqa: ANN401  # reason: an annotation
    for each in getattr(hint, "__metadata__", ()):
        if isinstance(each, Depends) and each.dependency is not None:
            return _KNOWN.get(each.dependency)
    return None


async def _json(request: Request) -> Any:  # noqa: ANN401  # reason: any body
    """The guard has read it whole, and let nothing but JSON through."""
    content = await request.body()
    if not content:
        return _NOTHING
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise RequestValidationError([_invalid(error)], body=error.doc) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise HTTPException(400, "There was an error parsing the body") from error


def _validated(found: Any, field: Any) -> Any:  # noqa: ANN401  # reason: any body, FastAPI's field
    if found is _NOTHING:
        missing = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
        raise RequestValidationError([missing])
    value, errors = field.validate(found, {}, loc=("body",))
    if errors:
        raise RequestValidationError(errors, body=found)
    return value


def _invalid(error: json.JSONDecodeError) -> Mapping[str, Any]:
    return {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
