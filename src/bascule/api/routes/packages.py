"""Packages for hosts and the script that installs an agent from them (EDGES I3). No token: nothing is secret."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from bascule.api.auth import GuardedRoute
from bascule.api.context import state_of
from bascule.api.entries import admits_anybody
from bascule.api.packages import FILES_PATH, SCRIPT_PATH, Packages
from bascule.errors import NotFound

router = APIRouter(route_class=GuardedRoute)


@router.get(SCRIPT_PATH)
@admits_anybody
async def install_script(request: Request) -> Response:
    """The script whose SHA-256 is in the line that people paste on a host."""
    return Response(_packages(request).script, media_type="text/x-shellscript; charset=us-ascii")


@router.get(f"{FILES_PATH}/{{name:path}}")
@admits_anybody
async def package_file(request: Request, name: str) -> Response:
    """A file of the repository; what it does not list is not there."""
    file = _packages(request).files.get(name)
    if file is None or not file.is_file():
        raise NotFound("There is no such file.", code="ResourceNotFound")
    return FileResponse(file, media_type="application/octet-stream")


def _packages(request: Request) -> Packages:
    found = state_of(request).packages
    if found is None:
        raise NotFound(
            "This server hands out no packages.",
            code="ResourceNotFound",
            advice="Start it with --packages, or install the packages on the host by hand.",
        )
    return found
