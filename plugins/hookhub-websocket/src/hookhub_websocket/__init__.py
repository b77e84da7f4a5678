"""A hookhub live sink that brings the WebSocket feed at ``/ws``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import LiveSink, hookimpl

if TYPE_CHECKING:
    from hookhub.hub import Hub


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[LiveSink]:
    # Not at the top: 'hookhub --help' asks every plugin for commands, and need not wait for these.
    from hookhub_websocket.settings import read_settings
    from hookhub_websocket.sink import WebSocketSink

    return [WebSocketSink(hub, read_settings(hub.plugin_settings("websocket")))]
