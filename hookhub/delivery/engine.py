"""The delivery engine: claims what is due, lets the sinks attempt it, writes down what came of it.

It knows no webhook. Whatever happens between claim and record (a crash, a lost database), the
lease ends and the delivery is attempted again: at least once, always.

Deliveries that are committed while their lane has room are claimed at birth (:class:`HandOver`)
and attempted at once; all others wait in the store and are claimed a few at a time, lane by lane
(:mod:`hookhub.delivery.claiming`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Sequence

import structlog
import trio

from hookhub.config import DeliverySettings
from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.claiming import Claimer
from hookhub.delivery.lanes import Lane, Obstacle, Scheduler
from hookhub.delivery.leases import Leases
from hookhub.delivery.nodes import Nodes
from hookhub.delivery.owners import Owners
from hookhub.delivery.recording import Observer, Recorder, Results
from hookhub.delivery.roster import Roster
from hookhub.delivery.verdicts import Verdicts
from hookhub.store import NewDelivery, Store
from hookhub.store.notices import Topic, due_notice, notify
from hookhub.store.units.postponed import from_the_future

log = structlog.get_logger("hookhub.delivery")


class Engine:
    """Owns every attempt that is in flight.

    Args:
        attempts: makes them; deliveries of a sink that it does not have stay pending.
        poll: seconds between looks for what other processes did.
        verdicts: what failures mean for endpoints.
        observer: is told of every attempt.
    """

    def __init__(
        self,
        store: Store,
        attempts: Attempts,
        settings: DeliverySettings,
        poll: float,
        verdicts: Verdicts,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._scheduler = Scheduler(settings.concurrency)
        self._owners = Owners(
            self._scheduler,
            lambda claims: self._leases.give_back(claims),
            lambda: self._claimer.look_soon(),
        )
        self._roster = Roster(
            store,
            self._scheduler,
            attempts.sinks,
            settings.endpoint_concurrency,
            self._owners.owns,
        )
        self._recorder = Recorder(store, verdicts.record)
        self._results = Results(store, self._recorder, settings, observer)
        # A lost lock: others may take over what this node has claimed.
        self._nodes = Nodes(
            store,
            self._owners,
            lambda: self._claimer.look_soon(),
            lambda: self._leases.doubt(),
        )
        self._leases = Leases(store, self._nodes, attempts.longest)
        self._claimer = Claimer(
            store,
            self._scheduler,
            self._roster,
            self._leases,
            poll,
            self._pump,
            self._owners.sure,
        )
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._handed_over = 0
        self._opened = 0

    # -- what the writer asks, in its thread -----------------------------------------------

    def lease(self, now: int) -> tuple[int, int]:
        """The number of a new lease, and when it ends (microseconds)."""
        return self._leases.new(now)

    def takes(self, endpoint_id: int, more: int, now: int) -> bool:
        """Whether a delivery just being committed may be handed over at once."""
        ready = not self._claimer.stopping and self._recorder.failing is None
        return ready and self._owners.sure() and self._scheduler.takes(endpoint_id, more, now)

    def lost(self, lease: int) -> None:
        """Nobody knows whether what has this lease was committed."""
        self._leases.lost(lease)

    # -- what others tell ------------------------------------------------------------------

    def wake(self, endpoint_id: int) -> None:
        """Something is due for this endpoint."""
        self.due([endpoint_id])
        if not self._owners.owns(endpoint_id) and self._nursery is not None:
            self._nursery.start_soon(self._tell_others, due_notice([endpoint_id]))

    def due(self, endpoint_ids: Collection[int] | None) -> None:
        """Something was made due elsewhere for these endpoints; None: nobody knows for whom."""
        if endpoint_ids is None:
            self._claimer.look_soon()
            return
        for endpoint_id in endpoint_ids:
            lane = self._scheduler.lanes.get(endpoint_id)
            if lane is not None and not lane.idle:
                self._scheduler.due_by(lane, self._store.clock())
        self._claimer.ring()

    async def _tell_others(self, text: str) -> None:
        if signature := self._store.notices.signature():
            # Whoever is not told looks in a moment.
            with contextlib.suppress(HookhubError):
                await self._store.write(lambda tx: notify(tx, signature, text), locks=False)

    def committed(self, events: list[Event], deliveries: list[NewDelivery]) -> None:
        """Deliveries were committed by this process."""
        if deliveries:
            self._handed_over += sum(item.lease is not None for item in deliveries)
            self._give_back_soon(self._claimer.committed(events, deliveries))
            self._pump()
            self._claimer.ring()

    async def endpoint_changed(self, endpoint_id: int, endpoint: Endpoint | None) -> None:
        """Go by an endpoint that this process made, changed or (None) deleted."""
        await self._claimer.endpoint_changed(endpoint_id, endpoint)

    def look(self) -> None:
        """Endpoints were changed elsewhere: look at them now."""
        self._claimer.look_soon()

    async def look_around(self) -> None:
        """Find what was changed or made due, here or by other processes; let others look too."""
        await self._claimer.look_around()
        await self._tell_others(Topic.DUE.value)

    def nodes_changed(self) -> None:
        """Another node has come, leaves, or has given up something."""
        self._nodes.look()

    def leave(self) -> None:
        """This node is about to stop: others may have what it owns."""
        self._nodes.leave()

    # -- running ---------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until :meth:`stop`, then wait for the attempts in flight."""
        try:
            async with trio.open_nursery() as around:
                try:
                    await around.start(self._recorder.run)
                    await around.start(self._nodes.run)
                    # Not among the attempts: a stop does not wait for it.
                    around.start_soon(self._claimer.mender.run)
                    await self._run(task_status)
                finally:
                    self._recorder.close()
                    around.cancel_scope.cancel()
        finally:
            self._store.hand_over_to(None)
            self._ended.set()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as attempts:
            self._nursery = attempts
            try:
                await self._claimer.refresh()
                if await self._store.read(from_the_future):
                    self._claimer.mender.begin()
                self._store.hand_over_to(self)
                task_status.started()
                await self._claimer.run()
                self._store.hand_over_to(None)
                await self._claimer.give_back_all()
            finally:
                # In a crash, commits still come in; what they claim falls free with its lease.
                self._nursery = None

    async def stop(self) -> None:
        """Start no more attempts; return when those in flight are recorded."""
        self._claimer.stop()
        self._nodes.leave()
        await self._ended.wait()

    def _give_back_soon(self, claims: Sequence[Claim]) -> None:
        if claims and self._nursery is not None:
            self._nursery.start_soon(self._give_back, claims)

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        await self._leases.give_back(claims)
        elsewhere = {item.endpoint_id for item in claims if not self._owners.owns(item.endpoint_id)}
        if elsewhere:
            await self._tell_others(due_notice(elsewhere))

    def _pump(self) -> None:
        """Start what may start. Synchronous: nothing waits for a free task.

        While attempts cannot be written down, no more are begun: whatever ends this process then
        makes them once more.
        """
        if self._nursery is None or self._claimer.stopping or self._recorder.failing is not None:
            return
        if not self._owners.sure():
            return
        now = trio.current_time()
        while (found := self._scheduler.next(now)) is not None:
            self._nursery.start_soon(self._deliver, *found)

    async def _deliver(self, lane: Lane, claim: Claim) -> None:
        delivered: bool | None = None
        try:
            sure = self._may_begin(lane) and self._leases.good(claim, self._store.clock())
            mine = claim if sure else await self._begin(lane, claim)
            if mine is None:
                return
            started_at = self._store.clock()
            began = time.perf_counter()
            result = await self._attempts.make(
                lane.endpoint,
                mine.event,
                delivery_id=mine.id,
                number=mine.attempts + 1,
                now=started_at,
            )
            duration = time.perf_counter() - began
            delivered = result.outcome is Outcome.DELIVERED
            await self._record(lane, mine, result, started_at, duration)
        finally:
            self._leases.drop(claim)
            self._finished(lane, delivered)

    async def _begin(self, lane: Lane, claim: Claim) -> Claim | None:
        """The claim, if it may be attempted all the same."""
        if not self._may_begin(lane):
            # Switched off since, or given up to another node.
            await self._leases.give_back([claim])
            self._scheduler.due_by(lane, self._store.clock())
            return None
        try:
            mine = await self._leases.renew(claim, self._store.clock())
        except StoreUnavailable:
            mine = None
            self._leases.owe([claim])
        if mine is not None and not self._may_begin(lane):
            self._leases.owe([mine])
            return None
        return mine

    def _may_begin(self, lane: Lane) -> bool:
        return not lane.idle and self._owners.sure()

    def _finished(self, lane: Lane, delivered: bool | None) -> None:
        if self._scheduler.finished(lane, trio.current_time(), delivered):
            self._opened += 1
            log.warning("breaker.opened", endpoint_id=lane.endpoint.id)
            # While it stops, run() gives back whatever is in the queues.
            dropped = [] if self._claimer.stopping else self._scheduler.drop_queue(lane)
            if dropped:
                self._scheduler.due_by(lane, self._store.clock())
                self._give_back_soon(dropped)
        if not lane.owned:
            # Somebody may wait for its slot.
            self._nodes.look()
        self._pump()
        self._claimer.ring()

    async def _record(
        self, lane: Lane, claim: Claim, result: AttemptResult, started_at: int, duration: float
    ) -> None:
        item, recorded = await self._results.record(
            lane.endpoint, claim, result, started_at, duration
        )
        if recorded is not None and (recorded.released or item.due_at is not None):
            now = self._store.clock()
            self._scheduler.due_by(lane, now if recorded.released else item.due_at or now)
        if result.disable_endpoint or (recorded is not None and recorded.disabled):
            # If the store does not answer now, the next look around finds it.
            with contextlib.suppress(HookhubError):
                await self._claimer.refresh()

    # -- how it goes -----------------------------------------------------------------------

    def in_hands(self) -> int:
        """How many deliveries are claimed by this process."""
        return self._scheduler.queued + self._scheduler.in_flight

    def check(self) -> str | None:
        """None if all is well, else what is wrong."""
        return self._claimer.failing or self._recorder.failing

    def warnings(self) -> str | None:
        """What the hub goes on without: endpoints whose secrets it cannot read."""
        return self._roster.warnings()

    def breaker_states(self, endpoint_ids: Iterable[int]) -> dict[int, str]:
        """Endpoint to the state of its breaker, for those that this node owns."""
        now = trio.current_time()
        found = ((key, self._scheduler.lanes.get(key)) for key in endpoint_ids)
        return {key: lane.breaker.state(now).value for key, lane in found if lane and lane.owned}

    def owned(self) -> int:
        """How many endpoints only this node attempts deliveries of."""
        return sum(lane.owned for lane in self._scheduler)

    def open_breakers(self) -> dict[int, str]:
        """Endpoint to the state of its breaker, for those that this node owns and lets rest."""
        now = trio.current_time()
        lanes = [lane for lane in self._scheduler if lane.owned and not lane.breaker.closed]
        return {lane.endpoint.id: lane.breaker.state(now).value for lane in lanes}

    def obstacle(self, endpoint_id: int) -> Obstacle | None:
        """What holds back deliveries to an endpoint on this node; None if nothing does."""
        lane = self._scheduler.lanes.get(endpoint_id)
        return Obstacle("endpoint") if lane is None else lane.obstacle(trio.current_time())

    def statistics(self) -> dict[str, float]:
        """Counters and gauges."""
        now = trio.current_time()
        return {
            "in_flight": self._scheduler.in_flight,
            "queued": self._scheduler.queued,
            "queued_bytes": self._scheduler.queued_bytes,
            "handed_over_total": self._handed_over,
            "slots_owned": self._owners.slots,
            "endpoints_owned": self.owned(),
            "endpoints_unreadable": len(self._roster.unreadable()),
            "nodes": self._nodes.living,
            "taken_over_total": self._nodes.taken_over,
            "breakers_opened_total": self._opened,
            "breakers_open": sum(
                lane.owned and lane.breaker.is_open(now) for lane in self._scheduler
            ),
            **self._results.statistics(),
        }
