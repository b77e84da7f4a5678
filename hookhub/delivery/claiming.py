"""Fills the lanes: with what is committed while they have room, and what is due in the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import structlog
import trio

from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.delivery.clock import ClockWatch, Mender
from hookhub.delivery.lanes import Lane, Scheduler
from hookhub.delivery.leases import Leases
from hookhub.delivery.roster import Roster
from hookhub.store import NewDelivery, Store
from hookhub.store.schema import HELD
from hookhub.store.units.claims import claim_due, next_due

REST = 1.5
"""Seconds after a failure of the database in which nothing is claimed: meanwhile every node writes
down what it has in its hands, so that nobody takes that for abandoned."""

log = structlog.get_logger("hookhub.delivery")


class Claimer:
    """Claims a few deliveries at a time, lane by lane, until it is stopped.

    Args:
        poll: seconds between looks for what other processes did.
        start: begins what may begin; called whenever a lane may have something.
        sure: whether this node owns what it thinks it owns.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        roster: Roster,
        leases: Leases,
        poll: float,
        start: Callable[[], None],
        sure: Callable[[], bool],
    ) -> None:
        self._sure = sure
        self._store = store
        self._scheduler = scheduler
        self._roster = roster
        self._leases = leases
        self._poll = poll
        self._start = start
        self._clock = ClockWatch()
        self.mender = Mender(store, scheduler.lanes, leases.span, self.look_soon)
        self._bell = trio.Event()
        self._look_at = 0.0
        self._rest_until: float | None = None
        self.stopping = False
        self.failing: str | None = None
        """Why the database says nothing of what is due."""

    def ring(self) -> None:
        """Something may have changed: look at the lanes."""
        self._bell.set()

    def look_soon(self) -> None:
        """Something became due for nobody knows whom."""
        self._look_at = 0.0
        self._bell.set()

    def stop(self) -> None:
        """Claim no more."""
        self.stopping = True
        self._bell.set()

    # -- what is committed -----------------------------------------------------------------

    def committed(self, events: Sequence[Event], deliveries: Sequence[NewDelivery]) -> list[Claim]:
        """Deliveries were committed by this process; returns what no lane takes any more."""
        first, now = events[0].sequence, self._store.clock()
        refused: list[Claim] = []
        for item in deliveries:
            lane = self._scheduler.lanes.get(item.endpoint_id)
            if item.lease is not None:
                event = events[item.sequence - first]
                claim = Claim(item.id, item.endpoint_id, 0, 0, item.lease, item.due_at, event, now)
                refused += self._take(lane, claim)
            elif lane is not None and item.due_at < HELD:
                self._scheduler.due_by(lane, item.due_at)
        return refused

    def _take(self, lane: Lane | None, claim: Claim) -> list[Claim]:
        """Put a claim into its lane; returns it if the lane is not to be served any more."""
        if lane is None or lane.idle:
            return [claim]
        self._leases.hold(claim)
        self._scheduler.add(lane, claim)
        return []

    # -- what changed ----------------------------------------------------------------------

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
        self._start()
        self._bell.set()

    async def look_around(self) -> None:
        """Find what was changed or made due, here or by other processes."""
        await self.refresh()
        await self._roster.read_again()
        found = await self._store.read(next_due)
        now, now_us = trio.current_time(), self._store.clock()
        for endpoint_id, due in found.items():
            lane = self._scheduler.lanes.get(endpoint_id)
            if lane is not None and not lane.idle:
                self._scheduler.found_due(lane, due, now, now_us)
        self._bell.set()

    # -- claiming --------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim what is due until :meth:`stop`."""
        while not self.stopping:
            self._bell = trio.Event()
            pause = self._poll
            try:
                back = self._clock.look(self._store.clock(), time.monotonic())
                if back:
                    await self._set_back(back)
                if await self._leases.settle() or trio.current_time() >= self._look_at:
                    self._look_at = trio.current_time() + self._poll
                    await self.look_around()
                if self._rested() and self._sure():
                    await self._claim()
                    self.failing = self._rest_until = None
            except HookhubError as error:
                # Whatever the store says: this goes on.
                self.failing, self._rest_until, self._look_at = error.detail, None, 0.0
                log.warning("delivery.claim_failed", error=error.detail)
            else:
                now, until = trio.current_time(), self._rest_until
                if until is None and self._sure():
                    pause = self._scheduler.sleep(now, self._store.clock(), self._poll)
                elif until is not None:
                    pause = min(self._poll, max(0.0, until - now))
            with trio.move_on_after(pause):
                await self._bell.wait()

    def _rested(self) -> bool:
        """Whether it is time to claim. After a failure: a while after the store answers again."""
        now = trio.current_time()
        if self.failing is not None and self._rest_until is None:
            self._rest_until = now + REST
        return self._rest_until is None or now >= self._rest_until

    async def _set_back(self, seconds: float) -> None:
        """The clock was set back."""
        log.warning("clock.set_back", seconds=round(seconds, 1))
        # Their leases end by the old time; what is in flight ends by itself before its lease does.
        await self._give_back_queues()
        self.look_soon()
        self.mender.begin()

    async def _claim(self) -> None:
        now, now_us = trio.current_time(), self._store.clock()
        self._scheduler.tick(now, now_us)
        self._start()
        wanted = self._scheduler.wanted(now, now_us)
        if not wanted:
            return
        lanes = {lane.endpoint.id: lane for lane, _ in wanted}
        numbers = [(lane.endpoint.id, count) for lane, count in wanted]
        lease, until = self._leases.new(now_us)
        held = self._leases.held
        try:
            found = await self._store.write(
                lambda tx: claim_due(tx, numbers, lease=lease, until=until, held=held), locks=False
            )
        except StoreUnavailable:
            self._leases.lost(lease)
            for lane in lanes.values():
                self._scheduler.set_due(lane, lane.due)
            raise
        for endpoint_id, due in found.due.items():
            self._scheduler.claimed(lanes[endpoint_id], due)
        refused: list[Claim] = []
        for claim in found.claims:
            refused += self._take(self._scheduler.lanes.get(claim.endpoint_id), claim)
        self._start()
        await self._leases.give_back(refused)

    async def give_back_all(self) -> None:
        """Give back what is claimed and will not be attempted by this process."""
        with contextlib.suppress(StoreUnavailable):
            # A transaction that is under way may still hand something over; the writer does one
            # after the other, so all that it has handed over is in the queues after this one.
            await self._store.write(lambda tx: None, locks=False)
        await self._give_back_queues()

    async def _give_back_queues(self) -> None:
        lanes = self._scheduler
        await self._leases.give_back([claim for lane in lanes for claim in lanes.drop_queue(lane)])
