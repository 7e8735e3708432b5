"""The application put together: routers, error handlers, what surrounds each call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from bascule import __version__
from bascule.api import oauth
from bascule.api.agent_calls import SignedAnswers
from bascule.api.arm_path import ArmPaths
from bascule.api.body_limit import BodyLimit
from bascule.api.context import AppState
from bascule.api.dispatch import Dispatcher
from bascule.api.envelope import on_bascule_error, on_http_error, on_validation_error
from bascule.api.frame import Frame
from bascule.api.origin import OriginGate
from bascule.api.routes import (
    access,
    access_rules,
    activity,
    agents,
    approvals,
    audit,
    audit_activity,
    authorization,
    compute,
    exposure,
    fleet,
    graph,
    health,
    issuer,
    jit,
    knocks,
    machine_access,
    mail,
    metrics,
    network,
    own_sign_in,
    packages,
    pricings,
    principal_groups,
    providers,
    record,
    replicas,
    resources,
    runs,
    service_principals,
    sign_ins,
    sinks,
    ticket_checks,
    users,
)
from bascule.errors import BasculeError

Background = Callable[[], AbstractAsyncContextManager[None]]


def build_app(
    state: AppState, background: Background = nullcontext, faces: Sequence[APIRouter] = ()
) -> FastAPI:
    """The whole HTTP face of one installation; ``background`` is around the time it serves,
    ``faces`` are those that stand on this one.
    """
    app = FastAPI(
        title="Bascule",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Frame, strangers=state.stranger_lines, access_log=state.access_log),
            Middleware(OriginGate, names=state.names, proxies=state.proxies),
            Middleware(BodyLimit, known=state.known_networks),
            Middleware(ArmPaths),
            Middleware(SignedAnswers, trust_key=state.trust_key),
        ],
        lifespan=_lifespan_of(background),
        exception_handlers={
            BasculeError: on_bascule_error,
            RequestValidationError: on_validation_error,
            HTTPException: on_http_error,
        },
    )
    app.state.bascule = state
    for module in (
        health,
        packages,
        metrics,
        agents,
        replicas,
        jit,
        compute,
        network,
        pricings,
        access,
        access_rules,
        ticket_checks,
        approvals,
        runs,
        machine_access,
        knocks,
        exposure,
        fleet,
        audit,
        audit_activity,
        authorization,
        record,
        sinks,
        own_sign_in,
        mail,
        sign_ins,
        issuer,
        providers,
        resources,
        activity,
        users,
        principal_groups,
        service_principals,
        graph,
        *oauth.PARTS,
    ):
        app.router.routes.extend(module.router.routes)
    for face in faces:
        app.router.routes.extend(face.routes)
    app.router.middleware_stack = Dispatcher(app.router)
    oauth.begin(state)
    return app


def _lifespan_of(
    background: Background,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with background():
            yield

    return lifespan
