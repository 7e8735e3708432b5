"""``python -m bascule.lab``: the lab's commands alone, without the rest of the command line."""

from __future__ import annotations

import sys

import click

from bascule.errors import BasculeError
from bascule.lab.commands import lab


def main() -> None:
    try:
        lab.main(prog_name="python -m bascule.lab")
    except BasculeError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.advice:
            click.echo(error.advice, err=True)
        sys.exit(error.exit_code)


main()
