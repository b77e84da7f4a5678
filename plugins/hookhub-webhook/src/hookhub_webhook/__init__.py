"""Signed webhooks as a durable sink: one HTTP POST for each event and webhook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub.contracts.hookspecs import hookimpl
from hookhub.contracts.lazy import lazy
from hookhub.contracts.sinks import DurableSink

if TYPE_CHECKING:
    import click

    from hookhub.hub import Hub
    from hookhub_webhook.sink import WebhookSink

__all__ = ["WebhookSink"]

__getattr__ = lazy(__name__, __all__, "sink")


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[DurableSink]:
    from hookhub_webhook.sink import WebhookSink

    return [WebhookSink(hub)]


@hookimpl
def hookhub_commands(cli: click.Group) -> None:
    # Not at the top: a hub that serves needs none of it.
    from hookhub_webhook.commands import add_commands

    add_commands(cli)
