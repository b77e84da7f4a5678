"""Connections that wait for their next exchange.

httpx's own pool does work in proportion to its connections on every request, so that a hundred
requests in flight are slower than one; here a connection is taken from, and put back on, a stack.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import trio

from hookhub.egress.connection import Connection

KEEP_IDLE = 4.0
"""Seconds: below the 5 s after which Node.js and uvicorn close, so that we rarely race them."""

KEEP_AT_ALL = 300.0
"""Seconds after which a connection is not used again, however busy: names move to other addresses.
"""
MAX_IDLE = 1024
MAX_IDLE_PER_ORIGIN = 512
"""Attempts in flight end together when they wait for one commit: then their connections wait too.
"""


class Origin(NamedTuple):
    """Where requests may share a connection: with other certificates trusted, it is another."""

    scheme: str
    host: str
    port: int
    trust: str | None = None
    """The certificates that are trusted there (PEM); None for the hub's."""


class IdleConnections:
    """Connections that wait for their next exchange: few, briefly, the newest used first."""

    def __init__(
        self,
        keep: float = KEEP_IDLE,
        maximum: int = MAX_IDLE,
        maximum_per_origin: int = MAX_IDLE_PER_ORIGIN,
    ) -> None:
        self._keep = keep
        self._maximum = maximum
        self._maximum_per_origin = maximum_per_origin
        # Both in order of last use, the oldest first: so the oldest of all is the leftmost of its
        # origin.
        self._origins: dict[Connection, Origin] = {}
        self._waiting: dict[Origin, deque[Connection]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._origins)

    def take(self, origin: Origin) -> Connection | None:
        """The connection to this origin that was used last and still stands."""
        self._expire()
        while origin in self._waiting:
            connection = self._waiting[origin].pop()
            self._forget(connection)
            if not connection.is_stale():
                return connection
            connection.close()
        return None

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose exchange is complete, or close it."""
        self._expire()
        waiting = self._waiting.get(origin, ())
        full = len(self) >= self._maximum or len(waiting) >= self._maximum_per_origin
        now = trio.current_time()
        old = connection.opened_at < now - KEEP_AT_ALL
        if self._closed or full or old or not connection.can_be_reused():
            connection.close()
            return
        connection.idle_since = now
        self._origins[connection] = origin
        self._waiting.setdefault(origin, deque()).append(connection)

    def clear(self) -> None:
        """Close all that wait."""
        for connection in self._origins:
            connection.close()
        self._origins.clear()
        self._waiting.clear()

    def close(self) -> None:
        """Close all that wait, and from now on whatever is put back."""
        self._closed = True
        self.clear()

    def _expire(self) -> None:
        deadline = trio.current_time() - self._keep
        while self._origins:
            oldest, origin = next(iter(self._origins.items()))
            if oldest.idle_since >= deadline:
                return
            self._waiting[origin].popleft()
            self._forget(oldest)
            oldest.close()

    def _forget(self, connection: Connection) -> None:
        origin = self._origins.pop(connection)
        if not self._waiting[origin]:
            del self._waiting[origin]
