"""Two hubs on one PostgreSQL, many webhooks, receivers that fail: nobody waits in a circle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import Reply, open_receiver

WEBHOOKS = 50
SECONDS = 25.0
POSTERS = 4
EVENT = {"type": "user.created", "payload": {"user_id": 1}}


@pytest.fixture
def hubs(tmp_path: Path, postgres_url: str) -> Iterator[list[HubProcess]]:
    """Two of them."""
    settings = {
        "database": {"url": postgres_url},
        "delivery": {"retry_schedule": [0.2, 0.2, 0.2], "warn_after": 1.0},
        "log": {"level": "warning"},
    }
    with ExitStack() as stack:
        directories = [tmp_path / name for name in ("one", "two")]
        for directory in directories:
            directory.mkdir()
        yield [stack.enter_context(HubProcess(item, settings)) for item in directories]


async def make_webhooks(http: httpx.AsyncClient, url: str) -> None:
    for number in range(WEBHOOKS):
        new = {"name": f"w{number}", "url": f"{url}/{number}", "event_type": "*"}
        (await http.post("/webhooks", json=new)).raise_for_status()


async def post(http: httpx.AsyncClient, until: float, waits: list[float]) -> None:
    while (began := time.monotonic()) < until:
        (await http.post("/events", json=EVENT)).raise_for_status()
        waits.append(time.monotonic() - began)


async def change(http: httpx.AsyncClient, until: float) -> None:
    """What a person does in the panel."""
    for number in count():
        if time.monotonic() > until:
            return
        webhook = number % WEBHOOKS + 1
        await http.patch(f"/webhooks/{webhook}", json={"description": str(number)})
        await http.post(f"/webhooks/{WEBHOOKS + 1 - webhook}/retry-failed")
        await trio.sleep(0.2)


async def test_no_deadlock(hubs: list[HubProcess], postgres_url: str) -> None:
    """Each would cost everybody a second."""
    waits: list[float] = []
    async with open_receiver() as receiver:
        answers = (Reply(500 if number % 2 else 200) for number in count())
        receiver.respond = lambda _: next(answers)
        clients = [hub.async_client() for hub in hubs]
        await make_webhooks(clients[0], receiver.url)
        until = time.monotonic() + SECONDS
        async with trio.open_nursery() as nursery:
            for http in clients:
                nursery.start_soon(change, http, until)
                for _ in range(POSTERS):
                    nursery.start_soon(post, http, until, waits)
        for http in clients:
            await http.aclose()
        attempts = len(receiver.requests)
    for hub in hubs:
        hub.terminate()
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        row = connection.execute(query).fetchone()
    waits.sort()
    print(
        f"{len(waits)} accepted, p50 {waits[len(waits) // 2]:.3f} s, "
        f"p99 {waits[len(waits) * 99 // 100]:.3f} s, {attempts} attempts, deadlocks: {row}"
    )
    assert row == (0,)
    assert attempts > 10 * WEBHOOKS
