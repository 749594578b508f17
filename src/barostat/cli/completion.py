"""`barostat completion SHELL`: the script that has a shell ask `completing` what may come next."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

__all__ = ["completion_command"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that has a shell complete words and VMs' names.

    In bash: source <(barostat completion bash)
    """
    kind = get_completion_class(shell)
    if kind is not None:
        complete = kind(completion_command, {}, "barostat", "_BAROSTAT_COMPLETE")
        # The base's way: bash's own would first start a bash to ask for its version.
        click.echo(ShellComplete.source(complete))
