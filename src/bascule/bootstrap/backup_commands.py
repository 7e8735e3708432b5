"""``bascule admin recovery-key``, ``backup`` and ``restore`` (EDGES I6, I7)."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.bootstrap.options import DATA, database_options
from bascule.bootstrap.recovery_option import offered_recovery_key, recovery_key_option
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from bascule.identity.recovery_key import RecoveryKey
    from bascule.interfaces.store import Transaction
    from bascule.services.act import Act

KEEP = (
    "Write it down and keep it away from this server: it opens backups, and tells agents that a "
    "restore is yours. It is printed once and not kept here."
)


@click.command(
    "recovery-key",
    short_help="Make the installation's recovery key.",
    epilog="Examples:\n\n\b\n  bascule admin recovery-key --data /var/lib/bascule\n"
    "  bascule admin recovery-key --data /var/lib/bascule --check",
)
@DATA
@click.option("--check", is_flag=True, help="Say whether a key that you have is the right one.")
@click.option("--replace", is_flag=True, help="Make another one although there is one.")
@recovery_key_option
@output_option
def recovery_key(
    data: Path, check: bool, replace: bool, recovery_key_file: Path | None, output: str
) -> None:
    """Make the recovery key of an installation, and print it once. The server may be running.

    Backups are sealed to it, and a restore is signed with it, so that agents know why the record is
    another one. Only its public half is kept. After --replace, earlier backups still need the
    earlier key, and agents that know it keep to it until root on their host removes
    STATE/witness.json. Run this command as the server's own account. This is recorded.
    """
    from bascule.bootstrap.admin import services_of

    if check and replace:
        raise InvalidInput("--check and --replace cannot be used together.", target="--check")
    with services_of(data, is_stopped=False) as services:
        if check:
            known = asyncio.run(services.read(lambda reader: reader.recovery())).public_key
            _check(known, recovery_key_file, output)
            return
        made = asyncio.run(
            services.perform(lambda tx, act: make_recovery_key(tx, act, may_replace=replace))
        )
    public = made.public
    if output == "json":
        emit_json({"recoveryKey": made.text, "fingerprint": public.fingerprint})
    else:
        say(made.text)
    note(f"Fingerprint: {public.fingerprint}. {KEEP}")


def make_recovery_key(tx: Transaction, act: Act, *, may_replace: bool = False) -> RecoveryKey:
    """A new one, in the act that makes it the installation's; raises Conflict."""
    from bascule.identity.recovery_key import new_recovery_key
    from bascule.services.recovery import keep_recovery_key

    made = new_recovery_key()
    public = made.public
    keep_recovery_key(tx, act, public.text, public.fingerprint, may_replace=may_replace)
    return made


def _check(known: str, file: Path | None, output: str) -> None:
    from bascule.identity.recovery_key import parse_public_recovery_key

    if not known:
        raise ConfigurationError(
            "This installation has no recovery key.",
            advice="Make one: bascule admin recovery-key --data DATA",
        )
    public = parse_public_recovery_key(known)
    if offered_recovery_key(file).public != public:
        raise ConfigurationError(
            f"This is another key. The installation's has the fingerprint {public.fingerprint}.",
            advice="Look for the right one. If it is lost: --replace, and make a new backup.",
        )
    if output == "json":
        emit_json({"isRight": True, "fingerprint": public.fingerprint})
    else:
        say(f"This is the installation's recovery key, {public.fingerprint}.")


@click.command(
    short_help="Make a backup.",
    epilog="Examples:\n\n\b\n  bascule admin backup /var/backups/bascule/monday --data /var/lib/bascule\n"
    "  bascule admin backup backup.tar --data /var/lib/bascule --plain",
)
@click.argument("file", type=click.Path(path_type=Path))
@DATA
@click.option("--plain", is_flag=True, help="Do not seal it: whoever has the file has all keys.")
@click.option("--overwrite", is_flag=True, help="Replace FILE once the new backup is whole.")
@click.option(
    "--include",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A further file of the configuration; repeatable.",
)
@output_option
def backup(
    file: Path, data: Path, plain: bool, overwrite: bool, include: tuple[Path, ...], output: str
) -> None:
    """Make a backup of the database, the keys and the configuration. The server may be running.

    It is one file, readable by its owner alone, sealed to the recovery key, and read back before it
    takes its name. The database is copied into DATA first, which needs as much free space there as
    the database has. Run this command as the server's own account, on the server's host. This is
    recorded.
    """
    from bascule.bootstrap.backup import back_up

    made = back_up(
        data,
        file,
        is_plain=plain,
        may_overwrite=overwrite,
        configuration=include,
        is_silent=output == "json",
    )
    if output == "json":
        emit_json(made.as_json())
        return
    sealed = f"sealed to the recovery key {made.sealed_to}" if made.sealed_to else "not sealed"
    say(f"Made {made.file}: {made.bytes} bytes, {sealed}, read back.")
    say(f"SHA-256: {made.sha256}")
    for each in made.left_out:
        note(f"{each} is not in it: only another account may read it. Keep a copy elsewhere.")
    note("Copy it to another host. To bring it back: bascule admin restore FILE --data DIR")
    if not made.sealed_to:
        note("Whoever has this file has every key of the installation.")


@click.command(
    short_help="Bring an installation back from a backup.",
    epilog="Examples:\n\n\b\n  bascule admin restore monday --data /var/lib/bascule\n"
    "  bascule admin restore monday --data DIR --reason 'disk failed'",
)
@click.argument("file", type=click.Path(path_type=Path))
@DATA
@recovery_key_option
@click.option(
    "--without-recovery-key",
    is_flag=True,
    help="Of a plain backup: do not sign. Every agent then reports that the record was changed.",
)
@click.option("--reason", default="", help="For the record, and for the hosts' owners.")
@click.option(
    "--database",
    default=None,
    metavar="URL",
    help="An empty database of PostgreSQL. Default: SQLite in DATA.",
)
@database_options
@output_option
def restore(
    file: Path,
    data: Path,
    recovery_key_file: Path | None,
    without_recovery_key: bool,
    reason: str,
    database: str | None,
    database_password_file: Path | None,
    allow_unverified_database: bool,
    output: str,
) -> None:
    """Bring an installation back, into an empty folder. Stop the server that it replaces.

    Grants, sessions, tokens, enrolment tokens, recovery codes and whatever else works once are void:
    people sign in and request access again. Agents' keys and passwords stay. Signed with the
    recovery key, agents know why the record is another one. The server that had the installation
    before opens nothing any more. Run this command as the server's own account. This is recorded.
    """
    from bascule.bootstrap.restoring import restore as bring_back
    from bascule.config import parse_database

    def ask() -> RecoveryKey | None:
        return None if without_recovery_key else offered_recovery_key(recovery_key_file)

    settings = parse_database(
        database, database_password_file, may_be_unverified=allow_unverified_database
    )
    done = bring_back(file, data, ask, settings, reason, is_silent=output == "json")
    if output == "json":
        emit_json(done.as_json())
        return
    how = "signed with the recovery key" if done.restoration.signature else "not signed"
    say(f"Restored the backup of {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC into {done.data}.")
    say(f"The restore is on record, {how}. Installation number: {done.restoration.number}.")
    if not done.restoration.signature:
        note("Agents will report that the record was changed; root decides on each host.")
    if (done.data / "configuration").exists():
        note(f"The configuration is in {done.data / 'configuration'}: compare it with this host's.")
    options = "" if settings is None else f" --database {shlex.quote(settings.url)}"
    note(f"Next: bascule serve --data {shlex.quote(str(done.data))}{options}")
