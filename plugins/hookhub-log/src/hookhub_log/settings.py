"""The table ``[plugins.log]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from hookhub.config import Table
from hookhub.contracts.errors import ConfigError
from hookhub.contracts.events import check_pattern, field_errors


class LogSinkSettings(Table):
    """What ``[plugins.log]`` may hold."""

    file: str | None = Field(
        default=None,
        min_length=1,
        description="a path; without it, lines go to the standard output",
    )
    events: list[Annotated[str, AfterValidator(check_pattern)]] = Field(
        default=["*"], min_length=1, description="event type patterns, such as ['user.*']"
    )


def read_settings(table: Mapping[str, Any]) -> LogSinkSettings:
    """Check the plugin's table.

    Raises:
        ConfigError: names every wrong key and says what is allowed.
    """
    try:
        return LogSinkSettings.model_validate(table)
    except ValidationError as error:
        errors = field_errors(error, "plugins", "log")
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][2:]))}: {item['msg']}" for item in errors)
    allowed = "; ".join(
        f"{name} ({field.description})" for name, field in LogSinkSettings.model_fields.items()
    )
    raise ConfigError(f"[plugins.log] {wrong}. It may hold: {allowed}.", errors=errors)
