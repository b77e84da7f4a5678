"""Events that are sent while the database takes nothing: what waits is bounded and given up."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.server import Started
from hookhub.store import Transaction
from hookhub.testing.serving import TOKEN, settings_for_tests
from hookhub.web.resources.new_events import PATIENCE

PAYLOAD = {"user_id": 1, "text": "x" * 6_000}
LARGE = json.dumps([{"type": "user.created", "payload": PAYLOAD}]).encode()


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub in which only one event of that size may wait."""
    tables = settings_for_tests(hub_database)
    tables["database"]["max_waiting"] = 10_000
    return Settings.model_validate(tables)


@asynccontextmanager
async def blocked(hub: Hub) -> AsyncIterator[None]:
    """Within it the writer does not get on."""
    running, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        running.set()
        release.wait(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.write, hold)
        await trio.to_thread.run_sync(running.wait)
        try:
            yield
        finally:
            release.set()


async def waiting(hub: Hub, some: bool) -> None:
    """Return when events wait, or none do."""
    with trio.fail_after(10):
        while bool(hub.store.statistics()["queued_bytes"]) is not some:
            await trio.sleep(0.01)


async def test_too_much_waits(api: httpx.AsyncClient, hub: Hub) -> None:
    """Whoever sends more is told to come again later; what waits is stored when that is over."""
    answers: list[int] = []

    async def post() -> None:
        answers.append((await api.post("/events/batch", content=LARGE)).status_code)

    async with trio.open_nursery() as nursery, blocked(hub):
        nursery.start_soon(post)
        await waiting(hub, True)
        refused = await api.post("/events/batch", content=LARGE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["code"] == "store_unavailable"
    await post()
    assert (answers, hub.feed.last) == ([202, 202], 2)


@pytest.mark.parametrize("path", ["/events", "/events/batch"])
async def test_a_client_that_hangs_up(hub_server: Started, hub: Hub, path: str) -> None:
    """Its event is not kept until the writer comes to it, and not stored."""
    host, port = hub_server.addresses[0].removeprefix("http://").split(":")
    body = LARGE if path.endswith("batch") else LARGE[1:-1]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with blocked(hub):
        await trio.sleep(PATIENCE)
        async with await trio.open_tcp_stream(host, int(port)) as client:
            await client.send_all(head.encode() + body)
            await waiting(hub, True)
        await waiting(hub, False)
    assert hub.feed.last == 0
