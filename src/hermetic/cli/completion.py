"""``hermetic completion``: a completion script for the user's shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for your shell.

    \b
    Examples:
      hermetic completion bash >> ~/.bashrc
      hermetic completion zsh  >> ~/.zshrc
      hermetic completion fish > ~/.config/fish/completions/hermetic.fish
    """
    from hermetic.cli import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"no completion for {shell}")
    click.echo(found(cli, {}, "hermetic", "_HERMETIC_COMPLETE").source())
