"""The table ``[plugins.websocket]``; what all live feeds share is in ``[live]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from hookhub.config import Table
from hookhub.errors import ConfigError
from hookhub.events import field_errors


class WebSocketSettings(Table):
    """What ``[plugins.websocket]`` may hold."""

    write_timeout: float = Field(
        10.0, gt=0, description="seconds that one write to a client may take"
    )
    close_timeout: float = Field(
        5.0, gt=0, description="seconds that a client has to answer a close"
    )
    max_patterns: int = Field(100, ge=1, description="event type patterns of one connection")


def read_settings(table: Mapping[str, Any]) -> WebSocketSettings:
    """Check the plugin's table.

    Raises:
        ConfigError: names every wrong key and says what is allowed.
    """
    try:
        return WebSocketSettings.model_validate(table)
    except ValidationError as error:
        errors = field_errors(error, "plugins", "websocket")
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][2:]))}: {item['msg']}" for item in errors)
    allowed = "; ".join(
        f"{name} ({field.description})" for name, field in WebSocketSettings.model_fields.items()
    )
    raise ConfigError(f"[plugins.websocket] {wrong}. It may hold: {allowed}.", errors=errors)
