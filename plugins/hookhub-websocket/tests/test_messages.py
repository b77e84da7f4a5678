"""The feed at /ws as a client sees it: first message, events, questions and answers, filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hookhub import Cursor
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN

FIRST = (
    '{"type": "connection", "status": "connected", "message": "WebSocket connection established"'
)


async def test_first_message_event_and_pong_to_the_byte(
    anonymous: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """The first three members, the event's frame and the pong are exactly so."""
    async with anonymous(token=TOKEN) as client:
        first = await client.text()
        assert first.startswith(FIRST)
        assert json.loads(first)["cursor"] == str(hub.feed.cursor())
        await emit(type="user.created", name="Аня")
        event = (await hub.feed.read(Cursor(hub.feed.epoch, 0), lambda name: True)).entries[0]
        assert await client.text() == event.frame.decode()
        await client.ws.send_message('{"type": "ping"}')
        assert await client.text() == '{"type": "pong"}'


async def test_events_come_in_order(connect: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Single events and batches arrive in the order of commit, with their sequences."""
    async with connect() as client:
        for count in (1, 700, 1, 3):
            await emit(count)
        received = [await client.receive() for _ in range(705)]
        assert [item["sequence"] for item in received] == list(range(1, 706))
        assert [item["payload"]["user_id"] for item in received] == list(range(1, 706))


async def test_large_events(connect: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Every length of frame header: up to 125 bytes, 64 KiB and above."""
    async with connect() as client:
        for size in (1, 1_000, 70_000, 200_000):
            await emit(text="x" * size)
            event = await client.receive()
            assert len(event["payload"]["text"]) == size


async def test_filter_in_the_address(connect: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """?events= takes patterns, divided by commas or given several times."""
    async with connect(events="user.*, payment.completed") as client:
        assert client.greeting["events"] == ["user.*", "payment.completed"]
        await emit(type="ticket.created")
        await emit(type="user.created")
        assert (await client.receive())["type"] == "user.created"


async def test_subscribe_and_unsubscribe(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """The first subscription replaces everything; the answer says what is subscribed now."""
    async with connect() as client:
        assert client.greeting["events"] == ["*"]
        answer = await client.ask(type="subscribe", events=["user.*"], id="a")
        assert answer == {"type": "subscribed", "events": ["user.*"], "id": "a"}
        await emit(type="ticket.created")
        await emit(type="user.created")
        assert (await client.receive())["type"] == "user.created"
        answer = await client.ask(type="subscribe", events=["ticket.created"], id=7)
        assert answer == {"type": "subscribed", "events": ["user.*", "ticket.created"], "id": 7}
        answer = await client.ask(type="unsubscribe", events=["user.*", "never.subscribed"])
        assert answer == {"type": "subscribed", "events": ["ticket.created"]}
        await emit(type="user.created")
        await emit(type="ticket.created")
        assert (await client.receive())["type"] == "ticket.created"
        assert (await client.ask(type="unsubscribe"))["events"] == []
        await emit(type="ticket.created")
        assert await client.ask(type="ping", id=1) == {"type": "pong", "id": 1}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{", "malformed_request", "The message is not JSON: "),
        ("[1]", "malformed_request", "A message is a JSON object"),
        ('"ping"', "malformed_request", "A message is a JSON object"),
        ("NaN", "malformed_request", "NaN is not JSON"),
        ("[" * 10_000, "malformed_request", "nested too deeply"),
        ("{}", "unknown_message_type", "Unknown message type null; send ping, subscribe"),
        ('{"type": "event"}', "unknown_message_type", 'Unknown message type "event"'),
        ('{"type": ["ping"]}', "unknown_message_type", 'Unknown message type ["ping"]'),
        ('{"type": "ping", "id": {}}', "validation_failed", "'id' is a string"),
        ('{"type": "ping", "id": true}', "validation_failed", "'id' is a string"),
        ('{"type": "subscribe"}', "validation_failed", "'events' is a list"),
        ('{"type": "subscribe", "events": []}', "validation_failed", "'events' is a list"),
        ('{"type": "subscribe", "events": "user.*"}', "validation_failed", "'events' is a list"),
        ('{"type": "subscribe", "events": [1]}', "validation_failed", "'events' is a list"),
        ('{"type": "subscribe", "events": ["User"]}', "validation_failed", "'User' is not an"),
        ('{"type": "resume"}', "validation_failed", "'resume' needs a 'cursor'"),
        ('{"type": "resume", "cursor": "x"}', "invalid_cursor", "'x' is not a cursor"),
    ],
)
async def test_bad_messages_get_an_error_and_the_connection_lives_on(
    connect: Callable[..., Any], text: str, code: str, message: str
) -> None:
    """What is not understood is answered with a stable code and a sentence."""
    async with connect() as client:
        await client.ws.send_message(text)
        answer = await client.receive()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert message in answer["message"]
        assert await client.ask(type="ping") == {"type": "pong"}


async def test_binary_messages_get_an_error(connect: Callable[..., Any]) -> None:
    """Binary messages are not understood, and do no harm."""
    async with connect() as client:
        await client.ws.send_message(b'{"type": "ping"}')
        assert (await client.receive())["code"] == "malformed_request"
        assert await client.ask(type="ping") == {"type": "pong"}


async def test_an_error_carries_the_id(connect: Callable[..., Any]) -> None:
    """A client that asks several things can tell which was wrong."""
    async with connect() as client:
        answer = await client.ask(type="resume", cursor="x", id="r1")
        assert (answer["type"], answer["id"]) == ("error", "r1")


async def test_a_bad_filter_in_the_address_is_told(connect: Callable[..., Any]) -> None:
    """The greeting comes first all the same; nothing is subscribed that was not asked for."""
    async with connect(events=" , ") as client:
        assert client.greeting["events"] == []
        assert (await client.receive())["code"] == "validation_failed"
    async with connect(events="User") as client:
        answer = await client.receive()
        assert (answer["type"], answer["code"]) == ("error", "validation_failed")
        assert "?events=: 'User' is not an event type pattern" in answer["message"]


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"max_patterns": 2}}}])
async def test_patterns_are_limited(connect: Callable[..., Any]) -> None:
    """Too many patterns are refused as a whole; those before stay."""
    async with connect(events="a,b") as client:
        answer = await client.ask(type="subscribe", events=["c"])
        assert (answer["type"], answer["code"]) == ("error", "validation_failed")
        assert "2 patterns at most" in answer["message"]
        assert (await client.ask(type="subscribe", events=["a"]))["events"] == ["a", "b"]
