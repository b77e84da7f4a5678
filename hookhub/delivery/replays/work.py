"""One process's work on one replay."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import trio

from hookhub.contracts.deliveries import Replay
from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.store import Store
from hookhub.store.units import replays as units
from hookhub.store.units.replays import PastEvent, WantedReplay

WINDOW = 5_000
"""Events that one read looks at."""
STEP = 200
"""Deliveries that one transaction makes at most."""
MAX_PENDING = 200
"""No step is made while the endpoint has so many pending deliveries: what is new waits behind no
more than these, and a receiver that is down gets no queue of millions."""
PAUSE, PAUSE_MAX = 0.05, 1.0
"""Seconds until an endpoint that had too many is looked at again; longer each time."""
LEASE = 15.0
"""Seconds after which another process goes on with a replay."""
WRITE_EVERY = 10
"""After so many windows with nothing to replay the position is written all the same."""

log = structlog.get_logger("hookhub.replay")


async def count(
    store: Store, wanted: WantedReplay, go_on: Callable[[], Awaitable[bool]] | None = None
) -> int | None:
    """How many events are to be replayed; None if it was to go on no longer."""
    total, position = 0, wanted.after
    while position < wanted.last:
        to = min(position + WINDOW, wanted.last)
        total += await store.read(partial(units.count, wanted=wanted, after=position, to=to))
        position = to
        if go_on is not None and not await go_on():
            return None
    return total


class Work:
    """Goes on with a replay until it ends, or is not this process's any more.

    Args:
        owner: who holds the lease.
        made: told of new deliveries: endpoint and how many.
    """

    def __init__(
        self, store: Store, owner: str, replay: Replay, made: Callable[[int, int], None]
    ) -> None:
        self._store = store
        self._owner = owner
        self._replay = replay
        self._wanted = units.wanted_by(replay)
        self._made = made
        self._kept = trio.current_time()
        self._pause = PAUSE

    async def run(self) -> None:
        """Work."""
        while True:
            try:
                await self._run()
                return
            except StoreUnavailable as error:
                log.warning("replay.waits", replay_id=self._replay.id, error=error.detail)
                await trio.sleep(PAUSE_MAX)
                # Whether the last step was committed is known to the database alone.
                with contextlib.suppress(StoreUnavailable):
                    if not await self._reload():
                        return
            except Exception as error:
                log.exception("replay.failed", replay_id=self._replay.id)
                await self._fail(f"It stopped with {type(error).__name__}; the log says more.")
                return

    async def _run(self) -> None:
        if self._replay.total is None and not await self._count():
            return
        while await self._turn():
            pass

    async def _fail(self, reason: str) -> None:
        unit = partial(units.fail, replay_id=self._replay.id, owner=self._owner, reason=reason)
        try:
            await self._store.write(unit)
        except HookhubError as error:
            # Its lease ends, and somebody tries it again.
            log.warning("replay.waits", replay_id=self._replay.id, error=error.detail)

    async def _reload(self) -> bool:
        """Look how far it came; False if it is not this process's any more."""
        unit = partial(units.owned, replay_id=self._replay.id, owner=self._owner)
        replay = await self._store.read(unit)
        self._replay = replay or self._replay
        return replay is not None

    async def _count(self) -> bool:
        total = await count(self._store, self._wanted, self._keep)
        return total is not None and await self._keep(total)

    async def _keep(self, total: int | None = None) -> bool:
        """Prolong the lease when it is time to; False if it is lost."""
        if total is None and trio.current_time() - self._kept < LEASE / 3:
            return True
        self._kept = trio.current_time()
        unit = partial(
            units.keep,
            replay_id=self._replay.id,
            owner=self._owner,
            until=lease_end(self._store),
            total=total,
        )
        return await self._store.write(unit)

    async def _turn(self) -> bool:
        """One step, or one pause; False when there is no more to do here."""
        endpoint_id = self._replay.endpoint_id
        unit = partial(units.pending, endpoint_id=endpoint_id, most=MAX_PENDING)
        if await self._store.read(unit) >= MAX_PENDING:
            await trio.sleep(self._pause)
            self._pause = min(2 * self._pause, PAUSE_MAX)
            return await self._keep()
        self._pause = PAUSE
        candidates, position = await self._find()
        step = partial(
            units.step,
            replay=self._replay,
            owner=self._owner,
            candidates=candidates,
            position=position,
            until=lease_end(self._store),
        )
        before, stepped = self._replay, await self._store.write(step)
        if stepped is None:
            return await self._reload()
        self._kept, self._replay = trio.current_time(), stepped
        if stepped.done > before.done:
            self._made(endpoint_id, stepped.done - before.done)
        if stepped.state != "running":
            log.info("replay.ended", replay_id=before.id, state=stepped.state, done=stepped.done)
        return stepped.state == "running"

    async def _find(self) -> tuple[list[PastEvent], int]:
        """What to replay next, and how far the search came."""
        position = self._replay.position
        for _ in range(WRITE_EVERY):
            to = min(position + WINDOW, self._replay.last)
            unit = partial(units.find, wanted=self._wanted, after=position, to=to, limit=STEP)
            found = await self._store.read(unit)
            if len(found) == STEP:
                return found, found[-1].sequence
            position = to
            if found or position >= self._replay.last:
                return found, position
        return [], position


def lease_end(store: Store) -> int:
    """When a lease taken now ends, microseconds."""
    return store.clock() + round(LEASE * 1_000_000)
