"""A hub process, those who use it, and the hand that kills it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from hookhub.testing.hub_process import HubProcess
from support.chaos.calls import Caller, Gate, OpenGate
from support.chaos.cluster import Cluster
from support.chaos.database import Database
from support.chaos.follower import Follower
from support.chaos.ledger import Ledger, Webhook
from support.chaos.moments import Moments
from support.chaos.operators import Operator
from support.chaos.producers import SOURCE, Producer
from support.chaos.receivers import Receiver

CONCURRENCY = 40
"""Attempts in flight at once, and so duplicates that one kill may cause, at most."""
SETTINGS: dict[str, dict[str, Any]] = {
    "delivery": {
        "timeout": 1.0,
        "connect_timeout": 0.5,
        "retry_schedule": [0.05] * 200,
        "jitter": 0.5,
        "endpoint_concurrency": 8,
        "concurrency": CONCURRENCY,
    },
    "events": {"outbox_interval": 0.05},
    "auth": {"secret_key": "a-key-for-the-secrets-of-the-proof"},
    "log": {"level": "warning"},
}
"""Short waits, so that a run settles; everything else as people have it."""

WEBHOOKS: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    # `*` does not mean the hub's own events: they are asked for by name.
    ("healthy", "healthy", ("*", "delivery.failed"), {}),
    ("flaky", "flaky", ("user.*", "payment.*"), {"retry_schedule": [0.05] * 3}),
    ("hanging", "hanging", ("ticket.*",), {"timeout": 1.0}),
    ("hostile", "hostile", ("transaction.*", "ticket.*"), {}),
    ("ordered", "moody", ("*",), {"ordered": True}),
    ("fleeting", "healthy", ("user.*",), {}),
)
PRODUCERS = 6
UNSETTLED = (
    "SELECT id, endpoint_id, status, due_at, lease, attempts, order_key, error "
    "FROM hookhub_deliveries WHERE status <> 1 ORDER BY id LIMIT 20"
)


@dataclass(slots=True)
class Tally:
    """What the table shows besides the ledger."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    """Moment to kills."""
    claimed: int = 0
    """Deliveries that were claimed at the kills."""
    in_flight: int = 0
    """Those of them whose request was with the receiver."""
    most_in_flight: int = 0
    cut: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Delivery and attempt to how often a kill came before its record."""
    noted: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Delivery and attempt to how often it had been received by the last of those kills."""
    receiver_kills: int = 0
    began: float = field(default_factory=time.monotonic)


class World:
    """One run; see :func:`open_world`."""

    def __init__(
        self,
        hub: HubProcess,
        database: Database,
        seed: int,
        nursery: trio.Nursery,
        gate: Gate | None = None,
    ) -> None:
        self.hub = hub
        self.database = database
        self.seed = seed
        self.gate = gate or Gate()
        self.moments = Moments(self.chance("moments"))
        self.ledger = Ledger()
        self.tally = Tally()
        self.receivers: dict[str, Receiver] = {}
        self._nursery = nursery
        self._callers: list[Caller] = []
        self._ending = trio.Event()
        self._leased: set[tuple[int, int]] = set()
        self._busy = 0
        self._quiet = trio.Event()
        self._killer = self.chance("killer")
        self.caller = self.new_caller()
        self.follower = Follower(self.new_caller())
        self.operator = Operator(
            self.new_caller(), self.ledger, self.chance("operator"), self.new_receiver
        )

    def chance(self, name: str) -> random.Random:
        """A source of chance of its own, the same in every run with this seed."""
        return random.Random(f"{self.seed} {name}")

    def new_caller(self) -> Caller:
        """A connection to the hub."""
        caller = Caller(self.hub, self.gate, self.moments, self.ledger)
        self._callers.append(caller)
        return caller

    async def aclose(self) -> None:
        """Kill the hub, and close all connections to it."""
        await trio.to_thread.run_sync(self.hub.kill)
        for caller in self._callers:
            await caller.aclose()

    def new_receiver(self, name: str, character: str) -> Receiver:
        """A receiver that listens."""
        secret = f"first-secret-of-{name}-and-long-enough"
        receiver = Receiver(name, character, self.chance(name), self.moments, [secret])
        self.receivers[name] = receiver
        self._nursery.start_soon(receiver.run)
        return receiver

    # -- the load --------------------------------------------------------------------------

    async def begin(
        self, webhooks: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = WEBHOOKS
    ) -> None:
        """Start the hub and make the webhooks."""
        await self.start()
        for name, character, event_types, options in webhooks:
            made = await self.operator.make(name, character, event_types, **options)
            made.always_on = name != "fleeting"
            made.after = 0  # no event was before them

    async def load(self, producers: int = PRODUCERS, *, trouble: bool = True) -> None:
        """Let producers, the follower and (with ``trouble``) operator and receivers' deaths run."""
        types = (await self.caller.get("/event-types"))["items"]
        examples = {item["name"]: item["example"] for item in types}
        for number in range(producers):
            name = f"p{number}"
            producer = Producer(
                name,
                self.new_caller(),
                self.database,
                self.ledger,
                self.moments,
                self.chance(name),
                examples,
                self.operator if trouble and number == 0 else None,
            )
            self._nursery.start_soon(self._work, producer)
        self._nursery.start_soon(self._work, self.follower)
        if trouble:
            self._nursery.start_soon(self._trouble)

    async def _work(self, worker: Producer | Follower) -> None:
        self._busy += 1
        await worker.run(self._ending)
        self._busy -= 1
        if not self._busy:
            self._quiet.set()

    async def _trouble(self) -> None:
        """Receivers die and come back."""
        chance = self.chance("trouble")
        while not self._ending.is_set():
            await trio.sleep(chance.uniform(0.2, 1.2))
            receiver = chance.choice(list(self.receivers.values()))
            receiver.kill()
            self.tally.receiver_kills += 1
            await trio.sleep(chance.uniform(0.05, 0.6))
            receiver.come_back()

    async def end_load(self) -> None:
        """Let everybody finish what is begun."""
        self._ending.set()
        await self._quiet.wait()

    # -- the hub's lives -------------------------------------------------------------------

    async def start(self) -> None:
        """Start the hub, and tell everybody when it is ready."""
        await trio.to_thread.run_sync(self.hub.start)
        self.gate.open()

    async def round(self, kind: str) -> None:
        """Kill the hub at a moment of this kind, and start it again."""
        self.tally.rounds += 1
        passed = await self.moments.wait("any" if kind == "start" else kind)
        await self.kill(passed)
        if kind == "start":
            self.hub.spawn()
            await trio.sleep(self._killer.uniform(0.05, 1.0))
            await self.kill("start")
        await self.start()

    async def kill(self, kind: str) -> None:
        """SIGKILL, then look which attempts were in flight."""
        os.kill(self.hub.pid, signal.SIGKILL)
        self.gate.close()
        await trio.to_thread.run_sync(self.hub.wait)
        self.tally.kills[kind] += 1
        # What is in the sockets still reaches the receivers.
        await trio.sleep(0.02)
        self.note_in_flight(await trio.to_thread.run_sync(self.database.leased))

    def note_in_flight(self, leased: list[tuple[int, int]]) -> None:
        """Those of the claimed deliveries that a receiver saw since the last time."""
        found = 0
        # On PostgreSQL the claims of the one that died before may still be there.
        self.tally.claimed += len(set(leased) - self._leased)
        self._leased = set(leased)
        for place in leased:
            if self.sightings(place) > self.tally.noted[place]:
                self.tally.noted[place] = self.sightings(place)
                self.tally.cut[place] += 1
                found += 1
        self.tally.in_flight += found
        self.tally.most_in_flight = max(self.tally.most_in_flight, found)

    def sightings(self, place: tuple[int, int]) -> int:
        """How often an attempt (delivery and number) reached a receiver."""
        return sum(receiver.seen[place] for receiver in self.receivers.values())

    async def restart(self) -> None:
        """SIGTERM, then start again: the breakers are closed, and nobody's claims are left."""
        self.gate.close()
        await trio.to_thread.run_sync(self.hub.restart)
        self.gate.open()

    # -- the end ---------------------------------------------------------------------------

    def heal(self) -> None:
        """From now on every receiver acknowledges everything."""
        for receiver in self.receivers.values():
            receiver.character = "healthy"
            receiver.come_back()

    async def settle(self, patience: float = 90.0) -> None:
        """Heal all receivers, and wait until everything is delivered.

        Raises:
            AssertionError: something is still pending or failed after ``patience`` seconds.
        """
        self.heal()
        await self.restart()
        state: Mapping[str, int] = {"unknown": 1}
        with trio.move_on_after(patience):
            while any(state.values()):
                await trio.sleep(0.1)
                state = await self._unsettled()
        if any(state.values()):
            rows = await trio.to_thread.run_sync(self.database.rows, UNSETTLED)
            raise AssertionError(f"not settled after {patience:g} s: {dict(state)}: {rows}")
        await self._last_event()

    async def _unsettled(self) -> dict[str, int]:
        stats = await self.caller.get("/webhooks/stats")
        state = {name: stats[f"{name}_deliveries"] for name in ("pending", "failed")}
        if state["failed"]:
            for webhook in self.ledger.living:
                await self.caller.send("POST", f"/webhooks/{webhook.id}/retry-failed")
        state["replays"] = (await self.caller.get("/replays?state=running"))["total"]
        rows = "SELECT COUNT(*) FROM hookhub_outbox"
        ((state["outbox"],),) = await trio.to_thread.run_sync(self.database.rows, rows)
        return state

    async def _last_event(self) -> None:
        """One more event for all: it must be signed with the newest secret everywhere."""
        group = "the-last"
        self.ledger.groups[group] = [f"{group}.0"]
        payload = {"user_id": 1, "marker": f"{group}.0"}
        body = {"type": "user.created", "payload": payload, "source": SOURCE}
        response = await self.caller.send("POST", "/events", body)
        assert response is not None
        self.ledger.accept(group, [response.json()])
        with trio.fail_after(30):
            while any((await self._unsettled()).values()):
                await trio.sleep(0.05)

    def webhook(self, name: str) -> Webhook:
        """The webhook of this name."""
        return next(webhook for webhook in self.ledger.webhooks if webhook.name == name)


@asynccontextmanager
async def open_world(hub: HubProcess, database: Database, seed: int) -> AsyncIterator[World]:
    """A world around a hub that does not run yet; the hub is killed at the end."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        together = isinstance(hub, Cluster)
        world = World(hub, database, seed, nursery, OpenGate() if together else None)
        if isinstance(hub, Cluster):
            nursery.start_soon(hub.balance, world.chance("balance"))
        try:
            yield world
        except Exception as error:
            # Raised below: through the nursery it would become an ExceptionGroup.
            failure = error
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 60):
                await world.aclose()
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
