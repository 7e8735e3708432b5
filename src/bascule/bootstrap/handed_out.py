"""Which packages ``bascule serve`` hands to hosts (EDGES I3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import structlog

from bascule.errors import ConfigurationError

if TYPE_CHECKING:
    from bascule.api.packages import Packages

BROUGHT = Path("/usr/share/bascule/packages")  # by the package bascule-server
log = structlog.get_logger("bascule.server")
F = TypeVar("F", bound=Callable[..., Any])


def packages_option(command: F) -> F:
    return click.option(
        "--packages",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        default=None,
        metavar="DIR",
        help="Packages to hand to hosts: the folder 'apt' that make packages writes. Default: "
        "those that the package bascule-server brings.",
    )(command)


def handed_out(wanted: Path | None) -> Packages | None:
    """Those of the folder that somebody named, which must be right; else those that were brought, if they are."""
    from bascule.api.packages import read_packages

    if wanted is not None:
        return read_packages(wanted)
    if not BROUGHT.is_dir():
        return None
    try:
        return read_packages(BROUGHT)
    except ConfigurationError as error:
        log.warning("no packages for hosts", why=error.message)
        return None
