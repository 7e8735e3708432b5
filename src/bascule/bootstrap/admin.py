"""``bascule admin``: credentials (EDGES A26), signing keys, a first link (C0); on record."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.bootstrap.admin_database import database
from bascule.bootstrap.backup_commands import backup, recovery_key, restore
from bascule.bootstrap.data_directory import (
    ADMIN_FILE,
    AdminFile,
    check_own,
    open_data_directory,
    require_installation,
)
from bascule.bootstrap.database import Record
from bascule.bootstrap.health_command import check, support_bundle
from bascule.bootstrap.install_server import install_server
from bascule.bootstrap.options import DATA, database_options
from bascule.bootstrap.replica_commands import replica
from bascule.bootstrap.restored import restored
from bascule.bootstrap.rotate_ca import rotate_ca
from bascule.config import parse_database
from bascule.errors import BasculeError, ConfigurationError
from bascule.interfaces.store import Transaction

if TYPE_CHECKING:
    from bascule.config import DatabaseSettings
    from bascule.services.act import Act, Services


@contextmanager
def services_of(
    data: Path, *, is_stopped: bool, settings: DatabaseSettings | None = None
) -> Iterator[Services]:
    """The use cases over an installation's database. With ``is_stopped``, the data directory is
    locked and no other server may have been seen; then the database is upgraded, if it is older.
    Without it, the database is used as it is. ``settings``: where it is now, unless where it was last.
    """
    from bascule.clocks import SystemClock, boot_id
    from bascule.services.act import Services
    from bascule.services.hub import Hub
    from bascule.services.replicas import require_stopped

    require_installation(data)
    with ExitStack() as kept:
        if is_stopped:
            kept.callback(os.close, open_data_directory(data))
        else:
            check_own(data)
        record = Record(data)
        if record.is_shared and settings is not None:
            record = Record(data, settings)
        if is_stopped and record.is_shared:
            _require_no_server(record)
        store = record.open(is_server=is_stopped)
        kept.callback(store.close)
        boot = "" if store.clock is None else boot_id()
        services = Services(store, store.clock or SystemClock(), Hub(), boot=boot)
        asyncio.run(services.read(record.adopt))
        if is_stopped:
            asyncio.run(services.read(require_stopped))
        yield services


def _require_no_server(record: Record) -> None:
    """A command that is refused must not have upgraded the database under the servers that run."""
    from bascule.services.replicas import require_stopped
    from bascule.store.long_work import reading
    from bascule.store.revisions import revision_of
    from bascule.store.transaction import SqlReader

    with reading(record.where, record.lineage) as connection:
        if revision_of(connection, record.name) is not None:
            require_stopped(SqlReader(connection))


@click.group()
def admin() -> None:
    """Maintain an installation on the machine where the server runs."""


admin.add_command(database)
admin.add_command(replica)
admin.add_command(install_server)
admin.add_command(recovery_key)
admin.add_command(backup)
admin.add_command(check)
admin.add_command(support_bundle)
admin.add_command(restore)
admin.add_command(restored)
admin.add_command(rotate_ca)


@admin.command(
    short_help="Make new administrator credentials.",
    epilog="Example:\n\n\b\n  bascule admin recover --data /var/lib/bascule",
)
@DATA
def recover(data: Path) -> None:
    """Make new administrator credentials. The server must be stopped.

    The new credentials are written to DATA/admin.json (0600), and the previous ones stop
    working. This is recorded.
    """
    from bascule.bootstrap.keys import keys_out_of
    from bascule.identity.tls import CertificateKeeper
    from bascule.services.fleet import hash_token
    from bascule.services.installation import recover_administrator

    def work(tx: Transaction, act: Act) -> None:
        installation = tx.installation()
        if installation is None:
            raise ConfigurationError(
                f"The first start of the server in {data} did not finish.",
                advice="Start it again with bascule serve, which creates the administrator.",
            )
        known = previous(data)
        client_id, secret = str(known.get("client_id") or uuid.uuid4()), AdminFile.new_secret()
        recover_administrator(tx, act, client_id, hash_token(secret))
        ca_file = CertificateKeeper(data, ()).ca_file
        file = AdminFile(data / ADMIN_FILE)
        file.write(installation, _endpoint(known), ca_file, client_id, secret)

    with services_of(data, is_stopped=True) as services:
        if Record(data).is_shared:  # another replica may have rotated the CA
            asyncio.run(services.read(lambda reader: keys_out_of(data, reader)))
        asyncio.run(services.perform(work))
    click.echo(f"New administrator credentials are in {data / ADMIN_FILE}.")
    click.echo(
        "Next: start the server (bascule serve), then "
        f"bascule login --admin-file {data.absolute() / ADMIN_FILE}"
    )


@admin.command(
    "rotate-signing-key",
    epilog="Examples:\n\n\b\n  bascule admin rotate-signing-key --data /var/lib/bascule\n"
    "  bascule admin rotate-signing-key --data /var/lib/bascule --now",
)
@DATA
@click.option("--now", is_flag=True, help="Immediately reject tokens signed by the previous key.")
def rotate_signing_key(data: Path, now: bool) -> None:
    """Make a new key for signing tokens. The server must be stopped, except with PostgreSQL.

    With PostgreSQL, all replicas use the new key within two seconds. Tokens signed by the
    previous key stay valid until they expire, at most an hour. If the key was stolen, use --now;
    then everybody must sign in again. This is recorded.
    """
    from bascule.identity.shared_keys import SharedKeys
    from bascule.identity.signing_keys import KeyIds, SigningKeys, new_key
    from bascule.services.tokens import rotate_shared_key
    from bascule.services.tokens import rotate_signing_key as rotate_key

    require_installation(data)
    if Record(data).is_shared:
        made = new_key()

        def put(tx: Transaction, act: Act) -> KeyIds:
            return SharedKeys(data).rotate(tx, made, act.now, forget=now)

        with services_of(data, is_stopped=False) as services:
            _, kid = asyncio.run(rotate_shared_key(services.perform, put, is_forgotten=now))
        click.echo(f"Tokens are now signed with the key {kid}, by each replica within two seconds.")
        return
    with services_of(data, is_stopped=True) as services:
        rotate = partial(SigningKeys(data).rotate, forget=now)
        _, kid = asyncio.run(rotate_key(services.perform, rotate, is_forgotten=now))
    click.echo(f"Tokens are now signed with the key {kid}.")
    click.echo("Next: start the server (bascule serve).")


@admin.command(
    "set-up-link",
    short_help="Make a new set-up link.",
    epilog="Example:\n\n\b\n  bascule admin set-up-link --data /var/lib/bascule",
)
@DATA
def set_up_link(data: Path) -> None:
    """Make a new set-up link. The server may be running.

    The link creates the first user, who becomes Owner. It works once, for 15 minutes, and only
    while no user is Owner. An earlier link stops working. Run this command as the server's own
    account. This is recorded.
    """
    from bascule.bootstrap.set_up_file import SetUpFile

    with services_of(data, is_stopped=False) as services:
        file, endpoint = SetUpFile(data), _endpoint(previous(data))
        made = asyncio.run(services.perform(lambda tx, act: file.make(tx, act, endpoint)))
    click.echo(made.url)
    click.echo(f"{made.terms} It is also in {file.path}.", err=True)


@admin.command(
    short_help="Delete events that the record's floor protects.",
    epilog="Example:\n\n\b\n  bascule admin prune --data /var/lib/bascule --before 2030-01-31",
)
@DATA
@click.option("--before", required=True, metavar="DURATION|TIME", help="30d, or 2030-01-31.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def prune(data: Path, before: str, yes: bool) -> None:
    """Delete events, even those that the record's floor protects. The server must be stopped.

    Neither the floor nor a sink that has not received an event prevents this. The deletion is
    recorded, sinks are told of the gap, and every agent that saw a younger part of the record
    reports it. Export first what you may need.
    """
    from bascule.cli.spans import parse_since
    from bascule.identity.record_key import RecordKey
    from bascule.services.retention import Pruned, prune_on_host
    from bascule.services.seal import seal_all

    async def work(services: Services, instant: datetime) -> Pruned:
        await seal_all(services, RecordKey(data))
        return await services.perform(lambda tx, act: prune_on_host(tx, act, instant))

    with services_of(data, is_stopped=True) as services:
        instant = parse_since(before, services.clock.now(), "--before")
        if not yes:
            click.confirm(
                f"This deletes all events from before {instant:%Y-%m-%d %H:%M} UTC, including those "
                f"that the record's floor protects. Agents will report the deletion. Continue?",
                abort=True,
                err=True,
            )
        done = asyncio.run(work(services, instant))
    click.echo(f"Deleted {done.fact.events} events, up to event {done.fact.through}.")
    click.echo("Next: start the server (bascule serve).")


@admin.command(
    "confirm-clock",
    short_help="Confirm that the clock is right after a jump.",
    epilog="Example:\n\n\b\n  bascule admin confirm-clock --data /var/lib/bascule",
)
@DATA
def confirm_clock(data: Path) -> None:
    """Confirm that this host's clock is right, or the database's on PostgreSQL.

    The server may be running.

    If the clock jumped by more than a day, or the server was off for that long, nothing is
    deleted from the record until you confirm. Run this command as the server's own account.
    This is recorded.
    """
    from bascule.services.retention import confirm_clock as confirm

    with services_of(data, is_stopped=False) as services:
        clock = services.clock
        was_in_doubt = asyncio.run(
            services.perform(lambda tx, act: confirm(tx, act, clock.boottime(), services.boot))
        )
    said = "is confirmed" if was_in_doubt else "was not in doubt"
    click.echo(f"The time {clock.now():%Y-%m-%d %H:%M:%S} UTC {said}.")


@admin.command(
    short_help="List the servers that use the database.",
    epilog="Example:\n\n\b\n  bascule admin replicas --data /var/lib/bascule",
)
@DATA
def replicas(data: Path) -> None:
    """List the servers that use the installation's database. They may be running.

    A server says every three seconds that it is there. One that was killed is listed for a day.
    On SQLite there is only one server, and none is listed.
    """
    with services_of(data, is_stopped=False) as services:
        found = asyncio.run(services.read(lambda reader: reader.replicas()))
    for each in found:
        seen = f"seen {each.silent_for.total_seconds():.0f} s ago"
        state = "running" if each.is_alive else "silent"
        said = (each.replica.host, each.replica.endpoint, each.replica.version, state, seen)
        click.echo("\t".join((*said, f"started {each.started_at:%Y-%m-%d %H:%M:%S} UTC")))
    if not found:
        click.echo("No server is registered in this database.", err=True)


@admin.command(
    "accept-database",
    short_help="Accept the database after a restore, or at a new address.",
    epilog="Examples:\n\n\b\n  bascule admin accept-database --data /var/lib/bascule\n"
    "  bascule admin accept-database --data /var/lib/bascule \\\n"
    "      --database 'postgresql://bascule@db-2.example/bascule'",
)
@DATA
@click.option(
    "--database",
    default=None,
    metavar="URL",
    help="Where the database is now. Default: where the server had it last.",
)
@database_options
def accept_database(
    data: Path,
    database: str | None,
    database_password_file: Path | None,
    allow_unverified_database: bool,
) -> None:
    """Accept the PostgreSQL database as it is now. The server may be running.

    A server refuses a database in another cluster, or on a lower timeline than it has seen,
    because what it acknowledged may be missing there. Run this on each server's host if the
    database is the right one. If it is in another cluster or has another address, start the
    server again. Agents that have seen more are shown as restored. This is recorded.
    """
    require_installation(data)
    check_own(data)
    settings = parse_database(
        database, database_password_file, may_be_unverified=allow_unverified_database
    )
    record = Record(data)
    if record.is_shared and settings is not None:
        record = Record(data, settings)
    found = record.accept()
    if found is None:
        click.echo("The record is in SQLite: there is nothing to accept.")
        return
    click.echo(f"Known:    {found[0]}.\nAccepted: {found[1]}.")
    try:
        _put_on_record(record)
    except BasculeError as error:
        click.echo(f"It will be recorded at the server's next start. {error.message}", err=True)


def _put_on_record(record: Record) -> None:
    from bascule.clocks import SystemClock
    from bascule.services.act import Services
    from bascule.services.hub import Hub

    store = record.open(is_server=False)
    try:
        services = Services(store, store.clock or SystemClock(), Hub())
        asyncio.run(services.perform(record.put_on_record))
    finally:
        store.close()
    record.note_recorded()


def _endpoint(known: dict[str, object]) -> str:
    return str(known.get("endpoint") or "https://localhost:8443")


def previous(data: Path) -> dict[str, object]:
    """What ``admin.json`` says; empty when it is not there, or damaged."""
    try:
        found = json.loads((data / ADMIN_FILE).read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
