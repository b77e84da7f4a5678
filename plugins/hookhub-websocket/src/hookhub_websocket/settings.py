"""The table ``[plugins.websocket]``; what all live feeds share is in ``[live]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hookhub.config import Table


class WebSocketSettings(Table):
    """What ``[plugins.websocket]`` may hold."""

    write_timeout: float = Field(
        10.0, gt=0, description="seconds that one write to a client may take"
    )
    close_timeout: float = Field(
        5.0, gt=0, description="seconds that a client has to answer a close"
    )
    slow_timeout: float = Field(
        60.0,
        gt=0,
        description="seconds that a client which was sent away as slow has to read that it was",
    )
    slow: Literal["close", "gap"] = Field(
        "close",
        description="what becomes of a client that is more than [live] max_lag behind: 'close' "
        "sends it away with its cursor, 'gap' lets it skip what it missed",
    )
    control_rate: float = Field(
        5.0, gt=0, description="pings and other control frames a second that a client may send"
    )
    control_burst: int = Field(100, ge=1, description="control frames that it may send at once")
    compress_from: int = Field(
        0,
        ge=0,
        description="bytes from which on an event is compressed (permessage-deflate) for clients "
        "that can; 0: never",
    )
    max_patterns: int = Field(100, ge=1, description="event type patterns of one connection")
    max_conditions: int = Field(
        20, ge=0, description="different payload conditions (where) of one connection"
    )
    message_rate: float = Field(
        20.0, gt=0, description="messages a second that a client may send on average"
    )
    message_burst: int = Field(100, ge=1, description="messages that it may send at once")
    max_publishers: int = Field(
        1_000, ge=0, description="clients that may publish over a WebSocket at once"
    )
