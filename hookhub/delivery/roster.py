"""Which endpoints there are, as lanes: read anew when any changed, here or on another node."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import structlog
import trio

from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.delivery.breaker import Breaker
from hookhub.delivery.lanes import Lane, Scheduler
from hookhub.delivery.limits import RateLimit, Window
from hookhub.store import Store
from hookhub.store.subscriptions import TRUSTED
from hookhub.store.units.claims import due_of, next_due
from hookhub.store.units.endpoints import (
    NO_ENDPOINTS,
    changed_endpoints,
    endpoints_as_of,
    find_endpoint,
)

log = structlog.get_logger("hookhub.delivery")


class Roster:
    """Keeps a scheduler's lanes as the endpoints are.

    What its methods return was claimed for lanes that are closed now: the caller gives it back.

    Args:
        sinks: names of those that are there; endpoints of others wait.
        concurrency: attempts at once for endpoints that have no number of their own.
        owns: whether this node attempts an endpoint's deliveries.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        sinks: Collection[str],
        concurrency: int,
        owns: Callable[[int], bool],
    ) -> None:
        self._owns = owns
        self._store = store
        self._scheduler = scheduler
        self._sinks = sinks
        self._concurrency = concurrency
        self._known = NO_ENDPOINTS
        self._read_at = 0.0

    async def refresh(self) -> list[Claim] | None:
        """Read those that changed; None if none did."""
        state = await self._store.read(endpoints_as_of)
        known, now = self._known, trio.current_time()
        if state == known:
            self._read_at = now
            return None
        behind = state.epoch == known.epoch and state.generation >= known.generation
        if not behind or now - self._read_at > TRUSTED / 1_000_000:
            known = NO_ENDPOINTS
        changed = await self._store.read(partial(changed_endpoints, after=known))
        due = await self._store.read(next_due)
        dropped: list[Claim] = []
        if known is NO_ENDPOINTS:
            for endpoint_id in self._scheduler.lanes.keys() - changed.keys():
                dropped += self._remove(endpoint_id)
        for endpoint_id, endpoint in changed.items():
            if endpoint is None:
                dropped += self._remove(endpoint_id)
                continue
            dropped += self._put(endpoint)
            self._scheduler.set_due(self._scheduler.lanes[endpoint_id], due.get(endpoint_id))
        self._known, self._read_at = state, now
        return dropped

    async def change(self, endpoint_id: int, endpoint: Endpoint | None) -> list[Claim]:
        """Go by one that was made, changed or (None) deleted, without reading all of them."""
        if endpoint is None:
            return self._remove(endpoint_id)
        dropped = self._put(endpoint)
        due = await self._store.read(lambda reader: due_of(reader, endpoint_id))
        lane = self._scheduler.lanes.get(endpoint_id)
        if lane is not None:
            self._scheduler.set_due(lane, due)
        return dropped

    async def read_again(self) -> None:
        """Look whether what could not be read can be read now: sealing secrets anew is no change of
        their endpoint."""
        wanted = self.unreadable()
        if not wanted:
            return
        found = await self._store.read(
            lambda reader: [find_endpoint(reader, endpoint.id) for endpoint in wanted]
        )
        for endpoint in found:
            if endpoint is not None and endpoint.unreadable is None:
                await self.change(endpoint.id, endpoint)

    def unreadable(self) -> list[Endpoint]:
        """Endpoints that nothing is sent to because they cannot be read here."""
        lanes = self._scheduler
        return [lane.endpoint for lane in lanes if lane.endpoint.unreadable is not None]

    def warnings(self) -> str | None:
        """A sentence about them; None if there are none."""
        found = self.unreadable()
        if not found:
            return None
        ids = ", ".join(str(endpoint.id) for endpoint in found[:10])
        reason = next(item.unreadable.reason for item in found if item.unreadable)
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        return f"Nothing is sent to the endpoints {ids}{more}. {reason}"

    def _remove(self, endpoint_id: int) -> list[Claim]:
        lane = self._scheduler.lanes.pop(endpoint_id, None)
        if lane is None:
            return []
        lane.closed = True
        return self._scheduler.drop_queue(lane)

    def _put(self, endpoint: Endpoint) -> list[Claim]:
        """Make or change a lane."""
        limit = endpoint.options.concurrency or self._concurrency
        there = endpoint.sink in self._sinks
        closed = not (endpoint.is_active and there and endpoint.unreadable is None)
        lane = self._scheduler.lanes.get(endpoint.id)
        _tell_unreadable(endpoint, lane)
        if lane is None:
            rate = RateLimit(endpoint.options.rate_limit)
            lane = Lane(endpoint, Window(limit), rate, owned=self._owns(endpoint.id))
            self._scheduler.lanes[endpoint.id] = lane
        else:
            if endpoint.options.rate_limit != lane.endpoint.options.rate_limit:
                lane.rate = RateLimit(endpoint.options.rate_limit)
                self._scheduler.limits_changed(lane)
            if endpoint.config != lane.endpoint.config or (lane.closed and not closed):
                # Changed or switched on by hand: what it did before says nothing any more.
                lane.breaker = Breaker()
            lane.endpoint = endpoint
            lane.window.limit = limit
            lane.window.size = min(lane.window.size, limit)
        lane.closed = closed
        return self._scheduler.drop_queue(lane) if closed else []


def _tell_unreadable(endpoint: Endpoint, before: Lane | None) -> None:
    was = None if before is None else before.endpoint.unreadable
    if endpoint.unreadable is not None and was is None:
        log.error("endpoint.unreadable", endpoint_id=endpoint.id, reason=endpoint.unreadable.reason)
    elif endpoint.unreadable is None and was is not None:
        log.info("endpoint.readable", endpoint_id=endpoint.id)
