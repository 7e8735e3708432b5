"""``bascule admin install-server``: what a server that came by pip or from a clone needs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import click

from bascule.agent.install import check_program, is_systemd_running, program, systemctl
from bascule.bootstrap import server_unit
from bascule.bootstrap.server_unit import (
    ACCOUNT,
    ACCOUNT_LINE,
    DATA,
    OPTIONS,
    OPTIONS_FILE,
    UNIT_NAME,
    is_unedited,
    marked,
    unit_text,
)
from bascule.errors import ConfigurationError, Conflict

SYSUSERS = "systemd-sysusers"
PACKAGED_UNIT = Path("/usr/lib/systemd/system") / UNIT_NAME


@click.command(
    "install-server",
    short_help="Write account, options file and unit of a server's service.",
    epilog="Example:\n\n\b\n  bascule admin install-server\n"
    "  editor /etc/default/bascule-server\n  systemctl enable --now bascule",
)
@click.option(
    "--unit-folder",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=Path("/etc/systemd/system"),
    show_default=True,
    help="Directory for the service's unit.",
)
def install_server(unit_folder: Path) -> None:
    """Write what the server needs to run as a service: for those who did not install the package.

    Makes the account bascule, its directory /var/lib/bascule, /etc/default/bascule-server for the server's options,
    and the unit. Starts nothing. What is there already stays. A unit that somebody edited is not
    overwritten.
    """
    if PACKAGED_UNIT.exists():
        click.echo(f"The package bascule-server brought {PACKAGED_UNIT}. Nothing was changed.")
        return
    if os.geteuid() != 0:
        raise ConfigurationError(
            "Only root can install the server. Nothing was changed.", advice="Run this as root."
        )
    words = _program()
    unit, text = unit_folder / UNIT_NAME, marked(unit_text(words))
    before = _present(unit)
    _make_account()
    check_program(words, server_unit.VIEW, ("serve", "--help"))
    _make_directory(Path(DATA))
    _keep(Path(OPTIONS_FILE), OPTIONS)
    if before == text:
        click.echo(f"{unit} is as it should be.")
    else:
        _write(unit, text, 0o644)
        click.echo(f"Wrote {unit}.")
    if is_systemd_running():
        systemctl("daemon-reload")
    click.echo(
        f"Next: put the server's options into {OPTIONS_FILE}, then: systemctl enable --now bascule"
    )


def _program() -> tuple[str, ...]:
    """Raise ConfigurationError where a unit cannot name it."""
    words = program()
    if any(not word.isprintable() or set(word) & set(" \"'\\%$") for word in words):
        raise ConfigurationError(
            f"A unit cannot name the program {words[0]!r}. Nothing was changed.",
            advice="Install Bascule in a folder whose path has only letters, digits and / . _ -, for "
            "example /opt/bascule.",
        )
    return words


def _present(unit: Path) -> str:
    """The unit's text, empty when there is none. Raise Conflict when it is not as we wrote it."""
    try:
        text = unit.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{unit} cannot be read: {error}. Nothing was changed.") from None
    if not is_unedited(text):
        raise Conflict(
            f"{unit} was written or edited by somebody else. Nothing was changed.",
            code="UnitEdited",
            advice=f"To keep your lines: systemctl edit {UNIT_NAME} puts them into a file of their own. Then "
            f"move {unit} away, and run this again.",
        )
    return text


def _make_account() -> None:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    else:
        click.echo(f"The account {ACCOUNT} is there.")
        return
    command = shutil.which(SYSUSERS)
    if command is None:
        raise ConfigurationError(
            f"There is no {SYSUSERS} here to make the account {ACCOUNT}.",
            advice=f"Make it, then run this again: useradd --system --home-dir {DATA} --shell "
            f"/usr/sbin/nologin {ACCOUNT}",
        )
    done = subprocess.run(  # noqa: S603  # reason: fixed words, no shell
        [command, "--inline", ACCOUNT_LINE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigurationError(
            f"The account {ACCOUNT} cannot be made: {done.stderr.strip() or done.returncode}."
        )
    click.echo(f"Made the account {ACCOUNT}.")


def _make_directory(path: Path) -> None:
    if path.exists():
        click.echo(f"{path} is there.")
        return
    account = pwd.getpwnam(ACCOUNT)
    try:
        path.mkdir(mode=0o700, parents=True)
        os.chown(path, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}.") from None
    click.echo(f"Made {path}.")


def _keep(path: Path, text: str) -> None:
    """Write it unless it is there: it is the administrator's."""
    if path.exists():
        click.echo(f"{path} is there, and is kept.")
        return
    _write(path, text, 0o600)  # somebody may write a secret there
    click.echo(f"Wrote {path}.")


def _write(path: Path, text: str, mode: int) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
            opened.write(text)
        new.chmod(mode)
        new.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
