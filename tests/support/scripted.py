"""A whole engine around a sink that answers what it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from hookhub.config import DeliverySettings
from hookhub.contracts.deliveries import (
    DEFAULT_OPTIONS,
    Claim,
    Delivery,
    EndpointOptions,
    NewEndpoint,
)
from hookhub.contracts.events import Draft, new_event_id
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.engine import Engine
from hookhub.delivery.lanes import Scheduler
from hookhub.delivery.owners import Owners
from hookhub.delivery.verdicts import Verdicts
from hookhub.plugins import TransformRegistry
from hookhub.store import Store
from hookhub.store.store import now_us
from hookhub.store.units.deliveries import get_delivery
from hookhub.store.units.endpoints import insert_endpoint

DELIVERED = AttemptResult(Outcome.DELIVERED, response_status=200, response_body="ok")
RETRY = AttemptResult(Outcome.RETRY, 500, "no", "status", "It answered 500.")


class Scripted(DurableSink):
    """Answers attempts from a list, then delivers."""

    name = "scripted"

    def __init__(self, *script: AttemptResult | BaseException) -> None:
        self.script = list(script)
        self.attempts: list[Attempt] = []
        self.gate: trio.Event | None = None
        self.entered = trio.Event()

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        self.attempts.append(attempt)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        step = self.script.pop(0) if self.script else DELIVERED
        if isinstance(step, BaseException):
            raise step
        return step


@asynccontextmanager
async def running(store: Store, sink: Scripted, **settings: Any) -> AsyncIterator[Engine]:
    values = {"retry_schedule": [0.0, 0.0], **settings}
    options = DeliverySettings(**values)
    attempts = Attempts({sink.name: sink}, TransformRegistry(), options.timeout)
    engine = Engine(store, attempts, options, 0.05, Verdicts(options))
    store.on_commit(engine.committed)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield engine
        nursery.cancel_scope.cancel()


def nothing_owned() -> Owners:
    """For who has no endpoints."""

    async def give_back(claims: Sequence[Claim]) -> None:
        assert not claims

    return Owners(Scheduler(1), give_back, lambda: None)


async def send(store: Store, options: EndpointOptions = DEFAULT_OPTIONS) -> None:
    new = NewEndpoint("one", ("*",), {}, secret="s", options=options)
    await store.write(lambda tx: insert_endpoint(tx, "scripted", new))
    await store.write(lambda tx: tx.append(Draft(new_event_id(0), "user.created", "{}", 1)))


async def delivery_when(store: Store, ready: Callable[[Delivery], bool]) -> Delivery:
    with trio.fail_after(10):
        while True:
            delivery = await store.read(lambda reader: get_delivery(reader, 1))
            if ready(delivery):
                return delivery
            await trio.sleep(0.005)


async def make_endpoint(store: Store, *engines: Engine) -> None:
    """An endpoint that these engines know of."""
    new = NewEndpoint("one", ("*",), {}, secret="s")
    await store.write(lambda tx: insert_endpoint(tx, "scripted", new))
    await until(lambda: all(engine.obstacle(1) is None for engine in engines))


async def send_more(store: Store, count: int) -> None:
    """More events, in one transaction."""
    await store.write(
        lambda tx: [
            tx.append(Draft(new_event_id(0), "user.created", "{}", 1)) for _ in range(count)
        ]
    )


async def until(ready: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when it is so."""
    with trio.fail_after(seconds):
        while not ready():
            await trio.sleep(0.005)


async def counts(store: Store) -> dict[int, int]:
    """Status (0 pending, 1 delivered, 2 failed) to deliveries."""
    found = await store.read(
        lambda reader: reader.sql("SELECT status, COUNT(*) FROM hookhub_deliveries GROUP BY status")
    )
    return {row[0]: row[1] for row in found}


async def all_delivered(store: Store, count: int) -> None:
    """Return when so many deliveries are there, all of them delivered."""
    with trio.fail_after(10):
        while await counts(store) != {1: count}:
            await trio.sleep(0.005)


class MovedClock:
    """The wall clock, so many seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> int:
        return now_us() + round(self.ahead * 1_000_000)
