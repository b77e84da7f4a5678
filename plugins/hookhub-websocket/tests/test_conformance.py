"""The sink keeps the contract that the hub leans on."""

from __future__ import annotations

import pytest

from hookhub.contracts.sinks import LiveSink
from hookhub.hub import Hub
from hookhub.testing.conformance import LiveSinkConformance
from hookhub_websocket.settings import WebSocketSettings
from hookhub_websocket.sink import WebSocketSink


class TestWebSocketSink(LiveSinkConformance):
    @pytest.fixture
    async def sink(self, hub: Hub) -> LiveSink:
        return WebSocketSink(hub, WebSocketSettings())
