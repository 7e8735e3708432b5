"""``bascule completion``: what a shell needs to complete commands, options and machines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bascule.errors import InvalidInput


@click.command(
    epilog="""\b
Examples:
  bascule completion bash > ~/.local/share/bash-completion/completions/bascule
  bascule completion zsh > ~/.zfunc/_bascule      (with ~/.zfunc in fpath)
  bascule completion fish > ~/.config/fish/completions/bascule.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL. Save it where the shell looks for such scripts."""
    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidInput(f"There is no completion for {shell}.")
    click.echo(kind(ctx.find_root().command, {}, "bascule", "_BASCULE_COMPLETE").source())
