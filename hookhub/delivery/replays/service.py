"""Replays: sends what was committed before once more, in small steps, beside what is new.

A replay is a row, not a task: a process that finds one which nobody works on takes it with a lease
and goes on where it stands. It makes only as many deliveries as its endpoint keeps up with, so a
range of millions of events is neither in memory nor in the way of new ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypedDict, Unpack

import structlog
import trio

from hookhub.contracts.deliveries import Page, Replay, ReplayChoice, ReplayState
from hookhub.contracts.errors import HookhubError, wrong_field
from hookhub.contracts.events import check_pattern
from hookhub.delivery.replays.work import Work, count, lease_end
from hookhub.feed.ranges import read_range, resolve_range
from hookhub.store import Reader, Store
from hookhub.store.units import missed
from hookhub.store.units import replays as units
from hookhub.store.units.endpoints import get_endpoint
from hookhub.store.units.replays import WantedReplay

log = structlog.get_logger("hookhub.replay")


class AskedReplay(TypedDict, total=False):
    """What a replay is asked for; what is left out narrows nothing."""

    since: str | None
    """An RFC 3339 time (from then on) or a cursor (after it); None for the oldest event kept."""
    until: str | None
    """A time (before it) or a cursor (up to it); None for the newest event."""
    events: Sequence[str] | None
    """Type patterns, within what the endpoint subscribes to; None for all of that."""
    only: ReplayChoice
    """``failed``: events whose deliveries to the endpoint have all failed; ``never_sent``: events
    without any delivery to it."""


class Replays:
    """Makes, shows and works on replays.

    Args:
        wake: tells the engine that an endpoint has something due.
        poll: seconds between looks for replays that other processes made or left.
    """

    def __init__(self, store: Store, wake: Callable[[int], None], poll: float) -> None:
        self._store = store
        self._wake = wake
        self._poll = poll
        self._owner = os.urandom(8).hex()
        self._bell = trio.Event()
        self._running: set[int] = set()
        self._deliveries = 0

    async def start(
        self, sink: str | None, endpoint_id: int, **asked: Unpack[AskedReplay]
    ) -> Replay:
        """Begin a replay; it goes on in the background, through restarts.

        Args:
            sink: whose endpoint it must be; None for anybody's.

        Raises:
            NotFound: there is no such endpoint.
            ValidationFailed, InvalidCursor: the range or the patterns make no sense.
        """
        wanted, gap = await self._wanted(sink, endpoint_id, asked)
        replay = await self._store.write(lambda tx: units.insert_replay(tx, wanted, gap))
        self._bell.set()
        log.info("replay.started", replay_id=replay.id, endpoint_id=endpoint_id, only=wanted.only)
        return replay

    async def count(self, sink: str | None, endpoint_id: int, **asked: Unpack[AskedReplay]) -> int:
        """How many events :meth:`start` would replay now; nothing is stored."""
        wanted, _ = await self._wanted(sink, endpoint_id, asked)
        return await count(self._store, wanted) or 0

    async def _wanted(
        self, sink: str | None, endpoint_id: int, asked: AskedReplay
    ) -> tuple[WantedReplay, bool]:
        """The range as it is now, and whether it begins before the history."""
        begin, end = read_range(self._store.epoch, asked.get("since"), asked.get("until"))

        def look(reader: Reader) -> tuple[WantedReplay, bool]:
            endpoint = get_endpoint(reader, sink, endpoint_id)
            patterns = check_events(endpoint.event_types, asked.get("events"))
            part = resolve_range(reader, begin, end)
            place = (part.after, part.last, part.since, part.until)
            return WantedReplay(endpoint.id, patterns, asked.get("only", "all"), *place), part.gap

        return await self._store.read(look)

    async def get(self, replay_id: int) -> Replay:
        """One replay. Raises NotFound."""
        return await self._store.read(lambda reader: units.get_replay(reader, replay_id))

    async def list(
        self,
        *,
        endpoint_id: int | None = None,
        state: ReplayState | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[Replay]:
        """Replays, newest first."""
        return await self._store.read(
            lambda reader: units.list_replays(
                reader, endpoint_id=endpoint_id, state=state, limit=limit, offset=offset
            )
        )

    async def pause(self, replay_id: int) -> Replay:
        """Make no more deliveries until it is resumed. Raises NotFound, Conflict."""
        return await self._change(replay_id, "paused")

    async def resume(self, replay_id: int) -> Replay:
        """Go on with one that is paused or failed. Raises NotFound, Conflict."""
        return await self._change(replay_id, "running")

    async def cancel(self, replay_id: int) -> Replay:
        """End it; the deliveries that it has made stay. Raises NotFound, Conflict."""
        return await self._change(replay_id, "cancelled")

    async def _change(self, replay_id: int, state: ReplayState) -> Replay:
        replay = await self._store.write(lambda tx: units.change_state(tx, replay_id, state))
        self._bell.set()
        log.info("replay.changed", replay_id=replay_id, state=state)
        return replay

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work on what there is for as long as the hub runs."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._bell = trio.Event()
                try:
                    await self._catch_up()
                    for replay in await self._claim():
                        nursery.start_soon(self._work, replay)
                except HookhubError as error:
                    log.warning("replay.claim_failed", error=error.detail)
                with trio.move_on_after(self._poll):
                    await self._bell.wait()

    async def _catch_up(self) -> None:
        """Make up for what endpoints have missed that could not be read, and can be read now."""
        for endpoint_id in await self._store.read(missed.to_catch_up):
            replay_id = await self._store.write(partial(missed.catch_up, endpoint_id=endpoint_id))
            log.info("replay.missed_events", replay_id=replay_id, endpoint_id=endpoint_id)

    async def _claim(self) -> Sequence[Replay]:
        if not await self._store.read(units.claimable):
            return []
        unit = partial(units.claim_replays, owner=self._owner, until=lease_end(self._store))
        return await self._store.write(unit)

    async def _work(self, replay: Replay) -> None:
        if replay.id in self._running:
            return
        self._running.add(replay.id)
        try:
            await Work(self._store, self._owner, replay, self._made).run()
        finally:
            self._running.discard(replay.id)

    def _made(self, endpoint_id: int, deliveries: int) -> None:
        self._deliveries += deliveries
        self._wake(endpoint_id)

    def statistics(self) -> dict[str, float]:
        """Counters since start, and gauges."""
        return {"running": len(self._running), "deliveries_total": self._deliveries}


def check_events(subscribed: Sequence[str], events: Sequence[str] | None) -> tuple[str, ...]:
    """The type patterns of a replay.

    Args:
        subscribed: the patterns of its endpoint.
        events: None for all that it subscribes to.

    Raises:
        ValidationFailed: a pattern is none, or the endpoint subscribes to nothing of this.
    """
    if events is None:
        return ("*",)
    for position, pattern in enumerate(events):
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise wrong_field(f"events: {error}.", "events", position, msg=f"{error}") from None
    if not any(_overlap(one, other) for one in events for other in subscribed):
        listed = ", ".join(subscribed)
        message = f"the endpoint subscribes to nothing of this, only to {listed}"
        raise wrong_field(f"events: {message}.", "events", msg=message)
    return tuple(events)


def _overlap(one: str, other: str) -> bool:
    """Whether some type could match both patterns."""
    if one == other or "*" in (one, other):
        return True
    return (other.endswith(".*") and one.startswith(other[:-1])) or (
        one.endswith(".*") and other.startswith(one[:-1])
    )
