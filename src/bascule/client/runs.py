"""Runs of ``bascule ssh --close``: say that one goes on, or has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bascule.client.access import requests_path
from bascule.client.versions import BASCULE_VERSION

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


def put_run(connection: Connection, request_id: str, run_id: str) -> None:
    """Raises NotFound and Conflict where its access is over, or no run closes it."""
    connection.call("PUT", _path(connection, request_id, run_id), BASCULE_VERSION)


def end_run(connection: Connection, request_id: str, run_id: str) -> None:
    connection.call("DELETE", _path(connection, request_id, run_id), BASCULE_VERSION)


def keep(connection: Connection, request_id: str) -> None:
    """Have no run close this access any more. Raises NotFound and Conflict where it is over."""
    connection.call("POST", f"{requests_path(connection)}/{request_id}/keep", BASCULE_VERSION)


def _path(connection: Connection, request_id: str, run_id: str) -> str:
    return f"{requests_path(connection)}/{request_id}/runs/{run_id}"
