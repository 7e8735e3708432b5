"""Options that several commands on a server's host share: its data directory, and how a database is
reached.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bascule.errors import ConfigurationError

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


def certificate_options(command: Command) -> Command:
    """``--certificate`` and ``--key``: a server certificate that an operator brings."""
    key = click.option(
        "--key",
        type=click.Path(path_type=Path, readable=False),
        default=None,
        metavar="FILE",
        help="PEM file with the certificate's private key, readable only by the server.",
    )
    certificate = click.option(
        "--certificate",
        type=click.Path(path_type=Path, readable=False),
        default=None,
        metavar="FILE",
        help="PEM file with your own server certificate and its issuers, for browsers and Azure's "
        "clients; read again when it changes. Agents go on by the installation's CA.",
    )
    return certificate(key(command))


def parse_certificate(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Raise ConfigurationError where only one of the two is given."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError(
            "--certificate and --key need each other.",
            advice="Give both: --certificate FULLCHAIN.pem --key KEY.pem",
        )
    return certificate.absolute(), key.absolute()
