"""Two nodes on one PostgreSQL: each endpoint is attempted by one of them at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.sinks import Attempt, AttemptResult
from hookhub.delivery.engine import Engine
from hookhub.delivery.slots import SLOTS
from hookhub.store import Store, open_store
from hookhub.store.units.endpoints import insert_endpoint
from support.scripted import DELIVERED, Scripted, all_delivered, running, send_more, until

ENDPOINTS = 30
"""So many that each node has some, whatever their numbers are."""


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=postgres_url)) as opened:
        yield opened


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Store]:
    """The second node's."""
    async with open_store(store.settings) as opened:
        yield opened


class Counting(Scripted):
    """Both nodes' sink: counts how many attempts each endpoint gets at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open: Counter[int] = Counter()
        self.most = 0

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        self.attempts.append(attempt)
        self.open[attempt.endpoint_id] += 1
        self.most = max(self.most, *self.open.values())
        try:
            await trio.sleep(0.002)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.open[attempt.endpoint_id] -= 1
        return DELIVERED


async def make_endpoints(store: Store) -> None:
    options = EndpointOptions(concurrency=1)
    new = NewEndpoint("one", ("*",), {}, secret="s", options=options)
    await store.write(lambda tx: [insert_endpoint(tx, "scripted", new) for _ in range(ENDPOINTS)])


def owned(engine: Engine) -> int:
    return int(engine.statistics()["endpoints_owned"])


async def test_one_attempt_at_once_while_nodes_come_and_go(store: Store, other: Store) -> None:
    """A concurrency of one is one for both, when a node joins and when it dies."""
    sink = Counting()
    await make_endpoints(store)
    async with running(store, sink) as stays:
        await send_more(store, 10)
        async with running(other, sink) as dies:
            await send_more(other, 10)
            await until(lambda: owned(stays) + owned(dies) == ENDPOINTS and owned(dies) > 0)
            await send_more(other, 10)
        await send_more(store, 10)
        await until(lambda: owned(stays) == ENDPOINTS)
        await all_delivered(store, 40 * ENDPOINTS)
    assert sink.most == 1


async def test_an_attempt_in_flight_holds_up_the_handover(store: Store, other: Store) -> None:
    """A new owner begins when what the one before was about is recorded, and then at once."""
    sink, second = Counting(), Counting()
    sink.gate = trio.Event()
    await make_endpoints(store)
    async with running(store, sink) as first:
        await send_more(store, 2)
        await until(lambda: len(sink.attempts) == ENDPOINTS)
        async with running(other, second) as joins:
            await until(lambda: 0 < joins.statistics()["slots_owned"] < SLOTS)
            await send_more(other, 1)
            assert (owned(joins), second.attempts) == (0, [])
            sink.gate.set()
            await until(lambda: owned(first) + owned(joins) == ENDPOINTS and owned(joins) > 0)
            await all_delivered(store, 3 * ENDPOINTS)
            assert len(second.attempts) > 0
    assert len(sink.attempts) + len(second.attempts) == 3 * ENDPOINTS


async def test_who_leaves_gives_up_what_it_owns(store: Store, other: Store) -> None:
    """Before it stops; what is alone keeps all."""
    await make_endpoints(store)
    async with running(store, Scripted()) as stays, running(other, Scripted()) as leaves:
        await until(lambda: owned(stays) + owned(leaves) == ENDPOINTS and owned(leaves) > 0)
        leaves.leave()
        await until(lambda: owned(stays) == ENDPOINTS)
        assert owned(leaves) == 0
        stays.leave()
        await send_more(store, 1)
        await all_delivered(store, ENDPOINTS)
