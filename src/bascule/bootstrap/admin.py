"""``bascule admin``: credentials (EDGES A26), signing keys, a first link (C0); on record."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from pathlib import Path

import click

from bascule.bootstrap.data_directory import (
    ADMIN_FILE,
    DATABASE,
    AdminFile,
    check_own,
    open_data_directory,
    require_installation,
)
from bascule.errors import ConfigurationError
from bascule.interfaces.store import Transaction


@click.group()
def admin() -> None:
    """Care for an installation from the machine that it runs on."""


@admin.command(
    short_help="Make new administrator credentials.",
    epilog="Example:\n\n\b\n  bascule admin recover --data /var/lib/bascule",
)
@click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)
def recover(data: Path) -> None:
    """Make new administrator credentials; the server must be stopped.

    The new ones are written to DIR/admin.json (0600); those that it held before stop
    working, and the act is on record.
    """
    from bascule.clocks import SystemClock
    from bascule.identity.tls import CertificateKeeper
    from bascule.services.act import Act, Services
    from bascule.services.fleet import hash_token
    from bascule.services.hub import Hub
    from bascule.services.installation import recover_administrator
    from bascule.store.open import open_store

    require_installation(data)
    lock = open_data_directory(data)
    previous = _previous(data / ADMIN_FILE)
    store = open_store(data / DATABASE)
    services = Services(store, SystemClock(), Hub())
    client_id = str(previous.get("client_id") or uuid.uuid4())
    secret = AdminFile.new_secret()
    ca_file = CertificateKeeper(data, ()).ca_file

    def work(tx: Transaction, act: Act) -> None:
        installation = tx.installation()
        if installation is None:
            raise ConfigurationError(
                f"The first start of the server in {data} has not come to its end.",
                advice="Start it again: bascule serve. It makes the administrator.",
            )
        recover_administrator(tx, act, client_id, hash_token(secret))
        endpoint = _endpoint(previous)
        AdminFile(data / ADMIN_FILE).write(installation, endpoint, ca_file, client_id, secret)

    asyncio.run(services.perform(work))
    store.close()
    del lock
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
@click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)
@click.option("--now", is_flag=True, help="Refuse at once what the key of before has signed.")
def rotate_signing_key(data: Path, now: bool) -> None:
    """Sign tokens with a new key; the server must be stopped.

    What the key of before has signed stays good until it ends, an hour at most. After a
    theft of the key say --now: everybody signs in again. The act is on record.
    """
    from bascule.clocks import SystemClock
    from bascule.identity.signing_keys import SigningKeys
    from bascule.services.act import Services
    from bascule.services.hub import Hub
    from bascule.services.tokens import rotate_signing_key as rotate_key
    from bascule.store.open import open_store

    require_installation(data)
    lock = open_data_directory(data)
    rotate = partial(SigningKeys(data).rotate, forget=now)
    store = open_store(data / DATABASE)
    services = Services(store, SystemClock(), Hub())
    _, kid = asyncio.run(rotate_key(services.perform, rotate, is_forgotten=now))
    store.close()
    del lock
    click.echo(f"Tokens are signed with the key {kid} from now on.")
    click.echo("Next: start the server (bascule serve).")


@admin.command(
    "set-up-link",
    short_help="Make a new link for the first visit.",
    epilog="Example:\n\n\b\n  bascule admin set-up-link --data /var/lib/bascule",
)
@click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)
def set_up_link(data: Path) -> None:
    """Make a new link for the first visit; the server may be running.

    Whoever opens it makes the first user, who is Owner. It works once and for 15 minutes, and
    only while no user is Owner; one that was made before stops working. To be called as the
    account that the server runs as. The act is on record.
    """
    from bascule.bootstrap.set_up_file import MadeLink, SetUpFile
    from bascule.clocks import SystemClock
    from bascule.services.act import Act, Services
    from bascule.services.hub import Hub
    from bascule.store.open import open_store

    require_installation(data)
    check_own(data)
    endpoint = _endpoint(_previous(data / ADMIN_FILE))
    file = SetUpFile(data)
    store = open_store(data / DATABASE, may_upgrade=False)
    try:

        def work(tx: Transaction, act: Act) -> MadeLink:
            return file.make(tx, act, endpoint)

        made = asyncio.run(Services(store, SystemClock(), Hub()).perform(work))
    finally:
        store.close()
    click.echo(made.url)
    click.echo(f"{made.terms} It is in {file.path} too.", err=True)


@admin.command(
    short_help="Delete from the record what the floor keeps.",
    epilog="Example:\n\n\b\n  bascule admin prune --data /var/lib/bascule --before 2030-01-31",
)
@click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)
@click.option("--before", required=True, metavar="DURATION|TIME", help="30d, or 2030-01-31.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(data: Path, before: str, yes: bool) -> None:
    """Delete from the record what the floor keeps; the server must be stopped.

    Neither the floor nor a sink that has not taken an event holds it back. The act is on
    record, sinks are told of the gap, and every agent that saw a younger part of the record
    reports the deletion. Export first what you may need.
    """
    from bascule.cli.spans import parse_since
    from bascule.clocks import SystemClock
    from bascule.identity.record_key import RecordKey
    from bascule.services.act import Services
    from bascule.services.hub import Hub
    from bascule.services.retention import Pruned, prune_on_host
    from bascule.services.seal import seal_all
    from bascule.store.open import open_store

    require_installation(data)
    instant = parse_since(before, SystemClock().now(), "--before")
    if not yes:
        click.confirm(
            f"This deletes what is on record from before {instant:%Y-%m-%d %H:%M} UTC, also what "
            "the record's floor keeps; agents will report it. Go on?",
            abort=True,
            err=True,
        )
    lock = open_data_directory(data)
    store = open_store(data / DATABASE)
    services = Services(store, SystemClock(), Hub())

    async def work() -> Pruned:
        await seal_all(services, RecordKey(data))
        return await services.perform(lambda tx, act: prune_on_host(tx, act, instant))

    try:
        done = asyncio.run(work())
    finally:
        store.close()
    del lock
    click.echo(f"Deleted {done.fact.events} events, up to event {done.fact.through}.")
    click.echo("Next: start the server (bascule serve).")


@admin.command(
    "confirm-clock",
    short_help="Confirm the time after the clock leapt.",
    epilog="Example:\n\n\b\n  bascule admin confirm-clock --data /var/lib/bascule",
)
@click.option(
    "--data", type=click.Path(path_type=Path, readable=False), required=True, help="Data directory."
)
def confirm_clock(data: Path) -> None:
    """Confirm that this host's clock is right; the server may be running.

    After the clock leapt by more than a day, or the server was off for so long, nothing is
    deleted from the record until then. To be called as the account that the server runs as.
    The act is on record.
    """
    from bascule.clocks import SystemClock
    from bascule.services.act import Services
    from bascule.services.hub import Hub
    from bascule.services.retention import confirm_clock as confirm
    from bascule.store.open import open_store

    require_installation(data)
    check_own(data)
    clock = SystemClock()
    store = open_store(data / DATABASE, may_upgrade=False)
    try:
        services = Services(store, clock, Hub())
        was_in_doubt = asyncio.run(
            services.perform(lambda tx, act: confirm(tx, act, clock.boottime()))
        )
    finally:
        store.close()
    said = "is confirmed" if was_in_doubt else "was not in doubt"
    click.echo(f"The time {clock.now():%Y-%m-%d %H:%M:%S} UTC {said}.")


def _endpoint(previous: dict[str, object]) -> str:
    return str(previous.get("endpoint") or "https://localhost:8443")


def _previous(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text())
        return data if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}
