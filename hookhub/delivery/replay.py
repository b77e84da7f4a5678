"""Replays: sends what was committed before once more, in small steps, beside what is new.

A replay is a row, not a task: a process that finds one which nobody works on takes it with a lease
and goes on where it stands. It makes only as many deliveries as its endpoint keeps up with, so a
range of millions of events is neither in memory nor in the way of new ones.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

import structlog
import trio

from hookhub.delivery.model import Page, Replay, ReplayChoice, ReplayState
from hookhub.errors import HookhubError, InvalidCursor, StoreUnavailable, ValidationFailed
from hookhub.events import Cursor, check_pattern, parse_timestamp
from hookhub.store import Reader, Store
from hookhub.store import jobs as units
from hookhub.store.endpoints import get_endpoint
from hookhub.store.events import first_at_or_after, history_bounds

WINDOW = 5_000
"""Events that one read looks at."""
STEP = 200
"""Deliveries that one transaction makes at most."""
MAX_PENDING = 200
"""No step is made while the endpoint has so many pending deliveries."""
THROTTLED, THROTTLED_MAX = 0.05, 1.0
"""Seconds until an endpoint that had too many is looked at again; longer each time."""
LEASE = 15.0
"""Seconds after which another process goes on with a replay."""
WRITE_EVERY = 10
"""After so many windows with nothing to replay the position is written all the same."""
CLOCKS = 60_000_000
"""Microseconds by which the times of events may be out of the order of commits."""

log = structlog.get_logger("hookhub.replay")


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

    # -- asking for them -------------------------------------------------------------------

    async def start(
        self,
        sink: str | None,
        endpoint_id: int,
        *,
        since: str | None = None,
        until: str | None = None,
        events: Sequence[str] | None = None,
        only: ReplayChoice = "all",
    ) -> Replay:
        """Begin a replay; it goes on in the background, through restarts.

        Args:
            sink: whose endpoint it must be; None for anybody's.
            since: an RFC 3339 time (from then on) or a cursor (after it); None for the oldest
                event that is kept.
            until: a time (before it) or a cursor (up to it); None for the newest event.
            events: type patterns, within what the endpoint subscribes to; None for all of that.
            only: ``failed``: events whose deliveries to the endpoint have all failed;
                ``never_sent``: events without any delivery to it.

        Raises:
            NotFound: there is no such endpoint.
            ValidationFailed, InvalidCursor: the range or the patterns make no sense.
        """
        wanted, gap = await self._wanted(sink, endpoint_id, since, until, events, only)
        replay = await self._store.write(
            lambda tx: units.insert_replay(tx, wanted, gap), locks=False
        )
        self._bell.set()
        log.info("replay.started", replay_id=replay.id, endpoint_id=endpoint_id, only=only)
        return replay

    async def count(
        self,
        sink: str | None,
        endpoint_id: int,
        *,
        since: str | None = None,
        until: str | None = None,
        events: Sequence[str] | None = None,
        only: ReplayChoice = "all",
    ) -> int:
        """How many events :meth:`start` would replay now; nothing is stored."""
        wanted, _ = await self._wanted(sink, endpoint_id, since, until, events, only)
        total, position = 0, wanted.after
        while position < wanted.last:
            found, position = await self._count(wanted, position)
            total += found
        return total

    async def _count(self, wanted: units.Wanted, position: int) -> tuple[int, int]:
        to = min(position + WINDOW, wanted.last)
        return await self._store.read(lambda r: units.count(r, wanted, position, to)), to

    async def _wanted(
        self,
        sink: str | None,
        endpoint_id: int,
        since: str | None,
        until: str | None,
        events: Sequence[str] | None,
        only: ReplayChoice,
    ) -> tuple[units.Wanted, bool]:
        begin, end = self._place("since", since), self._place("until", until)
        if begin is not None and type(begin) is type(end) and not begin < end:
            raise _wrong("until", "until must be after since")

        def unit(reader: Reader) -> tuple[units.Wanted, bool]:
            endpoint = get_endpoint(reader, sink, endpoint_id)
            patterns = check_events(endpoint.event_types, events)
            oldest, newest = history_bounds(reader)
            after, last = (oldest or newest + 1) - 1, newest
            gap = False
            if isinstance(begin, Cursor):
                gap, after = begin.sequence < after, max(after, begin.sequence)
            elif begin is not None:
                first = first_at_or_after(reader, begin)
                gap = after > 0 and first == after + 1
                after = max(after, first_at_or_after(reader, begin - CLOCKS) - 1)
            if isinstance(end, Cursor):
                last = min(last, end.sequence)
            elif end is not None:
                last = min(last, first_at_or_after(reader, end + CLOCKS) - 1)
            wanted = units.Wanted(
                endpoint_id,
                patterns,
                only,
                min(after, last),
                last,
                begin if isinstance(begin, int) else None,
                end if isinstance(end, int) else None,
            )
            return wanted, gap

        return await self._store.read(unit)

    def _place(self, name: str, text: str | None) -> int | Cursor | None:
        """A time in microseconds, or a cursor."""
        if text is None:
            return None
        cursor = None
        with contextlib.suppress(InvalidCursor):
            cursor = Cursor.parse(text)
        if cursor is not None and cursor.epoch == self._store.epoch:
            return cursor
        with contextlib.suppress(ValueError):
            return parse_timestamp(text.upper())
        if cursor is not None:
            raise InvalidCursor(
                f"The cursor {text!r} is of another database; name a time instead.",
                errors=[{"loc": [name], "msg": "a cursor of another database"}],
            )
        example = "2026-01-31T12:00:00Z"
        raise _wrong(name, f"{text[:60]!r} is neither a time ({example}) nor a cursor")

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
        replay = await self._store.write(
            lambda tx: units.change_state(tx, replay_id, state), locks=False
        )
        self._bell.set()
        log.info("replay.changed", replay_id=replay_id, state=state)
        return replay

    # -- working on them -------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work on what there is for as long as the hub runs."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._bell = trio.Event()
                try:
                    if await self._store.read(units.claimable):
                        until = self._until()
                        for replay in await self._store.write(
                            lambda tx, until=until: units.claim_replays(tx, self._owner, until),
                            locks=False,
                        ):
                            nursery.start_soon(self._work, replay)
                except HookhubError as error:
                    log.warning("replay.failed_to_claim", error=error.detail)
                with trio.move_on_after(self._poll):
                    await self._bell.wait()

    def _until(self) -> int:
        return self._store.clock() + round(LEASE * 1_000_000)

    async def _work(self, replay: Replay) -> None:
        """Work on a replay until it ends, or is not this process's any more."""
        if replay.id in self._running:
            return
        self._running.add(replay.id)
        try:
            await _Work(self._store, self._owner, replay, self._until, self._made).run()
        finally:
            self._running.discard(replay.id)

    def _made(self, endpoint_id: int, deliveries: int) -> None:
        self._deliveries += deliveries
        self._wake(endpoint_id)

    def statistics(self) -> dict[str, float]:
        """Counters since start, and gauges."""
        return {"running": len(self._running), "deliveries_total": self._deliveries}


class _Work:
    """This process's work on one replay."""

    def __init__(
        self,
        store: Store,
        owner: str,
        replay: Replay,
        until: Callable[[], int],
        made: Callable[[int, int], None],
    ) -> None:
        self._store = store
        self._owner = owner
        self._replay = replay
        self._wanted = units.wanted_by(replay)
        self._until = until
        self._made = made
        self._kept = trio.current_time()
        self._pause = THROTTLED

    async def run(self) -> None:
        """Go on until there is no more to do here."""
        while True:
            try:
                if self._replay.total is None and not await self._count():
                    return
                while await self._turn():
                    pass
                return
            except StoreUnavailable as error:
                log.warning("replay.waits", replay_id=self._replay.id, error=error.detail)
                await trio.sleep(1.0)
                # Whether the last step was committed is known to the database alone.
                if not await self._reload():
                    return
            except Exception as error:
                log.exception("replay.failed", replay_id=self._replay.id)
                await self._fail(f"It stopped with {type(error).__name__}; the log says more.")
                return

    async def _fail(self, reason: str) -> None:
        try:
            await self._store.write(
                lambda tx: units.fail(tx, self._replay.id, self._owner, reason), locks=False
            )
        except HookhubError as error:
            # Its lease ends, and somebody tries it again.
            log.warning("replay.waits", replay_id=self._replay.id, error=error.detail)

    async def _reload(self) -> bool:
        """Look how far it came; False if it is not this process's any more."""
        with contextlib.suppress(StoreUnavailable):
            replay = await self._store.read(
                lambda r: units.owned(r, self._replay.id, self._owner)
            )
            if replay is None:
                return False
            self._replay = replay
        return True

    async def _count(self) -> bool:
        total, position = 0, self._wanted.after
        while position < self._wanted.last:
            to = min(position + WINDOW, self._wanted.last)
            total += await self._store.read(
                lambda r, start=position, to=to: units.count(r, self._wanted, start, to)
            )
            position = to
            if not await self._keep():
                return False
        return await self._keep(total)

    async def _keep(self, total: int | None = None) -> bool:
        """Prolong the lease when it is time to; False if it is lost."""
        if total is None and trio.current_time() - self._kept < LEASE / 3:
            return True
        self._kept = trio.current_time()
        until = self._until()
        return await self._store.write(
            lambda tx: units.keep(tx, self._replay.id, self._owner, until, total), locks=False
        )

    async def _turn(self) -> bool:
        """One step, or one pause; False when there is no more to do here."""
        endpoint_id = self._replay.endpoint_id
        waiting = await self._store.read(lambda r: units.pending(r, endpoint_id, MAX_PENDING))
        if waiting >= MAX_PENDING:
            await trio.sleep(self._pause)
            self._pause = min(2 * self._pause, THROTTLED_MAX)
            return await self._keep()
        self._pause = THROTTLED
        candidates, position = await self._find()
        replay, until = self._replay, self._until()
        stepped = await self._store.write(
            lambda tx: units.step(tx, replay, self._owner, candidates, position, until)
        )
        if stepped is None:
            return await self._reload()
        self._kept = trio.current_time()
        if stepped.done > replay.done:
            self._made(endpoint_id, stepped.done - replay.done)
        self._replay = stepped
        if stepped.state != "running":
            log.info("replay.ended", replay_id=replay.id, state=stepped.state, done=stepped.done)
        return stepped.state == "running"

    async def _find(self) -> tuple[list[units.Candidate], int]:
        """What to replay next, and how far the search came."""
        position = self._replay.position
        for _ in range(WRITE_EVERY):
            to = min(position + WINDOW, self._replay.last)
            found = await self._store.read(
                lambda r, start=position, to=to: units.find(r, self._wanted, start, to, STEP)
            )
            if len(found) == STEP:
                return found, found[-1].sequence
            position = to
            if found or position >= self._replay.last:
                return found, position
        return [], position


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
            raise _wrong("events", f"{error}", position) from None
    if not any(_overlap(one, other) for one in events for other in subscribed):
        listed = ", ".join(subscribed)
        raise _wrong("events", f"the endpoint subscribes to nothing of this, only to {listed}")
    return tuple(events)


def _overlap(one: str, other: str) -> bool:
    """Whether some type could match both patterns."""
    if one == other or "*" in (one, other):
        return True
    return (other.endswith(".*") and one.startswith(other[:-1])) or (
        one.endswith(".*") and other.startswith(one[:-1])
    )


def _wrong(name: str, message: str, *position: int) -> ValidationFailed:
    return ValidationFailed(
        f"{name}: {message}.", errors=[{"loc": [name, *position], "msg": message}]
    )
