"""The guarded transport: an ``httpx.AsyncBaseTransport`` with a short list of idle connections.

httpx's own pool does work in proportion to its connections on every request, so that a hundred
requests in flight are slower than one; here a connection is taken from, and put back on, a stack.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

import httpx
import trio

from hookhub.egress.connection import Connection, raw_headers
from hookhub.egress.dial import Timings, dial
from hookhub.egress.failures import Disconnected
from hookhub.egress.guard import Guard

KEEP_IDLE = 4.0
"""Seconds: below the 5 s after which Node.js and uvicorn close, so that we rarely race them."""

MAX_IDLE = 256
MAX_IDLE_PER_ORIGIN = 64


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
        if self._closed or full or not connection.reuse():
            connection.close()
            return
        connection.idle_since = trio.current_time()
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


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests through the guard; for trio, HTTP/1.1, without proxies and redirects.

    Reads ``request.extensions["timeout"]`` (``connect``, ``read``, ``write``: seconds) as httpx's
    own transport does, and ``request.extensions["trust"]``: certificates (PEM) to trust in place
    of the hub's, as :meth:`hookhub.egress.Egress.check_trust` gave them.

    Fills ``request.extensions["timings"]``, if it is there, with seconds by phase that was begun:
    ``dns``, ``connect``, ``tls`` (none of them on a kept connection) and ``wait``, from the first
    byte of the request to the head of its answer.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        connect_timeout: float,
        tls_context: Callable[[str | None], ssl.SSLContext],
        idle: IdleConnections | None = None,
    ) -> None:
        self._guard = guard
        self._connect_timeout = connect_timeout
        self._tls_context = tls_context
        self._idle = IdleConnections() if idle is None else idle
        self._dialled = 0
        self._reused = 0
        self._resent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the head of its answer; the caller streams the body.

        Raises:
            EgressBlocked: the host has no address that may be called.
            EgressError: a kind of failure; see :mod:`hookhub.egress.failures`.
        """
        content = await request.aread()
        origin = _origin(request)
        connection = self._idle.take(origin)
        if connection is not None:
            self._reused += 1
            try:
                return await self._exchange(connection, origin, request, content)
            except Disconnected:
                # RFC 9110 §9.2.2, RFC 9112 §9.3.1: the peer closed the idle connection while the
                # request was under way. Once, and only if not a byte of an answer had come.
                if connection.received:
                    raise
                self._resent += 1
        connection = await self._open(origin, request)
        return await self._exchange(connection, origin, request, content)

    async def aclose(self) -> None:
        """Close the connections that wait; the transport stays usable."""
        self._idle.clear()

    def statistics(self) -> Mapping[str, float]:
        """Counters and gauges since the start."""
        return {
            "idle_connections": len(self._idle),
            "dialled_total": self._dialled,
            "reused_total": self._reused,
            "resent_total": self._resent,
        }

    async def _open(self, origin: Origin, request: httpx.Request) -> Connection:
        asked = _timeout(request, "connect")
        socket_stream, stream = await dial(
            origin.host,
            origin.port,
            self._guard,
            timeout=self._connect_timeout if asked is None else min(asked, self._connect_timeout),
            tls=self._tls_context(origin.trust) if origin.scheme == "https" else None,
            timings=_timings(request),
        )
        self._dialled += 1
        return Connection(socket_stream, stream)

    async def _exchange(
        self, connection: Connection, origin: Origin, request: httpx.Request, content: bytes
    ) -> httpx.Response:
        timeouts = request.extensions.get("timeout", {})
        began = trio.current_time()
        try:
            await connection.send(request, content, timeouts.get("write"))
            head = await connection.head(timeouts.get("read"))
        except BaseException:
            connection.close()
            raise
        finally:
            _timings(request)["wait"] = trio.current_time() - began
        return httpx.Response(
            head.status_code,
            headers=list(raw_headers(head)),
            stream=_Body(
                connection,
                timeouts.get("read"),
                lambda: self._idle.put(origin, connection),
            ),
            extensions={
                "http_version": b"HTTP/" + bytes(head.http_version),
                "reason_phrase": bytes(head.reason),
            },
            request=request,
        )


class _Body(httpx.AsyncByteStream):
    """The answer's body, once; closing it gives the connection back.

    An iterator and no async generator: a caller may stop in the middle and just close.
    """

    def __init__(
        self, connection: Connection, timeout: float | None, done: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._done: Callable[[], None] | None = done

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._connection.piece(self._timeout)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done()


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"The hub calls http and https, not {url.scheme!r}.")
    # ``url.host`` is for people: it shows an international name in its own letters.
    port = url.port or (443 if url.scheme == "https" else 80)
    trust: str | None = request.extensions.get("trust")
    return Origin(url.scheme, url.raw_host.decode("ascii"), port, trust)


def _timeout(request: httpx.Request, kind: str) -> float | None:
    value: float | None = request.extensions.get("timeout", {}).get(kind)
    return value


def _timings(request: httpx.Request) -> Timings:
    found: MutableMapping[str, Any] = request.extensions.get("timings", {})
    return found
