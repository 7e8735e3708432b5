"""``bascule admin replica``: hosts that may be servers of an installation over PostgreSQL (EDGES H7)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bascule.bootstrap.data_directory import require_installation
from bascule.bootstrap.database import Record
from bascule.bootstrap.options import DATA
from bascule.config import ALWAYS_NAMED
from bascule.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bascule.interfaces.invites import ReplicaInvite
    from bascule.interfaces.replicas import SeenReplica
    from bascule.interfaces.store import Transaction
    from bascule.services.act import Act


@click.group()
def replica() -> None:
    """Servers that share one PostgreSQL database."""


@replica.command(
    short_help="Let one more host become a replica.",
    epilog="Examples:\n\n\b\n  bascule admin replica invite --data /var/lib/bascule > token\n"
    "  bascule serve --data DIR --join-file token --name b.example   # on that host",
)
@DATA
@click.option(
    "--endpoint",
    multiple=True,
    metavar="URL",
    help="Where the new host reaches a running replica; repeatable. Default: the addresses of all "
    "running replicas.",
)
def invite(data: Path, endpoint: tuple[str, ...]) -> None:
    """Make a one-time token that lets one host become a replica. A server must be running.

    The token works once, for 15 minutes. It gives that host the installation's keys: send it
    over a secure channel, such as ssh. It is printed once. Run this command as the server's own
    account. This is recorded.
    """
    from bascule.bootstrap.admin import services_of
    from bascule.client.endpoint import parse_endpoint
    from bascule.identity.client_certificates import fingerprint_of
    from bascule.identity.join_token import JoinToken
    from bascule.identity.secrets import new_secret
    from bascule.identity.shared_keys import SharedKeys
    from bascule.identity.tls import CA_CERTIFICATE
    from bascule.services.act import new_id
    from bascule.services.invites import invite as make

    _require_shared(data)
    shared, invite_id, secret = SharedKeys(data), new_id(), new_secret()

    def work(tx: Transaction, act: Act) -> tuple[ReplicaInvite, Sequence[str], str]:
        def seal(ends_at: datetime) -> str:
            return shared.seal_invite(tx, invite_id, secret, ends_at)

        ca = shared.open(tx).contents[CA_CERTIFICATE]  # of the database, whatever this disk has
        endpoints = given or _endpoints(tx.replicas())
        return make(tx, act, invite_id, seal), endpoints, fingerprint_of(ca.decode())

    given = [parse_endpoint(each, "--endpoint") for each in endpoint]
    with services_of(data, is_stopped=False) as services:
        made, endpoints, fingerprint = asyncio.run(services.perform(work))
    click.echo(JoinToken(invite_id, secret, fingerprint, tuple(endpoints)).text)
    click.echo(
        f"It works once, until {made.expires_at:%Y-%m-%d %H:%M:%S} UTC, and gives a host the "
        f"installation's keys. Next, on that host: bascule serve --data DIR --join-file FILE "
        f"--name NAME",
        err=True,
    )


def _endpoints(replicas: Sequence[SeenReplica]) -> Sequence[str]:
    """Of those that run, each once, where another host may reach them. Raises ConfigurationError."""
    running = [each.replica.endpoint for each in replicas if each.is_alive]
    if not running:
        raise ConfigurationError(
            "No server uses the database now, so there is none that a new host could ask.",
            advice="Start a server first, or give --endpoint https://HOST:PORT of one.",
        )
    found = [each for each in dict.fromkeys(running) if urlsplit(each).hostname not in ALWAYS_NAMED]
    if not found:
        raise ConfigurationError(
            f"Another host cannot reach the running server by the name it has: {running[0]}.",
            advice="Give --endpoint https://HOST:PORT, or start the server with --name HOST.",
        )
    return found


def _require_shared(data: Path) -> None:
    require_installation(data)
    if not Record(data).is_shared:
        raise ConfigurationError(
            f"The record of the installation in {data} is in SQLite, so it has one server.",
            advice="Replicas need PostgreSQL: docs/operations.md.",
        )
