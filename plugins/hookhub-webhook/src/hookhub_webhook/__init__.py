"""Signed webhooks as a durable sink: one HTTP POST for each event and webhook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub.hookspecs import hookimpl
from hookhub.sinks import DurableSink
from hookhub_webhook.sink import WebhookSink

if TYPE_CHECKING:
    import click

    from hookhub.hub import Hub

__all__ = ["WebhookSink"]


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[DurableSink]:
    return [WebhookSink(hub)]


@hookimpl
def hookhub_commands(cli: click.Group) -> None:
    # Not at the top: a hub that serves needs none of it.
    from hookhub_webhook.commands import add_commands

    add_commands(cli)
