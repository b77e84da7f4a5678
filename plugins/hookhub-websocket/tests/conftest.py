"""The hub that the tests use: this plugin and two event types of the tests' own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

import hookhub_websocket
from hookhub import EventType, Payload, hookimpl
from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import Started
from hookhub.testing.serving import TOKEN, settings_for_tests
from hookhub_websocket.sink import WebSocketSink


class Sample(Payload):
    """Any payload with a number."""

    user_id: int


class SampleTypes:
    """A plugin that declares the event types of these tests."""

    @hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        for name in ("ticket.created", "user.created"):
            yield EventType(name, Sample, "Something happened.", {"user_id": 123})


@pytest.fixture
def hub_tables() -> dict[str, dict[str, Any]]:
    """Settings that differ, by table; parametrise this."""
    return {}


@pytest.fixture
def hub_settings(hub_database: str, hub_tables: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings of hubs under test, with ``hub_tables`` on top."""
    tables = settings_for_tests(hub_database)
    for name, values in hub_tables.items():
        tables[name] = {**tables.get(name, {}), **values}
    return Settings.model_validate(tables)


@pytest.fixture
def more_plugins() -> list[tuple[str, object]]:
    """Plugins that a module's tests need besides; override this."""
    return []


@pytest.fixture
def hub_plugins(hub_settings: Settings, more_plugins: list[tuple[str, object]]) -> Plugins:
    """This plugin, and nothing that is installed."""
    extra = [("websocket", hookhub_websocket), ("samples", SampleTypes()), *more_plugins]
    return Plugins.load(hub_settings.plugins, extra, installed=())


@pytest.fixture
def sink(hub: Hub) -> WebSocketSink:
    """The sink of the running hub."""
    found = hub.components.live_sinks["websocket"]
    assert isinstance(found, WebSocketSink)
    return found


class Client:
    """A WebSocket client that speaks JSON (trio-websocket's)."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws
        self.greeting: dict[str, Any] = {}

    async def text(self) -> str:
        with trio.fail_after(10):
            message = await self.ws.get_message()
        assert isinstance(message, str)
        return message

    async def receive(self) -> dict[str, Any]:
        value = json.loads(await self.text())
        assert isinstance(value, dict)
        return value

    async def send(self, **message: Any) -> None:
        await self.ws.send_message(json.dumps(message))

    async def ask(self, **message: Any) -> dict[str, Any]:
        await self.send(**message)
        return await self.receive()

    async def closing(self) -> tuple[int, str]:
        """The close code and reason; whatever messages come before are dropped."""
        with trio.fail_after(10):
            while await self._next() is not None:
                pass
        reason = self.ws.closed
        assert reason is not None
        return reason.code, reason.reason or ""

    async def _next(self) -> str | bytes | None:
        try:
            return await self.ws.get_message()
        except ConnectionClosed:
            return None


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def anonymous(hub_server: Started) -> Connect:
    """Connect with a query and headers: ``async with anonymous(token="…") as client``."""
    host, port = hub_server.addresses[0].removeprefix("http://").rsplit(":", 1)

    @asynccontextmanager
    async def connect(
        headers: Mapping[str, str] | None = None, **query: str
    ) -> AsyncIterator[Client]:
        target = f"/ws?{urlencode(query)}" if query else "/ws"
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            async with trio.open_nursery() as nursery:
                ws = await wrap_client_stream(nursery, stream, "hub", target, extra_headers=extra)
                yield Client(ws)
                await ws.aclose()
                nursery.cancel_scope.cancel()

    return connect


@pytest.fixture
def connect(anonymous: Connect) -> Connect:
    """Connect with an admin token; the greeting was read already."""

    @asynccontextmanager
    async def connect(**query: Any) -> AsyncIterator[Client]:
        async with anonymous(token=TOKEN, **query) as client:
            client.greeting = await client.receive()
            assert client.greeting["type"] == "connection"
            yield client

    return connect


class RawClient:
    """A client that can misbehave: raw bytes out, events of wsproto in."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.ws = WSConnection(ConnectionType.CLIENT)

    def upgrade(self, target: str = f"/ws?token={TOKEN}") -> bytes:
        """The upgrade request."""
        return self.ws.send(Request(host="hub", target=target))

    async def open(self, target: str = f"/ws?token={TOKEN}") -> None:
        """Upgrade, and read the answer."""
        await self.stream.send_all(self.upgrade(target))
        assert isinstance(await self.event(), AcceptConnection)

    def text(self, message: Mapping[str, Any]) -> bytes:
        """A message as bytes."""
        return self.ws.send(TextMessage(data=json.dumps(message)))

    async def event(self) -> Event:
        """The next event; a message of several parts comes in parts."""
        with trio.fail_after(10):
            while True:
                for event in self.ws.events():
                    return event
                data = await self.stream.receive_some(65536)
                assert data, "the connection was cut"
                self.ws.receive_data(bytes(data))

    async def message(self) -> dict[str, Any]:
        """The next whole text message."""
        text = ""
        while True:
            event = await self.event()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                value = json.loads(text)
                assert isinstance(value, dict)
                return value

    async def closing(self) -> tuple[int, str]:
        """The close code and reason; whatever comes before is dropped."""
        while True:
            event = await self.event()
            if isinstance(event, CloseConnection):
                return event.code, event.reason or ""


@pytest.fixture
async def raw(hub_server: Started) -> AsyncIterator[Callable[[], Any]]:
    """Open a TCP connection to the hub, not upgraded yet: ``client = await raw()``."""
    opened: list[RawClient] = []
    host, port = hub_server.addresses[0].removeprefix("http://").rsplit(":", 1)

    async def open_raw() -> RawClient:
        opened.append(RawClient(await trio.open_tcp_stream(host, int(port))))
        return opened[-1]

    yield open_raw
    for client in opened:
        await trio.aclose_forcefully(client.stream)


@pytest.fixture
def emit(hub: Hub) -> Callable[..., Any]:
    """Commit ``count`` events with increasing ``user_id``; returns the last sequence."""
    made = 0

    async def emit(count: int = 1, type: str = "user.created", **more: Any) -> int:
        nonlocal made
        drafts = [
            hub.draft(type, {"user_id": made + number, **more}) for number in range(1, count + 1)
        ]
        made += count
        return (await hub.accept(drafts))[-1].sequence

    return emit
