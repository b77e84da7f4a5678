"""The delivery engine: claims what is due, lets the sinks attempt it, writes down what came of it.

It knows no webhook. Whatever happens between claim and record (a crash, a lost database), the
lease ends and the delivery is attempted again: at least once, always.

Deliveries that are committed while their lane has room are claimed at birth (:class:`HandOver`)
and attempted at once; all others wait in the store and are claimed a few at a time, lane by lane.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterable, Sequence

import structlog
import trio

from hookhub.config import DeliverySettings
from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.answer_headers import kept_headers
from hookhub.delivery.attempts import Attempts, storable
from hookhub.delivery.clock import ClockWatch, mend, was_set_back
from hookhub.delivery.lanes import Lane, Obstacle, Scheduler
from hookhub.delivery.leases import Leases
from hookhub.delivery.nodes import Nodes
from hookhub.delivery.observing import Observer
from hookhub.delivery.policy import decide
from hookhub.delivery.recording import Recorder
from hookhub.delivery.roster import Roster
from hookhub.delivery.verdicts import Verdicts
from hookhub.store import NewDelivery, Store
from hookhub.store.schema import HELD
from hookhub.store.units.claims import claim_due, next_due
from hookhub.store.units.deliveries import AttemptReport

REST = 1.5
"""Seconds after a failure of the database in which nothing is claimed: meanwhile every node writes
down what it has in its hands, so that nobody takes that for abandoned."""
MESSAGE_MAX = 1_000

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
        chance: random.Random | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._settings = settings
        self._poll = poll
        self._chance = chance or random.Random()
        self._scheduler = Scheduler(settings.concurrency)
        self._roster = Roster(store, self._scheduler, attempts.sinks, settings.endpoint_concurrency)
        self._recorder = Recorder(store, verdicts.record)
        self._observer = observer
        self._nodes = Nodes(store, self._look_soon, self._doubt)
        self._leases = Leases(store, self._nodes, attempts.longest)
        self._clock = ClockWatch()
        self._nursery: trio.Nursery | None = None
        self._around: trio.Nursery | None = None
        self._bell = trio.Event()
        self._stopping = False
        self._ended = trio.Event()
        self._look_at = 0.0
        self._rest_until: float | None = None
        self._mending = False
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._handed_over = 0
        self._opened = 0
        self._unrecorded = 0
        self._failing: str | None = None

    # -- what the writer asks, in its thread -----------------------------------------------

    def lease(self, now: int) -> tuple[int, int]:
        """The number of a new lease, and when it ends (microseconds)."""
        return self._leases.new(now)

    def takes(self, endpoint_id: int, more: int, now: int) -> bool:
        """Whether a delivery just being committed may be handed over at once."""
        ready = not self._stopping and self._recorder.failing is None
        return ready and self._scheduler.takes(endpoint_id, more, now)

    def lost(self, lease: int) -> None:
        """Nobody knows whether what has this lease was committed."""
        self._leases.lost(lease)

    # -- what others tell ------------------------------------------------------------------

    def wake(self, endpoint_id: int) -> None:
        """Something is due for this endpoint."""
        if (lane := self._scheduler.lanes.get(endpoint_id)) is not None:
            self._scheduler.due_by(lane, self._store.clock())
        self._bell.set()

    def committed(self, events: list[Event], deliveries: list[NewDelivery]) -> None:
        """Deliveries were committed by this process."""
        if not deliveries:
            return
        first, now = events[0].sequence, self._store.clock()
        refused: list[Claim] = []
        for item in deliveries:
            lane = self._scheduler.lanes.get(item.endpoint_id)
            if item.lease is not None:
                event = events[item.sequence - first]
                claim = Claim(item.id, item.endpoint_id, 0, 0, item.lease, item.due_at, event, now)
                self._handed_over += 1
                refused += self._take(lane, claim)
            elif lane is not None and item.due_at < HELD:
                self._scheduler.due_by(lane, item.due_at)
        self._give_back_soon(refused)
        self._pump()
        self._bell.set()

    def _take(self, lane: Lane | None, claim: Claim) -> list[Claim]:
        """Put a claim into its lane; returns it if the lane was closed meanwhile."""
        if lane is None or lane.closed:
            return [claim]
        self._leases.hold(claim)
        self._scheduler.add(lane, claim)
        return []

    def _look_soon(self) -> None:
        """Something became due for nobody knows whom."""
        self._look_at = 0.0
        self._bell.set()

    def _doubt(self) -> None:
        """This node is not known to be alive: others may take over what it has claimed."""
        self._leases.doubt()

    async def refresh(self) -> None:
        """Look again at the endpoints, if any changed here or elsewhere."""
        dropped = await self._roster.refresh()
        if dropped is not None:
            await self._changed(dropped)

    async def endpoint_changed(self, endpoint_id: int, endpoint: Endpoint | None) -> None:
        """Go by an endpoint that this process made, changed or (None) deleted.

        Alone, so that making a thousand of them does not read all of them a thousand times.
        """
        await self._changed(await self._roster.change(endpoint_id, endpoint))

    async def _changed(self, dropped: Sequence[Claim]) -> None:
        await self._leases.give_back(dropped)
        self._pump()
        self._bell.set()

    # -- running ---------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until :meth:`stop`, then wait for the attempts in flight."""
        try:
            async with trio.open_nursery() as around:
                self._around = around
                try:
                    await around.start(self._recorder.run)
                    await around.start(self._nodes.run)
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
                await self.refresh()
                if await was_set_back(self._store):
                    self._mend_soon()
                self._store.hand_over_to(self)
                task_status.started()
                await self._claim_until_stopped()
                self._store.hand_over_to(None)
                await self._give_back_all()
            finally:
                # In a crash, commits still come in; what they claim falls free with its lease.
                self._nursery = None

    async def stop(self) -> None:
        """Start no more attempts; return when those in flight are recorded."""
        self._stopping = True
        self._bell.set()
        await self._ended.wait()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping:
            self._bell = trio.Event()
            pause = self._poll
            try:
                back = self._clock.look(self._store.clock(), time.monotonic())
                if back:
                    await self._set_back(back)
                if await self._leases.settle() or trio.current_time() >= self._look_at:
                    self._look_at = trio.current_time() + self._poll
                    await self.look_around()
                if self._rested():
                    await self._claim()
                    self._failing = self._rest_until = None
            except HookhubError as error:
                # Whatever the store says: this goes on.
                self._failing, self._rest_until, self._look_at = error.detail, None, 0.0
                log.warning("delivery.claim_failed", error=error.detail)
            else:
                now, until = trio.current_time(), self._rest_until
                if until is None:
                    pause = self._scheduler.sleep(now, self._store.clock(), self._poll)
                else:
                    pause = min(self._poll, max(0.0, until - now))
            with trio.move_on_after(pause):
                await self._bell.wait()

    def _rested(self) -> bool:
        """Whether it is time to claim. After a failure: a while after the store answers again."""
        now = trio.current_time()
        if self._failing is not None and self._rest_until is None:
            self._rest_until = now + REST
        return self._rest_until is None or now >= self._rest_until

    async def _set_back(self, seconds: float) -> None:
        """The clock was set back."""
        log.warning("clock.set_back", seconds=round(seconds, 1))
        # Their leases end by the old time; what is in flight ends by itself before its lease does.
        lanes = self._scheduler
        await self._leases.give_back([claim for lane in lanes for claim in lanes.drop_queue(lane)])
        self._look_soon()
        self._mend_soon()

    def _mend_soon(self) -> None:
        # Not among the attempts: a stop does not wait for it.
        if self._around is not None and not self._mending:
            self._mending = True
            self._around.start_soon(self._mend)

    async def _mend(self) -> None:
        """Bring forward what waits for a time by a clock that was set back since."""
        try:
            await mend(self._store, list(self._scheduler.lanes), self._leases.span)
        except HookhubError as error:
            log.warning("clock.mend_failed", error=error.detail)
        finally:
            self._mending = False
        self._look_soon()

    async def look_around(self) -> None:
        """Find what was changed or made due, here or by other processes."""
        await self.refresh()
        await self._roster.read_again()
        lanes = [lane for lane in self._scheduler if not lane.closed]
        ids = [lane.endpoint.id for lane in lanes]
        due = await self._store.read(lambda reader: next_due(reader, ids))
        now, now_us = trio.current_time(), self._store.clock()
        for lane in lanes:
            if (found := due[lane.endpoint.id]) is not None:
                self._scheduler.found_due(lane, found, now, now_us)
        self._bell.set()

    async def _claim(self) -> None:
        now, now_us = trio.current_time(), self._store.clock()
        self._scheduler.tick(now, now_us)
        self._pump()
        wanted = self._scheduler.wanted(now, now_us)
        if not wanted:
            return
        lanes = {lane.endpoint.id: lane for lane, _ in wanted}
        numbers = [(lane.endpoint.id, count) for lane, count in wanted]
        lease, until = self.lease(now_us)
        held = self._leases.held
        try:
            found = await self._store.write(
                lambda tx: claim_due(tx, numbers, lease=lease, until=until, held=held), locks=False
            )
        except StoreUnavailable:
            self.lost(lease)
            for lane in lanes.values():
                self._scheduler.set_due(lane, lane.due)
            raise
        for endpoint_id, due in found.due.items():
            self._scheduler.claimed(lanes[endpoint_id], due)
        refused: list[Claim] = []
        for claim in found.claims:
            refused += self._take(self._scheduler.lanes.get(claim.endpoint_id), claim)
        self._pump()
        await self._leases.give_back(refused)

    async def _give_back_all(self) -> None:
        """Give back what is claimed and will not be attempted by this process."""
        with contextlib.suppress(StoreUnavailable):
            # A transaction that is under way may still hand something over; the writer does one
            # after the other, so all that it has handed over is in the queues after this one.
            await self._store.write(lambda tx: None, locks=False)
        lanes = self._scheduler
        await self._leases.give_back([claim for lane in lanes for claim in lanes.drop_queue(lane)])

    def _give_back_soon(self, claims: Sequence[Claim]) -> None:
        if claims and self._nursery is not None:
            self._nursery.start_soon(self._leases.give_back, claims)

    def _pump(self) -> None:
        """Start what may start. Synchronous: nothing waits for a free task.

        While attempts cannot be written down, no more are begun: whatever ends this process then
        makes them once more.
        """
        if self._nursery is None or self._stopping or self._recorder.failing is not None:
            return
        now = trio.current_time()
        while (found := self._scheduler.next(now)) is not None:
            self._nursery.start_soon(self._deliver, *found)

    async def _deliver(self, lane: Lane, claim: Claim) -> None:
        delivered: bool | None = None
        try:
            sure = not lane.closed and self._leases.good(claim, self._store.clock())
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
        if lane.closed:
            # Switched off since.
            await self._leases.give_back([claim])
            self._scheduler.due_by(lane, self._store.clock())
            return None
        try:
            return await self._leases.renew(claim, self._store.clock())
        except StoreUnavailable:
            self._leases.owe([claim])
            return None

    def _finished(self, lane: Lane, delivered: bool | None) -> None:
        if self._scheduler.finished(lane, trio.current_time(), delivered):
            self._opened += 1
            log.warning("breaker.opened", endpoint_id=lane.endpoint.id)
            # While it stops, run() gives back whatever is in the queues.
            dropped = [] if self._stopping else self._scheduler.drop_queue(lane)
            if dropped:
                self._scheduler.due_by(lane, self._store.clock())
                self._give_back_soon(dropped)
        self._pump()
        self._bell.set()

    async def _record(
        self, lane: Lane, claim: Claim, result: AttemptResult, started_at: int, duration: float
    ) -> None:
        item = self._make_record(lane.endpoint, claim, result, started_at, duration)
        self._outcomes[result.outcome] += 1
        if self._observer is not None:
            self._observer.attempted(lane.endpoint, item)
        recorded = await self._recorder.record(item)
        if self._observer is not None:
            self._observer.recorded(lane.endpoint, item, recorded)
        if recorded is None:
            self._unrecorded += 1
        elif recorded.released or item.due_at is not None:
            now = self._store.clock()
            self._scheduler.due_by(lane, now if recorded.released else item.due_at or now)
        if result.disable_endpoint or (recorded is not None and recorded.disabled):
            # If the store does not answer now, the next look around finds it.
            with contextlib.suppress(HookhubError):
                await self.refresh()
        log.info(
            "delivery.attempted",
            delivery_id=claim.id,
            endpoint_id=claim.endpoint_id,
            event_id=claim.event.id,
            event_type=claim.event.type,
            attempt=claim.attempts + 1,
            outcome=result.outcome.value,
            status=item.status,
            response_status=result.response_status,
            error=result.error,
            duration_ms=round(duration * 1000, 1),
        )

    def _schedule(self, endpoint: Endpoint) -> Sequence[float]:
        own = endpoint.options.retry_schedule
        return self._settings.retry_schedule if own is None else own

    def _make_record(
        self,
        endpoint: Endpoint,
        claim: Claim,
        result: AttemptResult,
        started_at: int,
        duration: float,
    ) -> AttemptReport:
        failures = claim.attempts + 1 - claim.schedule_from
        schedule = self._schedule(endpoint)
        jitter = self._settings.jitter
        decision = decide(result, failures, schedule, jitter, self._chance.random())
        due_at = wait = None
        if decision.wait is not None:
            wait = round(decision.wait * 1_000_000)
            due_at = self._store.clock() + wait
        timings = {name: round(seconds, 6) for name, seconds in result.timings.items()}
        return AttemptReport(
            claim=claim,
            started_at=started_at,
            duration=duration,
            outcome=result.outcome.value,
            status=decision.status,
            due_at=due_at,
            response_status=result.response_status,
            response_body=storable(result.response_body, self._settings.max_response),
            error=result.error,
            error_message=storable(result.error_message, MESSAGE_MAX),
            timings=json.dumps(timings) if timings else None,
            gone=result.disable_endpoint,
            wait=wait,
            response_headers=kept_headers(result.response_headers),
        )

    # -- how it goes -----------------------------------------------------------------------

    def check(self) -> str | None:
        """None if all is well, else what is wrong."""
        return self._failing or self._recorder.failing

    def warnings(self) -> str | None:
        """What the hub goes on without: endpoints whose secrets it cannot read."""
        return self._roster.warnings()

    def breaker_states(self, endpoint_ids: Iterable[int]) -> dict[int, str]:
        """Endpoint to the state of its breaker on this node."""
        now = trio.current_time()
        lanes = self._scheduler.lanes
        return {key: lanes[key].breaker.state(now).value for key in endpoint_ids if key in lanes}

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
            "unrecorded_total": self._unrecorded,
            "unrecorded": self._recorder.waiting,
            "endpoints_unreadable": len(self._roster.unreadable()),
            "nodes": self._nodes.living,
            "taken_over_total": self._nodes.taken_over,
            "breakers_opened_total": self._opened,
            "breakers_open": sum(lane.breaker.is_open(now) for lane in self._scheduler),
            **{f"attempts_{outcome.value}_total": n for outcome, n in self._outcomes.items()},
        }
