"""From the commit to the sockets: one shared batch of frames, one write for each client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import trio

from hookhub_websocket.batches import Batches
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.frames import Encode
from hookhub_websocket.outbox import Outbox

if TYPE_CHECKING:
    from hookhub.feed import Feed, Select

CHUNK = 500
"""Clients served without a break: what they take is what a producer waits for its answer."""


class Fanout:
    """Serves the clients that wait for nothing but news.

    Those that have something else to do first are served by their own flushers, from the same
    positions in the same feed.

    Args:
        feed: the history.
        batches: what is shared.
    """

    def __init__(self, feed: Feed, batches: Batches) -> None:
        self._feed = feed
        self._batches = batches
        self._waiting: dict[Feeder, Outbox] = {}
        self._more = trio.Event()
        self._seconds = 0.0
        self._rounds = 0
        self._lagged = 0

    def add(self, feeder: Feeder, outbox: Outbox) -> None:
        """Serve this client, which is up to date and whose outbox rests."""
        self._waiting[feeder] = outbox

    def discard(self, feeder: Feeder) -> None:
        """Serve it no more."""
        self._waiting.pop(feeder, None)

    def publish(self) -> None:
        """There is news in the feed: send it to the first clients now, to the others soon."""
        self._rounds += 1
        self._serve(list(islice(self._waiting.items(), CHUNK)))
        if len(self._waiting) > CHUNK:
            self._more.set()

    async def run(self) -> None:
        """Serve the others; never returns."""
        while True:
            # At once: after a failure, some may have been left behind.
            self._more = trio.Event()
            waiting = list(self._waiting.items())
            for begin in range(0, len(waiting), CHUNK):
                self._serve(waiting[begin : begin + CHUNK])
                await trio.lowlevel.checkpoint()
            await self._more.wait()

    def _serve(self, waiting: Iterable[tuple[Feeder, Outbox]]) -> None:
        began = time.perf_counter()
        epoch, last = self._feed.cursor()
        match: Select | None = None
        encode: Encode | None = None
        position, batch = -1, None
        for feeder, outbox in waiting:
            if outbox.busy or (feeder.position >= last and feeder.epoch == epoch):
                continue
            if feeder.epoch != epoch:
                outbox.wake()  # its own task tells it of the gap
                continue
            if (
                feeder.position != position
                or feeder.match is not match
                or feeder.encode is not encode
            ):
                position, match, encode = feeder.position, feeder.match, feeder.encode
                try:
                    batch = self._batches.after(match, encode, position)
                except Exception:
                    # A filter fails: its own client's task will find out, and nobody else's.
                    batch = None
            if batch is None or (batch.data and not outbox.offer(batch.data)):
                self._lagged += 1
                outbox.wake()
            else:
                feeder.position = last
                feeder.sent += batch.events
        self._seconds += time.perf_counter() - began

    def statistics(self) -> Mapping[str, float]:
        """Counters since start, and how many are up to date."""
        return {
            "fanout_rounds_total": self._rounds,
            "fanout_seconds_total": self._seconds,
            "fanout_lagged_total": self._lagged,
            "up_to_date": len(self._waiting),
        }
