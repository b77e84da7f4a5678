"""Signed webhooks as a durable sink: one HTTP POST for each event and webhook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hookhub.contracts.hookspecs import hookimpl
from hookhub.contracts.sinks import DurableSink

if TYPE_CHECKING:
    import click

    from hookhub.hub import Hub
    from hookhub_webhook.sink import WebhookSink

__all__ = ["WebhookSink"]


def __getattr__(name: str) -> Any:
    # PEP 562: 'hookhub --help' imports every plugin, and need not wait for what only a hub uses.
    if name in __all__:
        from hookhub_webhook import sink

        return getattr(sink, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[DurableSink]:
    from hookhub_webhook.sink import WebhookSink

    return [WebhookSink(hub)]


@hookimpl
def hookhub_commands(cli: click.Group) -> None:
    # Not at the top: a hub that serves needs none of it.
    from hookhub_webhook.commands import add_commands

    add_commands(cli)
