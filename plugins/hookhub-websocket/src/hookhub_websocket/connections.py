"""All sessions of the sink: limits, the watch over them, and what became of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import structlog
import trio

from hookhub.contracts.routes import Principal
from hookhub_websocket.closing import Why
from hookhub_websocket.link import Link
from hookhub_websocket.watch import Watch

SPREAD = 0.01
"""Seconds over which a restart spreads the reconnects of each client; see :data:`SPREAD_MAX`."""
SPREAD_MIN = 1.0
SPREAD_MAX = 30.0

log = structlog.get_logger("hookhub.websocket")


class _Place(Protocol):
    @property
    def sent(self) -> int:
        """Events that it was sent."""

    @property
    def lag(self) -> int:
        """Events that it is behind."""


class LiveSession(Protocol):
    """A session, as far as all are alike."""

    link: Link
    watch: Watch
    principal: Principal
    client: str
    messages_received: int

    @property
    def feeder(self) -> _Place:
        """Where it is in the feed."""

    def goodbye(self, after: float) -> None:
        """The hub restarts: close, and say in how many seconds the client may come back."""


class Connections:
    """The live sessions."""

    def __init__(self) -> None:
        self._sessions: set[LiveSession] = set()
        self._left = trio.lowlevel.ParkingLot()
        self._ended: Counter[Why] = Counter()
        self._opened = 0
        self._events_sent = 0
        self._bytes_sent = 0
        self._received = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def turned_away(self, why: Why) -> None:
        """Count a client that did not become a session."""
        self._ended[why] += 1

    @contextmanager
    def member(self, session: LiveSession) -> Iterator[None]:
        """Count a session for as long as it lives."""
        self._sessions.add(session)
        self._opened += 1
        try:
            yield
        finally:
            self._sessions.discard(session)
            self._ended[session.link.closed or Why.CLIENT] += 1
            self._events_sent += session.feeder.sent
            self._bytes_sent += session.link.outbox.bytes_sent
            self._received += session.messages_received
            self._left.unpark_all()

    def check(self, mean_frame: float) -> None:
        """Look at every session once; see :meth:`hookhub_websocket.watch.Watch.check`."""
        now = trio.current_time()
        for session in list(self._sessions):
            try:
                session.watch.check(now, mean_frame)
            except Exception:
                log.exception("websocket.check_failed", client=session.client)
                session.link.abort()

    def goodbye(self) -> None:
        """Tell all sessions that the hub restarts, each with its own time to come back."""
        spread = min(SPREAD_MAX, SPREAD_MIN + len(self._sessions) * SPREAD)
        for session in list(self._sessions):
            after = round(random.uniform(0, spread), 3)  # noqa: S311 - not a secret
            session.goodbye(after)

    async def wait_empty(self) -> None:
        """Wait until all sessions have ended."""
        while self._sessions:
            await self._left.park()

    def abort(self) -> None:
        """Cut all connections."""
        for session in self._sessions:
            session.link.abort()

    def statistics(self) -> Mapping[str, float]:
        """Counters since start, and gauges."""
        live = self._sessions
        numbers: dict[str, float] = {
            "connections": len(live),
            "opened_total": self._opened,
            "messages_total": self._events_sent + sum(item.feeder.sent for item in live),
            "received_total": self._received + sum(item.messages_received for item in live),
            "sent_bytes_total": self._bytes_sent
            + sum(item.link.outbox.bytes_sent for item in live),
            "lag_max": max((item.feeder.lag for item in live), default=0),
        }
        for why in Why:
            numbers[f"closed_{why.word}_total"] = self._ended[why]
        return numbers
