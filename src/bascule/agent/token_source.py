"""Where an enrolment token is read from: a file, the environment, or the terminal (EDGES I3).

Never the command line: while a command runs every account of the host can read that in /proc,
and shells and auditd keep it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.errors import ConfigurationError, InvalidInput

MAKE_ONE = "bascule machine enrol NAME prints one."
LONGEST = 4096  # characters
F = TypeVar("F", bound=Callable[..., Any])


def token_option(command: F) -> F:
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, readable=False),
        default=None,
        help="Read the one-time token of 'bascule machine enrol' from this file; '-' is stdin. "
        f"Default: {TOKEN_VARIABLE}, otherwise you are asked for it.",
    )(command)


def proxy_ca_option(command: F) -> F:
    return click.option(
        "--proxy-ca",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        default=None,
        metavar="FILE",
        help="CA of the certificate of the proxy through which this agent comes; with a token of "
        "'bascule machine enrol --through-proxy'. Default: the system's store.",
    )(command)


def offered_token(file: Path | None) -> str:
    """The token that the file or the environment offers; empty when neither is named.

    Raises ConfigurationError when the file cannot be read, InvalidInput when it is empty. The
    variable is taken out of the environment, so that no program that we start inherits it.
    """
    from_environment = os.environ.pop(TOKEN_VARIABLE, "").strip()
    if file is None:
        return from_environment
    try:
        text = (sys.stdin.read(LONGEST) if str(file) == "-" else _head(file)).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"The token cannot be read from {file}: {why}.",
            advice=f"Put it there, or omit --token-file to be asked for it. {MAKE_ONE}",
        ) from None
    if not text:
        raise InvalidInput(
            f"There is no token in {_name(file)}.", target="--token-file", advice=MAKE_ONE
        )
    return text


def ask_token() -> str:
    """Ask for it on the terminal, unseen; raises InvalidInput where there is none."""
    if not sys.stdin.isatty():
        raise InvalidInput(
            "The enrolment token is missing, and there is no terminal to ask on.",
            target="--token-file",
            advice=f"Give --token-file FILE, '-' for stdin, or set {TOKEN_VARIABLE}. {MAKE_ONE}",
        )
    answer: str = click.prompt("Enrolment token (not shown)", hide_input=True, err=True)
    return answer.strip()


def _head(file: Path) -> str:
    with file.open(encoding="ascii") as opened:
        return opened.read(LONGEST)


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else str(file)
