"""``bascule admin restored``: the record was brought back by other means than ``admin restore`` (EDGES I6, I7, ADR 35).

PostgreSQL's own tools (pg_restore, recovery to a point in time), or files that were copied. What is in place is
changed as ``admin restore`` changes it, before any server uses it. No server may run.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.bootstrap.keys import keys_out_of
from bascule.bootstrap.options import DATA, database_options
from bascule.bootstrap.recovery_option import offered_recovery_key, recovery_key_option
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.domain.times import format_utc
from bascule.errors import ConfigurationError
from bascule.interfaces.record import EventFilter

if TYPE_CHECKING:
    from bascule.domain.restoration import Restoration
    from bascule.identity.recovery_key import RecoveryKey
    from bascule.interfaces.store import Reader, Transaction
    from bascule.services.act import Act, Services


@click.command(
    short_help="Say that the database was restored by its own tools.",
    epilog="Examples:\n\n\b\n  bascule admin restored --data /var/lib/bascule --reason 'disk failed'",
)
@DATA
@recovery_key_option
@click.option(
    "--without-recovery-key",
    is_flag=True,
    help="Do not sign. Every agent then reports that the record was changed.",
)
@click.option("--reason", default="", help="For the record, and for the hosts' owners.")
@click.option(
    "--database",
    default=None,
    metavar="URL",
    help="Where the database is now. Default: where the server had it last.",
)
@database_options
@output_option
def restored(
    data: Path,
    recovery_key_file: Path | None,
    without_recovery_key: bool,
    reason: str,
    database: str | None,
    database_password_file: Path | None,
    allow_unverified_database: bool,
    output: str,
) -> None:
    """Say that the database was restored with pg_restore, to a point in time, or by copying files.

    Run it after the restore and before any server starts, once, on one server's host. As after bascule
    admin restore, grants, sessions, tokens, enrolment tokens, recovery codes and whatever else works
    once are void, and agents know why the record is another one. Tokens are signed with a new key. If the
    database is in another cluster than before: first bascule admin accept-database. This is recorded.
    """
    from bascule.bootstrap.admin import services_of
    from bascule.config import parse_database

    settings = parse_database(
        database, database_password_file, may_be_unverified=allow_unverified_database
    )
    key = None if without_recovery_key else offered_recovery_key(recovery_key_file)
    with services_of(data, is_stopped=True, settings=settings) as services:
        done = settle(data, services, key, reason)
    if output == "json":
        emit_json(
            {
                "restoredAt": format_utc(done.at),
                "installationNumber": done.number,
                "isSigned": bool(done.signature),
                "oldHead": {"position": done.old.position, "hash": done.old.hash},
                "newHead": {"position": done.new.position, "hash": done.new.hash},
                "reason": done.reason,
            }
        )
        return
    how = "signed with the recovery key" if done.signature else "not signed"
    say(f"The restore is on record, {how}. Installation number: {done.number}.")
    if not done.signature:
        note("Agents will report that the record was changed; root decides on each host.")
    note("Next: start the server (bascule serve).")


def settle(data: Path, services: Services, key: RecoveryKey | None, reason: str) -> Restoration:
    """Raises ConfigurationError where the key is another one; then nothing was changed."""
    from bascule.bootstrap.database import Record
    from bascule.identity.record_key import RecordKey
    from bascule.identity.shared_keys import SharedKeys
    from bascule.identity.signing_keys import KeyIds, SigningKeys, new_key
    from bascule.services.recovery import Restoring, settle_restored
    from bascule.services.tokens import rotate_shared_key, rotate_signing_key

    known = asyncio.run(services.read(lambda reader: reader.recovery())).public_key
    if key is not None and key.public.text != known:
        raise ConfigurationError(
            "This is not the recovery key of this installation as it was restored. Nothing was changed.",
            advice="Give its own, or --without-recovery-key: then every agent reports that the record was "
            "changed, and root decides on each host.",
        )
    rotate: Callable[[], Awaitable[object]]
    if Record(data).is_shared:
        asyncio.run(services.read(lambda reader: keys_out_of(data, reader)))
        new = new_key()

        def put(tx: Transaction, act: Act) -> KeyIds:
            return SharedKeys(data).rotate(tx, new, act.now, forget=True)

        rotate = partial(rotate_shared_key, services.perform, put, is_forgotten=True)
    else:
        make = partial(SigningKeys(data).rotate, forget=True)
        rotate = partial(rotate_signing_key, services.perform, make, is_forgotten=True)
    restoring = Restoring(
        socket.gethostname(),
        asyncio.run(services.read(last_event_at)),
        reason,
        None if key is None else key.sign,
    )
    return asyncio.run(settle_restored(services, RecordKey(data), restoring, rotate))


def last_event_at(reader: Reader) -> datetime:
    """Of when the record is."""
    newest = reader.events(EventFilter(), limit=1)
    return newest[0][1].at if newest else datetime.fromtimestamp(0, UTC)
