"""Three hubs, one owner of each endpoint: limits hold for all of them together, whoever dies."""

from __future__ import annotations

import os
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.store import open_store
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import Behaviour, Conversation, ReceivedRequest, Reply, open_receiver
from support.chaos.plan import rounds, seed

EVENTS = 5_000
KEYS = 20
TOOK = 0.02
"""Seconds that the receiver takes for an answer."""


class Log:
    """What came in at the receiver, and when."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        """Of the webhook with a rate limit."""
        self.open = self.most = 0
        """Requests at once of the webhook that takes one at a time."""
        self.numbers: dict[str, list[int]] = defaultdict(list)
        """Key to the numbers that the ordered webhook got, in their order."""

    def respond(self, request: ReceivedRequest) -> Behaviour:
        """As the path says."""
        if request.target == "/rate":
            self.starts.append(trio.current_time())
        elif request.target == "/ordered":
            payload = request.json()
            number = int(payload.get("payload", payload)["user_id"])
            self.numbers[str(number % KEYS)].append(number)
        return Slow(self) if request.target == "/one" else Reply()

    def gaps(self) -> list[float]:
        """The longest times without a start."""
        pairs = pairwise(self.starts)
        return sorted((after - before for before, after in pairs), reverse=True)[:10]

    def out_of_order(self) -> int:
        """First receipts that came after a later one of their key."""
        found = 0
        for numbers in self.numbers.values():
            first = list(dict.fromkeys(numbers))
            found += sum(b < a for a, b in pairwise(first))
        return found

    def distinct(self) -> int:
        """Events that the ordered webhook got."""
        return sum(len(set(numbers)) for numbers in self.numbers.values())


def worst_second(starts: Sequence[float]) -> int:
    """The most in any second."""
    return max(sum(first <= start < first + 1.0 for start in starts) for first in starts)


async def recorded_starts(url: str) -> list[float]:
    """When the hubs began the attempts of the webhook with a rate limit, in seconds.

    The receiver sees them later, by as much as the machine is busy with something else.
    """
    async with open_store(DatabaseSettings(url=url)) as store:
        rows = await store.read(
            lambda reader: reader.sql(
                "SELECT started_at FROM hookhub_attempts JOIN hookhub_deliveries ON "
                "hookhub_deliveries.id = delivery_id WHERE endpoint_id = 1 ORDER BY started_at"
            )
        )
    return [row[0] / 1_000_000 for row in rows]


class Slow(Behaviour):
    """Counts as open until it is answered."""

    def __init__(self, log: Log) -> None:
        self.log = log

    async def act(self, conversation: Conversation) -> None:
        self.log.open += 1
        self.log.most = max(self.log.most, self.log.open)
        try:
            await trio.sleep(TOOK)
        finally:
            self.log.open -= 1
        await Reply().act(conversation)


@asynccontextmanager
async def three(tmp_path: Path, url: str) -> AsyncIterator[list[HubProcess]]:
    hubs = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        hubs.append(HubProcess(tmp_path / name, {"database": {"url": url}}))
    try:
        for hub in hubs:
            await trio.to_thread.run_sync(hub.start)
        yield hubs
    finally:
        for hub in hubs:
            await trio.to_thread.run_sync(hub.kill)


async def subscribe(http: httpx.AsyncClient, port: int) -> None:
    for name, options in (
        ("rate", {"rate_limit": 10}),
        ("one", {"concurrency": 1}),
        ("ordered", {"ordered": True}),
    ):
        body = {"name": name, "url": f"http://127.0.0.1:{port}/{name}", "event_type": "*"}
        (await http.post("/webhooks", json=body | options)).raise_for_status()


async def publish(http: httpx.AsyncClient, count: int) -> None:
    for first in range(0, count, 100):
        events = [
            {"type": "user.created", "payload": {"user_id": n}, "key": str(n % KEYS)}
            for n in range(first, first + 100)
        ]
        (await http.post("/events/batch", json=events)).raise_for_status()


async def harm(hub: HubProcess, kind: str) -> None:
    """Do it to a hub, and let it come back."""
    if kind == "freeze":
        os.kill(hub.pid, signal.SIGSTOP)
        await trio.sleep(5)
        os.kill(hub.pid, signal.SIGCONT)
        return
    await trio.to_thread.run_sync(hub.kill if kind == "kill" else hub.terminate)
    await trio.sleep(2)
    await trio.to_thread.run_sync(hub.start)


@pytest.mark.parametrize("kinds", [("kill", "stop"), ("freeze",)], ids=["killed", "frozen"])
async def test_limits_hold_whatever_happens_to_hubs(
    tmp_path: Path, postgres_url: str, kinds: tuple[str, ...]
) -> None:
    """Attempts per second and at once, the order of a key, and nothing is lost."""
    chance, log = random.Random(seed()), Log()
    async with open_receiver() as receiver, three(tmp_path, postgres_url) as hubs:
        receiver.respond = log.respond
        async with hubs[0].async_client() as http:
            await subscribe(http, receiver.port)
            await publish(http, EVENTS)
        for number in range(rounds(8)):
            await trio.sleep(chance.uniform(1, 3))
            await harm(chance.choice(hubs), kinds[number % len(kinds)])
        with trio.fail_after(300):
            while log.distinct() < EVENTS:
                await trio.sleep(0.1)
        starts = await recorded_starts(postgres_url)
        gaps = [round(gap, 2) for gap in log.gaps()]
        print(
            f"worst second {worst_second(starts)} of {len(starts)}, at the receiver "
            f"{worst_second(log.starts)} of {len(log.starts)}, longest gaps {gaps}, "
            f"most at once {log.most}, out of order {log.out_of_order()}, "
            f"got {log.distinct()} of {EVENTS}, receipts {sum(map(len, log.numbers.values()))}"
        )
        assert worst_second(starts) <= 11
        assert log.most == 1
        assert log.out_of_order() == 0
