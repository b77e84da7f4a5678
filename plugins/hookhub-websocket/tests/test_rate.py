"""How many messages a client may send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from hookhub_websocket.rate import MessageRate, Pace
from hookhub_websocket.sink import WebSocketSink


def test_a_burst_then_the_rate() -> None:
    """A whole burst at once, then as many as time brings; time does not pile up beyond a burst."""
    rate = MessageRate(2.0, 3, now=100.0)
    assert [rate.take(100.0) for _ in range(4)] == [Pace.FINE] * 3 + [Pace.REFUSED]
    assert [rate.take(101.0), rate.take(101.0)] == [Pace.FINE, Pace.REFUSED]
    assert [rate.take(500.0) for _ in range(4)] == [Pace.FINE] * 3 + [Pace.REFUSED]


def test_who_does_not_slow_down_is_a_flood() -> None:
    """After a burst of refused messages; slowing down makes good for it."""
    rate = MessageRate(1.0, 2, now=0.0)
    assert [rate.take(0.0) for _ in range(5)] == [Pace.FINE] * 2 + [Pace.REFUSED] * 2 + [Pace.FLOOD]
    assert rate.take(10.0) is Pace.FINE


TABLES = {"plugins": {"websocket": {"message_rate": 0.001, "message_burst": 3}}}


@pytest.mark.parametrize("hub_tables", [TABLES])
async def test_a_client_is_told_then_closed(
    connect: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Refused messages are answered, with their id, and not obeyed; a flood ends with 1008."""
    async with connect() as client:
        for _ in range(3):
            assert await client.ask(type="ping") == {"type": "pong"}
        for number in range(3):
            answer = await client.ask(type="unsubscribe", id=number)
            assert (answer["type"], answer["code"]) == ("error", "too_many_requests")
            assert answer["id"] == number
        await emit()
        assert (await client.receive())["sequence"] == 1
        await client.send(type="ping")
        assert await client.closing() == (
            1008,
            "Too many messages; slow down before you come back",
        )
    with trio.fail_after(5):
        await sink._connections.wait_empty()
    assert sink.statistics()["closed_flood_total"] == 1


@pytest.mark.parametrize("hub_tables", [TABLES])
async def test_what_cannot_be_read_counts_too(connect: Callable[..., Any]) -> None:
    """Garbage and binary messages are messages."""
    async with connect() as client:
        for message in ("{", b"{}", "[]", "{", b"{}", "[]", "x"):
            await client.ws.send_message(message)
        code, _ = await client.closing()
        assert code == 1008
