"""What producers and a load balancer see of a node while another one, or its network, is frozen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import trio
from rich import print as show

from hookhub.testing.hub_process import HubProcess
from support.chaos.calls import Body
from support.chaos.checks import conclude
from support.chaos.cluster import Cluster
from support.chaos.database import LEASED
from support.chaos.ledger import Ledger
from support.chaos.producers import SOURCE
from support.chaos.report import verify
from support.chaos.world import CONCURRENCY, SETTINGS, World
from support.frozen import FreezingProxy

POSTERS = 2
BATCH = 10
KIND = "payment.completed"
"""Of the events posted; no webhook wants it, so that what is measured is the taking in."""
LOOK = 0.05
"""Seconds between two questions whether a node is ready."""
WEBHOOKS: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    ("healthy", "healthy", ("user.*", "ticket.*"), {}),
    ("flaky", "flaky", ("user.*", "transaction.*"), {}),
    ("ordered", "moody", ("user.*",), {"ordered": True}),
)
TIMEOUT = 4.0
"""``[database] timeout``: short, so that there can be many freezes."""
SLACK = 0.5
"""Seconds that a busy machine may take for what needs no time."""


@dataclass(slots=True)
class Look:
    """One answer of ``/health/ready``."""

    asked: float
    answered: float
    ready: bool


class Observed:
    """Posts to one node without a pause, and asks it all the time whether it is ready.

    Args:
        example: a payload of :data:`KIND`.
    """

    def __init__(
        self, node: HubProcess, name: str, ledger: Ledger, example: dict[str, Any]
    ) -> None:
        self.node = node
        self._name = name
        self._ledger = ledger
        self._example = example
        self._number = 0
        self._ending = trio.Event()
        self.accepted: list[float] = []
        """Moments of answers 202."""
        self.looks: list[Look] = []

    async def run(self) -> None:
        """Until :meth:`end`; what is under way then is brought to its end."""
        async with trio.open_nursery() as nursery:
            for number in range(POSTERS):
                nursery.start_soon(self._post, f"{self._name}-{number}")
            nursery.start_soon(self._look)

    def end(self) -> None:
        """Post no more."""
        self._ending.set()

    async def _post(self, name: str) -> None:
        async with self.node.async_client() as http:
            while not self._ending.is_set():
                await self._batch(http, f"{name}-{self._fresh()}")

    async def _batch(self, http: httpx.AsyncClient, group: str) -> None:
        markers = [f"{group}.{position}" for position in range(BATCH)]
        self._ledger.groups[group] = markers
        request = http.build_request(
            "POST",
            "/events/batch",
            json=[
                {
                    "type": KIND,
                    "payload": {**self._example, "marker": marker},
                    "source": SOURCE,
                }
                for marker in markers
            ],
            headers={"Idempotency-Key": group},
        )
        request.stream = Body(request.content)
        response: httpx.Response | None = None
        try:
            response = await http.send(request)
        except httpx.TransportError:
            self._ledger.answers["lost"] += 1
        if response is None or response.status_code != 202:
            assert response is None or response.status_code == 503, response.text[:500]
            self._ledger.unsure.add(group)
            await trio.sleep(LOOK)
            return
        self._ledger.accept(group, response.json()["items"])
        self.accepted.append(time.monotonic())

    async def _look(self) -> None:
        async with self.node.async_client() as http:
            while not self._ending.is_set():
                asked = time.monotonic()
                response = await http.get("/health/ready")
                self.looks.append(Look(asked, time.monotonic(), response.status_code == 200))
                await trio.sleep(LOOK)

    def _fresh(self) -> int:
        self._number += 1
        return self._number

    # -- what was seen ---------------------------------------------------------------------

    def silence(self, since: float, until: float) -> float:
        """The longest time in this period in which nothing was accepted, in seconds."""
        inside = [moment for moment in self.accepted if since < moment < until]
        return max(later - before for before, later in pairwise([since, *inside, until]))

    def lies(self, since: float, until: float) -> Iterator[str]:
        """Where readiness said what was not so, or took its time to say it.

        It may say that all is well until the oldest write is older than a quarter of the timeout,
        and as soon as the next one is accepted, of which the producer hears at the same moment.
        """
        most = TIMEOUT / 4 + SLACK
        for look in self.looks:
            if not since < look.asked < until:
                continue
            if look.answered - look.asked > most:
                yield f"{self._name} took {look.answered - look.asked:.1f} s to say how it is"
            before = max((m for m in self.accepted if m < look.asked), default=since)
            silent = look.asked - max(before, since)
            again = any(0 <= m - look.asked < SLACK / 2 for m in self.accepted)
            if look.ready and silent > most and not again:
                yield f"{self._name} said ready, having accepted nothing for {silent:.1f} s"

    def unready(self, since: float, until: float) -> bool:
        """Whether it said in this period that it is not ready."""
        return any(not look.ready for look in self.looks if since < look.asked < until)

    async def well(self) -> float:
        """Return when it accepts and is ready; the seconds until it accepted."""
        since = time.monotonic()
        with trio.fail_after(2 * TIMEOUT):
            while not (self.accepted and self.accepted[-1] > since):
                await trio.sleep(LOOK / 5)
            found = self.accepted[-1] - since
            while not (self.looks and self.looks[-1].ready and self.looks[-1].asked > since):
                await trio.sleep(LOOK / 5)
        return found


def settings(url: str) -> dict[str, dict[str, Any]]:
    """As in the other proofs; what is in flight at a freeze is counted for both nodes."""
    delivery = {**SETTINGS["delivery"], "concurrency": CONCURRENCY // 2}
    return {**SETTINGS, "delivery": delivery, "database": {"url": url, "timeout": TIMEOUT}}


@dataclass(slots=True)
class Freeze:
    """What came of one."""

    seconds: float
    """How long it lasted."""
    silence: float
    """The longest time in which the healthy node accepted nothing."""
    unready: bool
    """Whether the healthy node said that it was not ready."""
    back: float
    """Seconds after the thaw until the frozen one accepted again."""


class Freezes:
    """Freezes one of two nodes after the other, under load.

    Args:
        world: with a :class:`Cluster` of two nodes, under load.
        nodes: both of them, observed.
    """

    def __init__(self, world: World, nodes: list[Observed]) -> None:
        self._world = world
        self._nodes = nodes
        self._all: list[Freeze] = []
        self.faults: list[str] = []

    async def stop_one(self) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        pid = self._pair()[0].node.pid
        stop, go_on = (partial(os.kill, pid, what) for what in (signal.SIGSTOP, signal.SIGCONT))
        await self._freeze(stop, go_on)

    async def cut_one(self, proxies: list[FreezingProxy]) -> None:
        """Nothing passes between a node and its database for a while; it is asked how it is."""
        frozen, _ = self._pair()
        proxy = proxies[len(self._all) % 2]
        since = time.monotonic()
        await self._freeze(proxy.freeze, proxy.thaw)
        self.faults += frozen.lies(since, since + self._all[-1].seconds)

    def _pair(self) -> tuple[Observed, Observed]:
        """Who freezes next, and who does not."""
        turn = len(self._all) % 2
        return self._nodes[turn], self._nodes[1 - turn]

    async def _freeze(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        frozen, healthy = self._pair()
        self._world.tally.rounds += 1
        name = f"freeze {self._world.tally.rounds}"
        chance = self._world.chance(name)
        await trio.sleep(chance.uniform(0.3, 1.0))
        since = time.monotonic()
        begin()
        # Attempts in flight may time out meanwhile although they were acknowledged.
        await self._note()
        await trio.sleep(chance.uniform(0.5, 1.5) * TIMEOUT)
        await self._note()
        until = time.monotonic()
        end()
        silence = healthy.silence(since, until)
        if silence >= TIMEOUT:
            self.faults.append(f"{name}: the healthy node accepted nothing for {silence:.1f} s")
        back = await frozen.well()
        await healthy.well()
        self.faults += healthy.lies(since, until)
        unready = healthy.unready(since, until)
        self._all.append(Freeze(until - since, silence, unready, back))

    async def _note(self) -> None:
        await trio.sleep(0.02)
        rows = await trio.to_thread.run_sync(self._world.database.rows, LEASED)
        self._world.note_in_flight([(row[0], row[1]) for row in rows])

    async def conclude(self, name: str) -> None:
        """Print what was measured; nothing that was accepted is lost."""
        await self._world.end_load()
        await self._world.settle()
        outcome = await conclude(self._world)
        outcome.faults += self.faults
        held = [item for item in self._all if item.silence > 0.5]
        show(
            {
                "freezes": f"{len(self._all)}, {sum(f.seconds for f in self._all):.0f} s in all",
                "the healthy node held up": f"{len(held)}",
                "at most": f"{max(item.silence for item in self._all):.2f} s",
                "of these not ready meanwhile": f"{sum(item.unready for item in held)}",
                "the frozen node back": f"at most {max(f.back for f in self._all):.2f} s",
            }
        )
        verify(name, outcome)


@asynccontextmanager
async def freezes(world: World) -> AsyncIterator[Freezes]:
    """Start both nodes, put them under load, and observe them."""
    assert isinstance(world.hub, Cluster)
    await world.begin(WEBHOOKS)
    await world.load(trouble=False)
    types = (await world.caller.get("/event-types"))["items"]
    (example,) = (item["example"] for item in types if item["name"] == KIND)
    nodes = [
        Observed(node, f"node{number}", world.ledger, example)
        for number, node in enumerate(world.hub.nodes)
    ]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.run)
        try:
            for node in nodes:
                await node.well()
            yield Freezes(world, nodes)
        finally:
            for node in nodes:
                node.end()
