"""Options that several commands on a server's host share: its data directory, and how a database is
reached.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

DATA = click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)

POOLER = click.option(
    "--database-pooler",
    default=None,
    metavar="URL",
    help="PgBouncer before the database: all but one connection goes through it.",
)


def database_options(command: Command) -> Command:
    """``--database-password-file`` and ``--allow-unverified-database``: how the database that another
    option names is reached (``config.parse_database``).
    """
    unverified = click.option(
        "--allow-unverified-database",
        is_flag=True,
        help="Allow an sslmode that does not verify the database server.",
    )
    password = click.option(
        "--database-password-file",
        type=click.Path(path_type=Path),
        default=None,
        metavar="FILE",
        help="File with the password of the database.",
    )
    return password(unverified(command))
