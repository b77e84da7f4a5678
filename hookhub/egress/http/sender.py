"""One exchange over a connection that is kept or dialled: what every request goes through."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import httpx
import structlog
import trio

from hookhub.egress.http.connect import Timings
from hookhub.egress.http.connection import ClientConnection
from hookhub.egress.http.dialler import Dialler
from hookhub.egress.http.failures import Disconnected
from hookhub.egress.http.idle import IdleConnections, Origin
from hookhub.egress.http.wire import Head

log = structlog.get_logger("hookhub.egress")


class Timeouts(NamedTuple):
    """Seconds; None leaves it to the caller's deadline (to the hub's limit for ``connect``)."""

    connect: float | None = None
    write: float | None = None
    read: float | None = None


class ReceivedAnswer:
    """An answer whose head is here. Close it in any case: that gives back its connection, or ends
    it if the body was not read to its end."""

    def __init__(
        self,
        head: Head,
        connection: ClientConnection,
        origin: Origin,
        idle: IdleConnections,
        timeout: float | None,
    ) -> None:
        self.head = head
        self.status = head.status
        self._connection: ClientConnection | None = connection
        self._origin = origin
        self._idle = idle
        self._timeout = timeout

    def header(self, name: str) -> str | None:
        """The value of a header field, the first if there are several.

        Args:
            name: in lower case.
        """
        wanted = name.encode("ascii")
        values = [value for key, value in self.head.fields if key.lower() == wanted]
        return values[0].decode("latin-1") if values else None

    def whole_body(self) -> bytes | None:
        """The body, if all of it came with the head, as most do; None if it must be waited for."""
        return None if self._connection is None else self._connection.whole_body()

    async def piece(self) -> bytes | None:
        """The next piece of the body; None at its end, and once it was closed.

        Raises:
            EgressError: the receiver did not end the answer as it should.
        """
        return None if self._connection is None else await self._connection.piece(self._timeout)

    def close(self) -> None:
        """Give the connection back, or close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._idle.put(self._origin, connection)


class Sender:
    """Sends requests over kept connections, or new ones."""

    def __init__(self, dialler: Dialler, idle: IdleConnections) -> None:
        self._dialler = dialler
        self._idle = idle
        self._dialled = 0
        self._reused = 0
        self._resent = 0
        self._unasked = 0

    async def send(
        self,
        origin: Origin,
        method: str,
        data: bytes,
        timings: Timings,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - it cannot be changed
    ) -> ReceivedAnswer:
        """Send a whole request and read the head of its answer.

        Args:
            data: head and body, as they go over the wire.
            timings: gets the seconds of each phase that was begun.

        Raises:
            EgressBlocked: the host has no address that may be called.
            EgressError: a kind of failure; see :mod:`hookhub.egress.http.failures`.
        """
        connection = await self._kept(origin)
        if connection is not None:
            self._reused += 1
            try:
                return await self._exchange(
                    connection, origin, method, data, timings, timeouts, kept=True
                )
            except Disconnected:
                # RFC 9110 §9.2.2, RFC 9112 §9.3.1: the peer closed the idle connection while the
                # request was under way. Once, and only if not a byte of an answer had come.
                if connection.received:
                    raise
                self._resent += 1
                timings.pop("wait", None)
        connection = ClientConnection(await self._dialler.dial(origin, timeouts.connect, timings))
        self._dialled += 1
        return await self._exchange(connection, origin, method, data, timings, timeouts)

    async def _kept(self, origin: Origin) -> ClientConnection | None:
        """A connection from the exchange before, on which nothing waits at any layer."""
        while (connection := self._idle.take(origin)) is not None:
            try:
                unasked = await connection.waiting()
            except BaseException:
                connection.close()
                raise
            if unasked is None:
                self._idle.trust(origin)
                return connection
            connection.close()
            if unasked:
                self._unasked += 1
                log.warning("egress.unasked", host=origin.host, owner=origin.owner)
                self._idle.distrust(origin)
        return None

    async def _exchange(
        self,
        connection: ClientConnection,
        origin: Origin,
        method: str,
        data: bytes,
        timings: Timings,
        timeouts: Timeouts,
        *,
        kept: bool = False,
    ) -> ReceivedAnswer:
        began = trio.current_time()
        try:
            await connection.send(method, data, timeouts.write)
            if kept and connection.early:
                # It may belong to the request before, and the receiver has not all of this one.
                raise Disconnected("The receiver spoke before the request was sent to it.")
            head = await connection.head(timeouts.read)
        except BaseException:
            connection.close()
            raise
        finally:
            timings["wait"] = trio.current_time() - began
        return ReceivedAnswer(head, connection, origin, self._idle, timeouts.read)

    def close_idle(self) -> None:
        """Close the connections that wait."""
        self._idle.clear()

    def statistics(self) -> Mapping[str, float]:
        """Counters and gauges since the start."""
        return {
            "idle_connections": len(self._idle),
            "dialled_total": self._dialled,
            "reused_total": self._reused,
            "resent_total": self._resent,
            "unasked_total": self._unasked,
        }


class RequestStart(NamedTuple):
    """Where a URL leads, and the first lines of a request to it."""

    origin: Origin
    start: str


def request_start(method: str, url: httpx.URL, trust: str | None, owner: Hashable) -> RequestStart:
    """Take a URL apart.

    Args:
        trust: certificates (PEM) to trust in place of the hub's.
        owner: see :attr:`hookhub.egress.http.idle.Origin.owner`.

    Raises:
        httpx.UnsupportedProtocol: neither http nor https.
    """
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"The hub calls http and https, not {url.scheme!r}.")
    # ``url.host`` is for people: it shows an international name in its own letters.
    port = url.port or (443 if url.scheme == "https" else 80)
    origin = Origin(url.scheme, url.raw_host.decode("ascii"), port, trust, owner)
    target, host = url.raw_path.decode("ascii"), url.netloc.decode("ascii")
    return RequestStart(origin, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n")
