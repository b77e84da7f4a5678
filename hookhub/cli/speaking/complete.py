"""What the shell offers after TAB, besides commands and options."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from hookhub.contracts.errors import HookhubError


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
