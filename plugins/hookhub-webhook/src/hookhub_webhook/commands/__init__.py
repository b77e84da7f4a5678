"""``hookhub webhook …``, ``hookhub listen`` and ``hookhub verify``: this plugin's commands."""

from __future__ import annotations

import click

from hookhub_webhook.commands.actions import ACTIONS
from hookhub_webhook.commands.deliveries import DELIVERIES
from hookhub_webhook.commands.importing import import_
from hookhub_webhook.commands.listen import listen
from hookhub_webhook.commands.verifying import verify
from hookhub_webhook.commands.webhook import webhook

__all__ = ["add_commands"]


def add_commands(cli: click.Group) -> None:
    """Put them below ``hookhub``."""
    for command in (*ACTIONS, *DELIVERIES, import_):
        webhook.add_command(command)
    for command in (webhook, listen, verify):
        cli.add_command(command)
