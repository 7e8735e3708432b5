"""Where a recovery key is read from: a file, the environment, or the terminal (EDGES I3).

Never the command line: every account of the host can read that in /proc while a command runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from bascule.identity.recovery_key import RecoveryKey

VARIABLE = "BASCULE_RECOVERY_KEY"
LONGEST = 4096  # characters

recovery_key_option = click.option(
    "--recovery-key-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, readable=False),
    default=None,
    metavar="FILE",
    help=f"Read the recovery key from this file; '-' is stdin. Default: {VARIABLE}, otherwise you are "
    "asked for it.",
)


def offered_recovery_key(file: Path | None) -> RecoveryKey:
    """Raises ConfigurationError where it cannot be read, InvalidInput where it is none. The variable
    is taken out of the environment, so that no program that we start inherits it.
    """
    from bascule.identity.recovery_key import parse_recovery_key

    given = os.environ.pop(VARIABLE, "")
    if file is not None:
        return parse_recovery_key(_read(file))
    if given.strip():
        return parse_recovery_key(given)
    if not sys.stdin.isatty():
        raise InvalidInput(
            "The recovery key is missing, and there is no terminal to ask on.",
            target="--recovery-key-file",
            advice=f"Give --recovery-key-file FILE, '-' for stdin, or set {VARIABLE}.",
        )
    while True:
        answer: str = click.prompt("Recovery key (not shown)", hide_input=True, err=True)
        try:
            return parse_recovery_key(answer)
        except InvalidInput as error:
            click.echo(error.message, err=True)


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            return sys.stdin.read(LONGEST)
        with file.open(encoding="utf-8") as opened:
            return opened.read(LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"The recovery key cannot be read from {file}: {why}.",
            advice="Put it there, or omit --recovery-key-file to be asked for it.",
        ) from None
