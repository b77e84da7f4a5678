"""``hookhub completion``: TAB in the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hookhub.cli.shared.output import say

VARIABLE = "_HOOKHUB_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and event types after TAB.

    \b
    Examples:
      echo 'eval "$(hookhub completion bash)"' >> ~/.bashrc
      echo 'eval "$(hookhub completion zsh)"' >> ~/.zshrc
      hookhub completion fish > ~/.config/fish/completions/hookhub.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    say(found(ctx.find_root().command, {}, "hookhub", VARIABLE).source())
