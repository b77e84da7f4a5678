"""``GET /events/stream``: the feed as Server-Sent Events, without a seam and never for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import h11
import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Principal, Request
from hookhub.feed import Feed, Resume
from hookhub.hub import Hub
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

    id: str | None
    event: str
    data: Any


class Reader:
    """Reads Server-Sent Events one by one (WHATWG HTML §9.2.6, as far as it is needed here).

    Not httpx: it leaves generators behind when a stream is left before its end.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.comments: list[str] = []
        self.retry: int | None = None
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
                    continue
                fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
                if "retry" in fields:
                    self.retry = int(fields["retry"])
                if "data" in fields:
                    return Sent(fields.get("id"), fields["event"], json.loads(fields["data"]))

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
        received = [await reader.some() for _ in range(4)]
        resumed = received.pop(2)
        assert [item.data["sequence"] for item in received] == [4, 5, 6]
        now = items[4]["cursor"]
        verdict = {"type": "resumed", "replayed": 2, "cursor": now}
        assert resumed == Sent(now, "resumed", verdict)
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
    answer = await EventStream(hub, keep_alive=10.0).open(
        asked(StreamQuery(after=str(Cursor(hub.feed.epoch, 2))))
    )
    chunks = answer.body
    assert isinstance(chunks, AsyncIterator)
    assert (await anext(chunks)).startswith(b": connected")
    await hub.write(lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence <= 6"))
    hub.feed._ring.clear()
    chunk = await anext(chunks)
    assert chunk.startswith(b"id: ")
    assert b'"missed": 4' in chunk.split(b"\n\n")[0]
    assert chunk.count(b'"sequence"') == 4
    await chunks.aclose()  # type: ignore[attr-defined]


def asked(query: StreamQuery) -> Request:
    return Request(
        method="GET",
        path="/events/stream",
        params={},
        headers={},
        body=None,
        query=query,
        principal=Principal(1, "test", frozenset({"events:read"})),
        client="",
    )


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


async def test_limits_hold_for_those_who_come_at_once(
    api: httpx.AsyncClient, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds no room any more after its cursor was looked up is told, and sent away."""
    resume, looking, all_there = Feed.resume, 0, trio.Event()

    async def look_together(feed: Feed, cursor: Cursor) -> Resume:
        nonlocal looking
        looking += 1
        if looking == 3:
            all_there.set()
        await all_there.wait()
        return await resume(feed, cursor)

    monkeypatch.setattr(Feed, "resume", look_together)
    heard: list[str] = []

    async def follow() -> None:
        async with streaming(api, f"?after={hub.feed.cursor()}") as reader:
            said = await reader.some()
            heard.append(said.event)
            if said.event == "closing":
                assert said.data["code"] == 1013
                assert said.data["reason"].startswith("Full: this token has 2 connections")
                assert await reader.next() is None
            while len(heard) < 3:
                await trio.sleep(0.01)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(follow)
    assert sorted(heard) == ["closing", "resumed", "resumed"]


async def test_a_revoked_token_ends_its_streams(api: httpx.AsyncClient, hub: Hub) -> None:
    """Within a second the stream ends, properly."""
    token, secret = await hub.tokens.create("short", ["events:read"])
    async with streaming(api, token=secret) as reader:
        await hub.tokens.revoke(token.id)
        began = trio.current_time()
        last = await reader.some()
        assert last == Sent(
            None, "closing", {"type": "closing", "code": 4502, "reason": "The token is revoked"}
        )
        assert await reader.next() is None
        assert trio.current_time() - began < 1.0


async def test_a_stopping_hub_ends_streams(api: httpx.AsyncClient, hub: Hub) -> None:
    """At once, and properly."""
    async with streaming(api) as reader:
        hub.stopping.set()
        with trio.fail_after(2):
            notice = await reader.some()
            assert await reader.next() is None
        assert notice.event == "restarting"
        assert reader.retry == round(notice.data["retry_after"] * 1000)


async def test_silence_is_broken(hub: Hub) -> None:
    """After a time without events a comment is sent, so that proxies do not close the stream."""
    stream = EventStream(hub, keep_alive=0.05)
    answer = await stream.open(asked(StreamQuery()))
    assert isinstance(answer.body, AsyncIterator)
    with trio.fail_after(10):
        assert (await anext(answer.body)).startswith(b": connected\n\n")
        assert await anext(answer.body) == b": keep-alive\n\n"
        assert await anext(answer.body) == b": keep-alive\n\n"
    await answer.body.aclose()  # type: ignore[attr-defined]


async def test_a_payload_condition(api: httpx.AsyncClient, hub: Hub) -> None:
    """?where= is the filter of webhooks; a wrong one is refused with its place."""
    where = quote(json.dumps({"user_id": {"$gte": 3}}))
    async with streaming(api, f"?events=user.*&where={where}") as reader:
        for number in range(5):
            await hub.emit("user.created", {"user_id": number})
        assert [(await reader.some()).data["sequence"] for _ in range(2)] == [4, 5]
    refused = await api.get("/events/stream", params={"where": '{"user_id": {"gte": 3}}'})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert refused.json()["errors"][0]["loc"] == ["query", "where", "user_id"]
    refused = await api.get("/events/stream", params={"where": "{"})
    assert refused.json()["errors"][0]["loc"] == ["query", "where"]
    assert refused.json()["detail"].startswith("where: is not JSON")


async def test_the_verdict_stands_between_replay_and_live(api: httpx.AsyncClient, hub: Hub) -> None:
    """Also when the filter lets nothing of the replay through."""
    await hub.accept([hub.draft("user.created", {"user_id": n}) for n in range(1_200)])
    beginning = str(Cursor(hub.feed.epoch, 0))
    async with streaming(api, f"?after={beginning}") as reader:
        await hub.accept([hub.draft("user.created", {"user_id": n}) for n in range(300)])
        received = [await reader.some() for _ in range(1_501)]
    there = str(Cursor(hub.feed.epoch, 1_200))
    verdict = {"type": "resumed", "replayed": 1_200, "cursor": there}
    assert received.pop(1_200).data == verdict
    assert [item.data["sequence"] for item in received] == list(range(1, 1_501))
    async with streaming(api, f"?after={beginning}&events=ticket.*") as reader:
        resumed = await reader.some()
        now = str(hub.feed.cursor())
        assert resumed == Sent(now, "resumed", {"type": "resumed", "replayed": 0, "cursor": now})


async def test_a_browser_is_told_when_to_come_back(api: httpx.AsyncClient) -> None:
    """``retry:`` stands at the beginning, by chance, so that a thousand do not come at once."""
    waits = set()
    for _ in range(3):
        async with streaming(api) as reader:
            with trio.move_on_after(0.2):
                await reader.next()
        waits.add(reader.retry)
    assert all(wait is not None and 1_000 <= wait <= 5_000 for wait in waits)
    assert len(waits) > 1


@asynccontextmanager
async def with_ticket(api: httpx.AsyncClient, ticket: str) -> AsyncIterator[tuple[Reader, int]]:
    async with await trio.open_tcp_stream(api.base_url.host, api.base_url.port or 0) as stream:
        reader = Reader(stream)
        response = await reader.open(f"/events/stream?ticket={quote(ticket)}", {})
        yield reader, response.status_code


async def test_a_ticket_opens_one_stream(api: httpx.AsyncClient, hub: Hub) -> None:
    """Browsers cannot send a token with an EventSource; a ticket works once, and here only."""
    token, _ = await hub.tokens.create("reader", ["events:read"])
    principal = Principal(token.id, token.name, frozenset({"events:read"}))
    ticket, _ = await hub.tokens.issue_ticket(principal)
    other, _ = await hub.tokens.issue_ticket(principal)
    async with with_ticket(api, ticket) as (reader, status):
        assert status == 200
        await hub.emit("user.created", USER)
        assert (await reader.some()).event == "user.created"
        async with with_ticket(api, ticket) as (_, status):
            assert status == 401
        await hub.tokens.revoke(token.id)
        assert (await reader.some()).data["code"] == 4502
    async with with_ticket(api, other) as (_, status):
        assert status == 401
    answer = await api.get("/events", params={"ticket": other}, headers={"Authorization": ""})
    assert answer.status_code == 401


async def test_an_expired_token_ends_its_streams(api: httpx.AsyncClient, hub: Hub) -> None:
    """With 4201, within a second."""
    _, secret = await hub.tokens.create("brief", ["events:read"], expires_at=hub.now() + 700_000)
    async with streaming(api, token=secret) as reader:
        last = await reader.some()
        assert last.data == {"type": "closing", "code": 4201, "reason": "The token is expired"}
        assert await reader.next() is None
        assert hub.now() <= (await hub.tokens.list())[-1].expires_at + 1_000_000  # type: ignore[operator]


async def test_who_does_not_read_is_cut_off_all_the_same(api: httpx.AsyncClient, hub: Hub) -> None:
    """A revoked token's stream ends within a second or so, although a write to it is stuck."""
    token, secret = await hub.tokens.create("stalled", ["events:read"])
    async with streaming(api, token=secret):
        for number in range(60):
            await hub.emit("user.created", {"user_id": number, "text": "x" * 100_000})
        assert len(hub.presence) == 1
        await hub.tokens.revoke(token.id)
        with trio.fail_after(2):
            while len(hub.presence):
                await trio.sleep(0.01)


async def test_a_stop_does_not_wait_for_who_does_not_read(api: httpx.AsyncClient, hub: Hub) -> None:
    """Nor for the client's acknowledgement of what was sent."""
    async with streaming(api):
        for number in range(60):
            await hub.emit("user.created", {"user_id": number, "text": "x" * 100_000})
        hub.stopping.set()
        with trio.fail_after(2):
            while len(hub.presence):
                await trio.sleep(0.01)


async def test_streams_are_shown_and_closed(api: httpx.AsyncClient, hub: Hub) -> None:
    """As WebSockets are; the last event has the code."""
    where = quote('{"user_id": 1}')
    agent = {"User-Agent": "curl/8"}
    async with streaming(api, f"?events=user.*&where={where}", **agent) as reader:
        await hub.emit("user.created", USER)
        await hub.emit("user.created", {"user_id": 2})
        await reader.some()

        async def shown() -> dict[str, Any]:
            item: dict[str, Any] = (await api.get("/live/connections")).json()["items"][0]
            return item

        with trio.fail_after(5):
            while (item := await shown())["lag"]:
                await trio.sleep(0.01)
        assert (item["kind"], item["user_agent"]) == ("sse", "curl/8")
        assert item["events"] == ["user.*"]
        assert item["where"] == {"user.*": {"user_id": 1}}
        assert item["events_sent"] == 1
        assert item["bytes_sent"] > 200
        assert item["cursor"] == str(hub.feed.cursor())
        assert (await api.delete(f"/live/connections/{item['id']}")).status_code == 204
        last = await reader.some()
        assert (last.event, last.data["code"]) == ("closing", 4410)
        assert await reader.next() is None


async def box(hub: Hub, **config: Any) -> int:
    options = EndpointOptions(retry_schedule=(0.0,))
    new = NewEndpoint("box", ("user.*",), config, options=options)
    return (await hub.endpoints.create("box", new)).id


async def test_the_life_of_deliveries(api: httpx.AsyncClient, hub: Hub) -> None:
    """Signals come without an id: the place to come back to is that of the last event."""
    await box(hub)
    async with streaming(api, "?events=user.*,delivery.*") as reader:
        await hub.emit("user.created", USER)
        received = [await reader.some() for _ in range(3)]
    assert [item.event for item in received] == [
        "user.created",
        "delivery.attempted",
        "delivery.delivered",
    ]
    assert [item.id is None for item in received] == [False, True, True]
    assert received[1].data["ephemeral"] is True
    assert received[1].data["payload"]["event_id"] == received[0].data["id"]


async def test_signals_need_their_scope_and_their_name(api: httpx.AsyncClient, hub: Hub) -> None:
    """Without webhooks:read they are refused with 403; with ``*`` they are not sent."""
    _, secret = await hub.tokens.create("reader", ["events:read"])
    headers = {"X-API-Key": secret, "Authorization": ""}
    for pattern in ("delivery.*", "user.*,delivery.delivered"):
        answer = await api.get("/events/stream", params={"events": pattern}, headers=headers)
        assert (answer.status_code, answer.json()["scope"]) == (403, "webhooks:read")
    async with streaming(api, "?events=delivery.failed", token=secret):
        pass
    await box(hub)
    async with streaming(api) as reader:
        await hub.emit("user.created", USER)
        while (await hub.endpoints.stats("box")).delivered < 1:
            await trio.sleep(0.01)
        await hub.emit("user.created", USER)
        assert [(await reader.some()).data["sequence"] for _ in range(2)] == [1, 2]
