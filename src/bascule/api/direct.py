"""What a route takes that the guard knows already, beside a body and plain parameters of path and query:
taken without resolving dependencies.

Resolving nested dependencies for each call is a third of the event loop's work for an
``initiate``. Where every parameter of a route is known here, its call is answered by this
module; other routes are FastAPI's. The signature stays what documents the route. Body and plain
parameters are read and validated as FastAPI does, with its own fields and its own errors
(``tests/wire/test_direct.py`` compares them).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar, get_type_hints

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
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


def direct_handler(
    endpoint: Callable[..., Any],
    body_field: Any,  # noqa: ANN401  # reason: FastAPI's own
    dependant: Dependant,
) -> Handler | None:
    """What answers a call of this endpoint; None: FastAPI must. ``dependant``: the endpoint's."""
    hints = get_type_hints(endpoint, include_extras=True)
    if not inspect.iscoroutinefunction(endpoint) or hints.get("return") is not Response:
        return None
    if dependant.header_params or dependant.cookie_params:
        return None
    plain = {field.name for field in (*dependant.path_params, *dependant.query_params)}
    has_body = body_field is not None
    taken: dict[str, Taken] = {}
    for name in inspect.signature(endpoint).parameters:
        known = _known(hints.get(name))
        if known is not None:
            taken[name] = known
        elif not (name in plain or (has_body and name == body_field.name)):
            return None

    async def answer(request: Request) -> Response:
        found = await _json(request) if has_body else None
        values = {name: await take(request) for name, take in taken.items()}
        errors: list[Any] = []
        if plain:
            values |= _own_parameters(request, dependant, errors)
        if has_body:
            values[body_field.name] = _validated(found, body_field, errors)
        if errors:
            raise RequestValidationError(errors, body=None if found is _NOTHING else found)
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


def _own_parameters(request: Request, dependant: Dependant, errors: list[Any]) -> dict[str, Any]:
    """What the endpoint itself takes of path and query; what is wrong is added to ``errors``."""
    values, wrong = request_params_to_args(dependant.path_params, request.path_params)
    errors += wrong
    if dependant.query_params:
        more, wrong = request_params_to_args(dependant.query_params, request.query_params)
        errors += wrong
        values |= more
    return values


def _validated(found: Any, field: Any, errors: list[Any]) -> Any:  # noqa: ANN401  # reason: any body, FastAPI's field
    """The body as the endpoint takes it; what is wrong is added to ``errors``."""
    if found is _NOTHING:
        if not field.field_info.is_required():
            return field.get_default()
        errors.append({"type": "missing", "loc": ("body",), "msg": "Field required", "input": None})
        return None
    value, wrong = field.validate(found, {}, loc=("body",))
    errors += wrong or ()
    return value


def _invalid(error: json.JSONDecodeError) -> Mapping[str, Any]:
    return {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
