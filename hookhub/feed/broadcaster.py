"""The broadcaster: publishes what was committed, in order, to the feed and to every live sink.

Events committed by this process arrive in memory right after their commit. Those of other
processes on the same database are read from the store: whenever a sequence is missing, and every
so often in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog
import trio

from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import Event
from hookhub.contracts.sinks import LiveSink
from hookhub.feed.feed import Feed
from hookhub.store import NewDelivery, Store, Transaction
from hookhub.store.epochs import read_beginning
from hookhub.store.units.events import read_news

PAGE = 500
SLOW_SINK = 0.05
"""Seconds in one ``publish`` call from where on a live sink is named in the log."""

log = structlog.get_logger("hookhub.feed")


class Broadcaster:
    """Owns the order in which events become visible.

    Args:
        sinks: those that there are at the time, whenever something is published.
        poll: seconds between looks for events of other processes.
    """

    def __init__(self, store: Store, feed: Feed, sinks: Iterable[LiveSink], poll: float) -> None:
        self._store = store
        self._feed = feed
        self._sinks = sinks
        self._poll = poll
        self._behind = trio.Event()
        self._errors = 0
        self._caught_up = 0
        self._rounds = 0
        self._seconds = 0.0
        self._failing: str | None = None

    def committed(self, events: list[Event], deliveries: list[NewDelivery]) -> None:
        """Publish events that this process has just committed, unless earlier ones are missing."""
        if self._store.epoch != self._feed.epoch:
            self._behind.set()
        elif events[0].sequence == self._feed.last + 1:
            self._publish(events)
        elif events[-1].sequence > self._feed.last:
            self._behind.set()

    def look(self) -> None:
        """Look at the database now."""
        self._behind.set()

    def _publish(self, events: Sequence[Event]) -> None:
        started = time.perf_counter()
        entries = self._feed.entries(events)
        self._feed.publish(entries)
        for sink in self._sinks:
            self._tell(sink, partial(sink.publish, entries))
        self._rounds += 1
        self._seconds += time.perf_counter() - started

    def _tell(self, sink: LiveSink, call: Callable[[], None]) -> None:
        started = time.perf_counter()
        try:
            call()
        except (Exception, SystemExit):
            self._errors += 1
            log.exception("live_sink.failed", sink=sink.name)
        taken = time.perf_counter() - started
        if taken > SLOW_SINK:
            log.warning("live_sink.slow", sink=sink.name, seconds=round(taken, 3))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Catch up with events that other processes commit, and with what retention deletes."""
        task_status.started()
        while True:
            with trio.move_on_after(self._poll):
                await self._behind.wait()
            self._behind = trio.Event()
            try:
                await self._catch_up()
                self._failing = None
            except HookhubError as error:
                self._failing = error.detail
                log.warning("broadcaster.catch_up_failed", error=error.detail)

    async def _catch_up(self) -> None:
        doubted = False
        while True:
            # What was replayed is no news to the feed, but it makes deliveries.
            seen = self._feed.seen._replace(delivery=self._store.seen.delivery)
            news = await self._store.read(partial(read_news, seen=seen, limit=PAGE))
            if news.history.went_back(seen):
                if doubted:
                    # The connections that read see another database than the one that writes.
                    log.error("broadcaster.two_databases", last=news.history.last)
                    return
                doubted = True
                # Who has the lock on its state decides, and begins an epoch that all nodes get.
                self._store.saw(seen)
                await self._store.write(Transaction.lock)
            elif news.history.epoch != seen.epoch:
                await self._begin_epoch()
            else:
                self._feed.forget(news.start)
                self._publish_fresh(news.events)
                if len(news.events) < PAGE:
                    return

    async def _begin_epoch(self) -> None:
        beginning = await self._store.read(read_beginning)
        self._feed.begin(beginning)
        self._store.saw(beginning)
        log.warning("feed.new_epoch", epoch=beginning.epoch, after=beginning.sequence)
        for sink in self._sinks:
            self._tell(sink, sink.epoch_began)

    def _publish_fresh(self, events: Sequence[Event]) -> None:
        # Meanwhile this process may have published some of them itself.
        fresh = [event for event in events if event.sequence > self._feed.last]
        if fresh:
            self._caught_up += len(fresh)
            self._publish(fresh)
            self._store.saw(self._feed.seen)

    def check(self) -> str | None:
        """None if all is well, else what is wrong."""
        return self._failing

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {
            "publish_total": self._rounds,
            "publish_seconds_total": self._seconds,
            "sink_errors_total": self._errors,
            "caught_up_total": self._caught_up,
        }
