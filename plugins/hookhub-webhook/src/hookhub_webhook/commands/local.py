"""What the hub would post, posted from this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from hookhub.config import EgressSettings, PluginsSettings, Settings
from hookhub.contracts.events import Event, canonical_json, parse_timestamp
from hookhub.contracts.sinks import Attempt, AttemptResult
from hookhub.egress import Egress
from hookhub_webhook.sink import WebhookSink

if TYPE_CHECKING:
    from hookhub.hub import Hub

WEBHOOK_ID = 0
"""No webhook of a hub has it: a receiver can tell."""


class LocalWebhook:
    """Makes the attempts that a webhook with this URL would get, through the sink itself.

    Args:
        url: where to post; any address may be called, it is the developer's own machine.
        secret: None to leave the signatures out.
        format: ``payload`` or ``envelope``.
        headers: sent with every request.
        timeout: seconds; None for the hub's default.

    Raises:
        ValidationFailed: the URL or a header is none.
    """

    def __init__(
        self,
        url: str,
        secret: str | None,
        format: str,
        headers: dict[str, str],
        timeout: float | None,
    ) -> None:
        settings = Settings(
            egress=EgressSettings(allow=["0.0.0.0/0", "::/0"]),
            plugins=PluginsSettings.model_validate({"webhook": {"ed25519": False}}),
        )
        self._egress = Egress(settings.egress, connect_timeout=settings.delivery.connect_timeout)
        # All that the sink takes of a hub for an attempt; keys are the hub's and stay there.
        hub = SimpleNamespace(settings=settings, egress=self._egress)
        self._sink = WebhookSink(cast("Hub", hub))
        config = {"url": url, "format": format, "headers": headers, "timeout": timeout}
        self._config = self._sink.validate(config)
        self._secrets = () if secret is None else (secret,)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Closes the connections at the end of the block."""
        try:
            yield
        finally:
            await self._egress.aclose()

    async def post(self, item: dict[str, Any]) -> AttemptResult:
        """Post one event as the live feed brought it."""
        sequence, timestamp = item["sequence"], parse_timestamp(item["timestamp"])
        # The same text as the hub's: it was read from that, and is written by the same function.
        payload = canonical_json(item["payload"])
        event = Event(sequence, item["id"], item["type"], payload, timestamp)
        attempt = Attempt(
            delivery_id=sequence,
            endpoint_id=WEBHOOK_ID,
            number=1,
            event=event,
            config=self._config,
            secrets=self._secrets,
            timestamp=int(time.time()),
        )
        return await self._sink.attempt(attempt)
