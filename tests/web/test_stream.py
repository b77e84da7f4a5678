"""``GET /events/stream``: the feed as Server-Sent Events, without a seam and never for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import h11
import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.events import Cursor
from hookhub.hub import Hub
from hookhub.routes import Principal, Request
from hookhub.testing.serving import TOKEN, settings_for_tests
from hookhub.web.resources.stream import EventStream, StreamQuery

USER = {"user_id": 1}
TICKET = {"ticket_id": 1}


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that takes three live connections, two with one token."""
    tables = settings_for_tests(hub_database)
    tables["live"] = {"max_connections": 3, "max_connections_per_token": 2}
    return Settings.model_validate(tables)


class Sent(NamedTuple):
    """One Server-Sent Event."""

    id: str
    event: str
    data: Any


class Reader:
    """Reads Server-Sent Events one by one (WHATWG HTML §9.2.6, as far as it is needed here).

    Not httpx: it leaves generators behind when a stream is left before its end.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.comments: list[str] = []
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT)
        self._buffer = b""

    async def open(self, path: str, headers: Mapping[str, str]) -> h11.Response:
        request = h11.Request(
            method="GET", target=path, headers=[("Host", "hub"), *headers.items()]
        )
        await self._stream.send_all(self._h11.send(request) or b"")
        self._h11.send(h11.EndOfMessage())
        response = await self._event()
        assert isinstance(response, h11.Response)
        return response

    async def _event(self) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(await self._stream.receive_some())
        return event

    async def next(self) -> Sent | None:
        """The next event; None at the proper end of the stream."""
        with trio.fail_after(10):
            while True:
                block, found, rest = self._buffer.partition(b"\n\n")
                if not found:
                    event = await self._event()
                    if isinstance(event, h11.EndOfMessage):
                        return None
                    self._buffer += event.data
                    continue
                self._buffer = rest
                if block.startswith(b":"):
                    self.comments.append(block[1:].decode().strip())
                else:
                    fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
                    return Sent(fields["id"], fields["event"], json.loads(fields["data"]))

    async def some(self) -> Sent:
        """The next event; there must be one."""
        sent = await self.next()
        assert sent is not None
        return sent


@asynccontextmanager
async def streaming(
    api: httpx.AsyncClient, query: str = "", token: str = TOKEN, **headers: str
) -> AsyncIterator[Reader]:
    async with await trio.open_tcp_stream(api.base_url.host, api.base_url.port or 0) as stream:
        reader = Reader(stream)
        response = await reader.open(f"/events/stream{query}", {"X-API-Key": token, **headers})
        assert response.status_code == 200
        named = dict(response.headers)
        assert named[b"content-type"] == b"text/event-stream"
        assert named[b"cache-control"] == b"no-store"
        yield reader


async def test_events_as_they_happen(api: httpx.AsyncClient, hub: Hub) -> None:
    """id is the cursor, event the type, data the object of GET /events; what was before is not."""
    await hub.emit("user.created", {"user_id": 0})
    async with streaming(api) as reader:
        await hub.emit("user.created", USER, key="k")
        await hub.emit("ticket.created", TICKET)
        first, second = await reader.some(), await reader.some()
    items = (await api.get("/events")).json()["items"]
    assert first == Sent(items[1]["cursor"], "user.created", items[1])
    assert second == Sent(items[2]["cursor"], "ticket.created", items[2])
    assert reader.comments == ["connected"]


async def test_going_on_after_a_cursor(api: httpx.AsyncClient, hub: Hub) -> None:
    """Last-Event-ID, or ?after=, replays what was missed and goes on live; the header wins."""
    for number in range(5):
        await hub.emit("user.created", {"user_id": number})
    items = (await api.get("/events")).json()["items"]
    query, header = f"?after={items[0]['cursor']}", {"Last-Event-ID": items[2]["cursor"]}
    async with streaming(api, query, **header) as reader:
        await hub.emit("user.created", {"user_id": 5})
        assert [(await reader.some()).data["sequence"] for _ in range(3)] == [4, 5, 6]
    async with streaming(api, query) as reader:
        assert (await reader.some()).data["sequence"] == 2


async def test_filters(api: httpx.AsyncClient, hub: Hub) -> None:
    """Only what matches is sent."""
    async with streaming(api, "?events=ticket.*") as reader:
        for _ in range(3):
            await hub.emit("user.created", USER)
        await hub.emit("ticket.created", TICKET)
        assert (await reader.some()).data["sequence"] == 4


async def test_a_gap_is_told(api: httpx.AsyncClient, hub: Hub) -> None:
    """A cursor that the history does not reach back to gets an event ``gap`` first."""
    await hub.emit("user.created", USER)
    async with streaming(api, "?after=0123456789ab-5") as reader:
        await hub.emit("user.created", USER)
        gap, event = await reader.some(), await reader.some()
    cursor = str(Cursor(hub.feed.epoch, 1))
    assert gap == Sent(cursor, "gap", {"type": "gap", "missed": None, "cursor": cursor})
    assert event.data["sequence"] == 2


async def test_history_that_goes_while_it_is_read_is_a_gap(hub: Hub) -> None:
    """Retention went faster than the reader: it is told how much it missed, then goes on."""
    for _ in range(10):
        await hub.emit("user.created", USER)
    stream = EventStream(hub, keep_alive=10.0)
    principal = Principal(1, "test", frozenset({"events:read"}))
    chunks = stream._chunks(b": connected", 2, lambda name: True, principal)
    assert await anext(chunks) == b": connected"
    await hub.write(lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence <= 6"))
    hub.feed._ring.clear()
    assert b'"missed": 4' in await anext(chunks)
    assert (await anext(chunks)).count(b"id: ") == 4
    await chunks.aclose()  # type: ignore[attr-defined]


async def test_wrong_requests(api: httpx.AsyncClient) -> None:
    """Refused as problem documents before the stream begins."""
    for request in (
        {"params": {"after": "x"}},
        {"headers": {"Last-Event-ID": "x"}},
        {"headers": {"Last-Event-ID": "abcd-1"}, "params": {"after": "x"}},
        {"params": {"events": "*.*"}},
        {"params": {"limit": "5"}},
    ):
        response = await api.get("/events/stream", **request)  # type: ignore[arg-type]
        assert response.status_code == 422, request
        assert response.headers["content-type"] == "application/problem+json"


async def test_limits(api: httpx.AsyncClient, hub: Hub) -> None:
    """Connections are counted for each token and in all, and given back at their end."""
    _, secret = await hub.tokens.create("other", ["events:read"])
    other = {"X-API-Key": secret, "Authorization": ""}
    async with streaming(api), streaming(api):
        refused = await api.get("/events/stream")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert "max_connections_per_token" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "30"
        async with streaming(api, token=secret):
            refused = await api.get("/events/stream", headers=other)
            assert refused.status_code == 429
            assert "[live] max_connections)" in refused.json()["detail"]
    with trio.fail_after(10):
        while (await api.head("/events/stream")).status_code == 429:
            await trio.sleep(0.01)
    async with streaming(api), streaming(api):
        pass


async def test_a_revoked_token_ends_its_streams(api: httpx.AsyncClient, hub: Hub) -> None:
    """Within a second the stream ends, properly."""
    token, secret = await hub.tokens.create("short", ["events:read"])
    async with streaming(api, token=secret) as reader:
        await hub.tokens.revoke(token.id)
        began = trio.current_time()
        assert await reader.next() is None
        assert trio.current_time() - began < 1.0


async def test_a_stopping_hub_ends_streams(api: httpx.AsyncClient, hub: Hub) -> None:
    """At once, and properly."""
    async with streaming(api) as reader:
        hub.stopping.set()
        with trio.fail_after(2):
            assert await reader.next() is None


async def test_silence_is_broken(hub: Hub) -> None:
    """After a time without events a comment is sent, so that proxies do not close the stream."""
    stream = EventStream(hub, keep_alive=0.05)
    request = Request(
        method="GET",
        path="/events/stream",
        params={},
        headers={},
        body=None,
        query=StreamQuery(),
        principal=Principal(1, "test", frozenset({"events:read"})),
        client="",
    )
    answer = await stream.open(request)
    assert isinstance(answer.body, AsyncIterator)
    with trio.fail_after(10):
        assert await anext(answer.body) == b": connected\n\n"
        assert await anext(answer.body) == b": keep-alive\n\n"
        assert await anext(answer.body) == b": keep-alive\n\n"
    await answer.body.aclose()  # type: ignore[attr-defined]
