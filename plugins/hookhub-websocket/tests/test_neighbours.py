"""One client that never reads, a hundred that read slowly, one that floods: nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
import trio
from wsproto.events import Ping

from hookhub.hub import Hub
from hookhub.testing.waiting import wait_until_async
from hookhub_websocket.session import Session
from hookhub_websocket.sink import WebSocketSink

SLOW = 100
GOOD = "user.created,ticket.created"
"""What only the good ones ask for."""
ROUNDS = 100
SOON = 5.0
"""Seconds: far more than anything takes that waits for nobody, far less than a stall."""
PATIENT = {
    "plugins": {"websocket": {"write_timeout": 60.0, "close_timeout": 1.0}},
    "live": {"max_connections_per_token": 200},
}


class Neighbours:
    """Those who behave badly, for as long as the test lasts."""

    def __init__(self, sink: WebSocketSink, raw: Callable[..., Any]) -> None:
        self._sink = sink
        self._raw = raw
        self.sessions: Sequence[Session] = ()

    async def come(self, nursery: trio.Nursery) -> None:
        """All of them connect, and begin."""
        never = await self._raw()
        await never.open()
        for _ in range(SLOW):
            client = await self._raw()
            await client.open()
            nursery.start_soon(self._read_slowly, client)
        self.sessions = list(self._sink._connections._sessions)
        nursery.start_soon(self._flood)

    async def _read_slowly(self, client: Any) -> None:
        while await client.stream.receive_some(512):
            await trio.sleep(0.05)

    async def _flood(self) -> None:
        """Ping until thrown out, and come back for more."""
        while True:
            client = await self._raw()
            try:
                await client.open()
                pings = client.ws.send(Ping(payload=b"x" * 100)) * 100
                while True:
                    await client.stream.send_all(pings)
                    await trio.lowlevel.checkpoint()
            except (trio.BrokenResourceError, AssertionError):
                await trio.aclose_forcefully(client.stream)


@pytest.fixture
async def neighbours(
    sink: WebSocketSink, raw: Callable[..., Any], nursery: trio.Nursery
) -> AsyncIterator[Neighbours]:
    """All kinds of bad clients."""
    found = Neighbours(sink, raw)
    await found.come(nursery)
    yield found
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("hub_tables", [PATIENT])
async def test_nobody_else_notices(
    neighbours: Neighbours,
    connect: Callable[..., Any],
    api: httpx.AsyncClient,
    hub: Hub,
    sink: WebSocketSink,
) -> None:
    """Good clients get each event at once, producers their answers, and a stop is as short."""
    event = {"type": "user.created", "payload": {"user_id": 1, "text": "x" * 20_000}}
    async with connect(events=GOOD) as first, connect(events=GOOD) as second:
        good = [
            session
            for session in sink._connections._sessions
            if session.filter.patterns == GOOD.split(",")
        ]
        assert len(good) == 2
        for number in range(ROUNDS):
            with trio.fail_after(SOON):
                answer = await api.post("/events", json=event)
                assert answer.status_code == 202
                for client in (first, second):
                    assert (await client.receive())["sequence"] == number + 1
        assert all(session.feeder.lag == 0 for session in good)
        stuck = [item for item in neighbours.sessions if item.outbox.busy and item.feeder.lag]
        assert len(stuck) > SLOW / 2, "they are slow indeed"
        # Whoever lags holds a place in the history and what is half-way on the wire, no more.
        for session in stuck:
            assert session.outbox._queued < 1_000
        await wait_until_async(flooded(sink))
        with trio.fail_after(SOON):
            await sink.stop()
            for client in (first, second):
                assert (await client.receive())["type"] == "restarting"
                assert (await client.closing())[0] == 1012
            await sink._connections.wait_empty()


def flooded(sink: WebSocketSink) -> Callable[[], Any]:
    async def check() -> bool:
        return sink.statistics()["closed_flood_total"] > 0

    return check
