"""The table ``[plugins.webhook]``; what holds for all durable sinks is in ``[delivery]``."""

from __future__ import annotations

from pydantic import Field

from hookhub.config import Table


class WebhookSettings(Table):
    """What ``[plugins.webhook]`` may hold."""

    # On because it costs little: some 35 µs a request of the size that events have.
    ed25519: bool = Field(
        True, description="whether every request is signed with the hub's own key (v1a) as well"
    )
