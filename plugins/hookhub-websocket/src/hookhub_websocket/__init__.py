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
    from hookhub_websocket.settings import WebSocketSettings
    from hookhub_websocket.sink import WebSocketSink

    return [WebSocketSink(hub, hub.settings.plugins.read("websocket", WebSocketSettings))]
