"""Connections that wait for their next exchange.

httpx's own pool does work in proportion to its connections on every request, so that a hundred
requests in flight are slower than one; here a connection is taken from, and put back on, a stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple, TypeVar

import trio

from hookhub.egress.http.connection import ClientConnection

KEEP_IDLE = 4.0
"""Seconds: below the 5 s after which Node.js and uvicorn close, so that we rarely race them."""

KEEP_AT_ALL = 300.0
"""Seconds after which a connection is not used again, however busy: names move to other addresses.
"""
WATCH = 0.25
"""Seconds that a connection to a new origin rests before it is used again: a receiver that answers
a request twice shows it by then. Later than that it could not be told from an answer to the next
one, so it is found out before there is a next one."""
DISTRUST = 3600.0
"""Seconds for which no connection is kept to an origin that has sent something unasked."""
MAX_KNOWN = 16_384
"""Origins that are remembered as ones to trust, or not."""
MAX_IDLE = 1024
MAX_IDLE_PER_ORIGIN = 512
"""Attempts in flight end together when they wait for one commit: then their connections wait too.
"""


V = TypeVar("V")


class Origin(NamedTuple):
    """Where requests may share a connection: with other certificates trusted, it is another."""

    scheme: str
    host: str
    port: int
    trust: str | None = None
    """The certificates that are trusted there (PEM); None for the hub's."""
    owner: Hashable = None
    """Whose requests: what a receiver does wrong with one of them may cost the next one. None for
    nobody's: their connections are not kept."""


class IdleConnections:
    """Connections that wait for their next exchange: few, briefly, the newest used first."""

    def __init__(
        self,
        keep: float = KEEP_IDLE,
        maximum: int = MAX_IDLE,
        maximum_per_origin: int = MAX_IDLE_PER_ORIGIN,
        watch: float = WATCH,
    ) -> None:
        self._keep = keep
        self._maximum = maximum
        self._maximum_per_origin = maximum_per_origin
        self._watch = watch
        self._trusted: dict[Origin, None] = {}
        self._distrusted: dict[Origin, float] = {}
        # Both in order of last use, the oldest first: so the oldest of all is the leftmost of its
        # origin.
        self._origins: dict[ClientConnection, Origin] = {}
        self._waiting: dict[Origin, deque[ClientConnection]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._origins)

    def take(self, origin: Origin) -> ClientConnection | None:
        """A connection to this origin that waits: the one that was used last; if the origin is not
        trusted yet, the one that has rested longest, and for long enough.

        Whoever takes it looks whether something has come meanwhile, and tells :meth:`trust` or
        :meth:`distrust`.
        """
        self._expire()
        waiting = self._waiting.get(origin)
        if waiting is None:
            return None
        trusted = origin in self._trusted
        if not trusted and waiting[0].idle_since + self._watch > trio.current_time():
            return None
        connection = waiting.pop() if trusted else waiting.popleft()
        self._forget(connection)
        return connection

    def trust(self, origin: Origin) -> None:
        """A connection to it has rested, and nothing came."""
        if origin not in self._trusted:
            _remember(self._trusted, origin, None)

    def distrust(self, origin: Origin) -> None:
        """Something came that nobody had asked for: close what waits, and keep nothing for now."""
        self._trusted.pop(origin, None)
        _remember(self._distrusted, origin, trio.current_time() + DISTRUST)
        for connection in tuple(self._waiting.get(origin, ())):
            self._waiting[origin].popleft()
            self._forget(connection)
            connection.close()

    def put(self, origin: Origin, connection: ClientConnection) -> None:
        """Keep a connection whose exchange is complete, or close it."""
        self._expire()
        waiting = self._waiting.get(origin, ())
        full = len(self) >= self._maximum or len(waiting) >= self._maximum_per_origin
        now = trio.current_time()
        old = connection.opened_at < now - KEEP_AT_ALL
        apart = origin.owner is None or self._distrusted.get(origin, now) > now
        if self._closed or full or old or apart or not connection.can_be_reused():
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

    def _forget(self, connection: ClientConnection) -> None:
        origin = self._origins.pop(connection)
        if not self._waiting[origin]:
            del self._waiting[origin]


def _remember(known: dict[Origin, V], origin: Origin, value: V) -> None:
    known.pop(origin, None)
    known[origin] = value
    if len(known) > MAX_KNOWN:
        del known[next(iter(known))]
