"""``bascule version``: this tool's version, and whether its server answers."""

from __future__ import annotations

import platform

import click

from bascule import __version__
from bascule.cli.printing import emit_json, output_option, say
from bascule.cli.profile import load_profile
from bascule.errors import BasculeError


@click.command(epilog="\b\nExamples:\n  bascule version\n  bascule version -o json")
@output_option
def version(output: str) -> None:
    """Show the versions of this tool and of the server that you are signed in to."""
    try:
        endpoint = load_profile().endpoint
    except BasculeError:
        endpoint = ""  # not signed in is no error here
    if output == "json":
        emit_json(
            {
                "bascule": __version__,
                "python": platform.python_version(),
                "endpoint": endpoint or None,
            }
        )
        return
    say(f"bascule {__version__} (Python {platform.python_version()})")
    say(f"server  {endpoint or 'not signed in'}")
