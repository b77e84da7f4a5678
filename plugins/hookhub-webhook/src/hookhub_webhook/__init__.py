"""Signed webhooks as a durable sink: one HTTP POST for each event and webhook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub.hookspecs import hookimpl
from hookhub.sinks import DurableSink
from hookhub_webhook.sink import WebhookSink

if TYPE_CHECKING:
    from hookhub.hub import Hub

__all__ = ["WebhookSink"]


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[DurableSink]:
    return [WebhookSink(hub)]
