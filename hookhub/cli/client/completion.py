"""``hookhub completion``: TAB in the shell."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, get_completion_class

from hookhub.cli.shared.output import say
from hookhub.contracts.errors import HookhubError

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


def complete_event_type(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The types that the installed plugins declare: no hub is asked, TAB must be quick."""
    from hookhub.cli.shared.options import without_required
    from hookhub.config import load_settings
    from hookhub.plugins import Plugins, load_event_types

    try:
        settings = load_settings(None, os.environ)
        registry = load_event_types(Plugins.load(without_required(settings.plugins)))
    except HookhubError:
        return []
    return [
        CompletionItem(item.name, help=item.description)
        for item in registry
        if item.name.startswith(incomplete)
    ]
