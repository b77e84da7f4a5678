"""The table ``[plugins.webhook]``; what holds for all durable sinks is in ``[delivery]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from hookhub.config import Table
from hookhub.contracts.errors import ConfigError
from hookhub.contracts.events import field_errors


class WebhookSettings(Table):
    """What ``[plugins.webhook]`` may hold."""

    # On because it costs little: some 35 µs a request of the size that events have.
    ed25519: bool = Field(
        True, description="whether every request is signed with the hub's own key (v1a) as well"
    )


def read_settings(table: Mapping[str, Any]) -> WebhookSettings:
    """Check the plugin's table.

    Raises:
        ConfigError: names every wrong key and says what is allowed.
    """
    try:
        return WebhookSettings.model_validate(table)
    except ValidationError as error:
        errors = field_errors(error, "plugins", "webhook")
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][2:]))}: {item['msg']}" for item in errors)
    allowed = "; ".join(
        f"{name} ({field.description})" for name, field in WebhookSettings.model_fields.items()
    )
    raise ConfigError(f"[plugins.webhook] {wrong}. It may hold: {allowed}.", errors=errors)
