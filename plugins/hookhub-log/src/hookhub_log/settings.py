"""The table ``[plugins.log]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from hookhub.config import Table
from hookhub.contracts.events import check_pattern


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
