"""All routes of the portal: one module a page, and what they share."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from bascule.api.entries import admits_anybody, admits_callers
from bascule.api.oauth.browser import safe_next
from bascule.api.pages.look import LANGUAGES, THEMES, Look, keep_look
from bascule.portal.guard import LIVE_PATH, CurrentVisit, PortalRoute, show_kept
from bascule.portal.kept import KEPT_PATH
from bascule.portal.live import Changes
from bascule.portal.look import FILES, static_file
from bascule.portal.pages import MODULES


def router() -> APIRouter:
    """The portal's routes; each page's module holds its own."""
    routes = APIRouter()
    for part in (shared, *(module.router for module in MODULES), last):
        routes.routes.extend(part.routes)
    return routes


shared = APIRouter(route_class=PortalRoute)
last = APIRouter(route_class=PortalRoute)


@shared.get("/")
@admits_anybody
async def start() -> Response:
    return RedirectResponse("/portal", 303)


@shared.get(f"{FILES}/{{version}}/{{name}}")
@admits_anybody
async def file(request: Request, version: str, name: str) -> Response:
    return static_file(request, version, name)


@shared.get(LIVE_PATH)
@admits_callers
async def live(visit: CurrentVisit) -> Response:
    return Changes(visit)


@shared.get(KEPT_PATH)
@admits_callers
async def kept_form(visit: CurrentVisit) -> Response:
    """Where signing in leads whom a lost session interrupted."""
    return await show_kept(visit)


@shared.post("/portal/look")
@admits_callers
async def set_look(visit: CurrentVisit) -> Response:
    """Language and theme, kept in a cookie; leads back to the page that asked."""
    form, now = visit.form, visit.look
    language, theme = form.text("language"), form.text("theme")
    chosen = Look(
        language if language in LANGUAGES else now.language,
        theme if theme in THEMES else now.theme,
        is_chosen=language in LANGUAGES or now.is_chosen,
    )
    response = RedirectResponse(safe_next(form.text("next")), 303, {"Cache-Control": "no-store"})
    keep_look(response, chosen)
    return response


@last.get("/portal/{rest:path}")
@admits_callers
async def nothing_here(visit: CurrentVisit, rest: str, request: Request) -> Response:  # noqa: ARG001  # reason: of the path
    raise HTTPException(404)
