"""What the hub reads as HTTP/1.1, and how a connection leaves Hypercorn for known paths.

The decision is made after h11 has parsed the request, as Hypercorn itself switches to HTTP/2:
looking at the first bytes of a connection is not enough, because proxies send upgrades on
connections that carried other requests before.

Hypercorn would also switch to HTTP/2 here, on a plain port too: on a connection where nothing but
HTTP/2's own flow control bounds how long a client may take. The hub speaks HTTP/1.1 only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import h11
import trio
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol

from hookhub.contracts.errors import HookhubError, MalformedRequest
from hookhub.contracts.routes import UpgradeRequest
from hookhub.http.limits import ServerConfig
from hookhub.http.problems import (
    PROBLEM_JSON,
    HeadersTooLarge,
    NotImplementedHere,
    VersionNotSupported,
)

_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
"""RFC 3986 §3.2.2; a server must refuse what is no host (RFC 9112 §3.2)."""


class TakeoverRequired(Exception):
    """The request read last asks for an upgrade of a registered path; Hypercorn must let go."""

    def __init__(
        self, request: h11.Request, client: tuple[str, int] | None, trailing_data: bytes
    ) -> None:
        super().__init__("this connection is handed over")
        self.request = request
        self.client = client
        self.trailing_data = trailing_data


class RequestRefused(Exception):
    """What came cannot be served as HTTP/1.1: answer the error, and close the connection."""

    def __init__(self, error: HookhubError, *, bodyless: bool = False) -> None:
        super().__init__(error.detail)
        self.error = error
        self.bodyless = bodyless
        """Whether the answer may have no body: the method is HEAD."""


class UpgradableH11(H11Protocol):
    """Hypercorn's HTTP/1.1, except for requests to upgrade the connection to WebSocket.

    On a registered path they raise :class:`TakeoverRequired` out of :meth:`handle`; on any other
    they are plain HTTP requests, so that a path that nobody serves is answered with an ordinary
    404 instead of a WebSocket that closes. Other upgrades, h2c for one, are ignored (RFC 9110
    §7.8). What is no HTTP/1.1 raises :class:`RequestRefused`.

    Args:
        paths: the registered ones.
        head_begun: awaited when the first bytes of a request have come, but not yet its head.
        last: whether an answer that begins now is the connection's last.
    """

    config: ServerConfig

    def __init__(
        self,
        paths: Container[str],
        head_begun: Callable[[], Awaitable[None]],
        last: Callable[[], bool],
        *args: Any,
    ) -> None:
        super().__init__(*args)
        self._write = self.send
        self.send = self._gather
        self._held = b""
        self._holds = False
        self._peer = self.client
        self._paths = paths
        self._head_begun = head_begun
        self._last = last
        self._in_head = False
        self._refused = False

    @property
    def waits_for_head(self) -> bool:
        """Whether some of a request has come, but not its whole head."""
        connection = self.connection
        return connection.their_state is h11.IDLE and bool(connection.trailing_data[0])

    async def handle(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().handle(event)
        elif not self._refused and self.connection.their_state is not h11.MUST_CLOSE:
            # What follows the last request would be an error to h11, and Hypercorn would break off
            # the answer that is on its way.
            await super().handle(event)
            if self.waits_for_head and not self._in_head:
                self._in_head = True
                await self._head_begun()

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and event.status_code >= 200:
            if self._last():
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
            self._holds = any(name == b"content-length" for name, _ in event.headers)
        await super().stream_send(event)

    async def _gather(self, event: Event) -> None:
        """Send what Hypercorn sends: the head of an answer of known length with its body."""
        if isinstance(event, RawData):
            self._held += event.data
        holds, self._holds = self._holds, False
        if self._held and not holds:
            held, self._held = self._held, b""
            await self._write(RawData(held))
        if not isinstance(event, RawData):
            await self._write(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        self._in_head = False
        error = _unservable(event)
        if error is not None:
            raise RequestRefused(error, bodyless=event.method == b"HEAD")
        if asks_for_websocket(event) and request_path(event) in self._paths:
            client = self._client_of(event)
            raise TakeoverRequired(event, client, self.connection.trailing_data[0])

    def _client_of(self, request: h11.Request) -> tuple[str, int] | None:
        """Whose a request is: of a proxy's connection, each is perhaps another's.

        No proxy tells a port.
        """
        peer = self._peer[0] if self._peer is not None else ""
        client = self.config.forwarded.client(peer, request.headers)
        return self._peer if client == peer else (client, 0)

    async def _create_stream(self, request: h11.Request) -> None:
        self.client = self._client_of(request)
        await super()._create_stream(_without_upgrade(request))

    async def _send_error_response(self, status_code: int) -> None:
        raise RequestRefused(_unreadable(status_code))

    async def refuse(self, refused: RequestRefused) -> None:
        """Answer with a problem document; what comes after that is not looked at."""
        self._refused = True
        body = json.dumps(refused.error.problem()).encode()
        head = h11.Response(
            status_code=refused.error.status,
            headers=[
                (b"content-type", PROBLEM_JSON.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *self.config.response_headers("h11"),
            ],
        )
        parts: list[h11.Event] = [head, h11.Data(data=body), h11.EndOfMessage()]
        if refused.bodyless:
            del parts[1]
        # At once: nobody may send in between.
        data = b"".join(self.connection.send(part) or b"" for part in parts)  # type: ignore[arg-type]
        await self.send(RawData(data=data))


def _unservable(request: h11.Request) -> HookhubError | None:
    """Why a request that h11 lets through is none for the hub."""
    if not request.http_version.startswith(b"1."):
        detail = "The hub speaks HTTP/1.1 and 1.0; send one of these."
        # HTTP/2's connection preface (RFC 9113 §3.4) is not even meant to be a request.
        preface = request.method == b"PRI"
        return MalformedRequest(detail) if preface else VersionNotSupported(detail)
    names = set()
    for name, value in request.headers:
        names.add(name)
        if name == b"host" and not _HOST.fullmatch(value):
            return MalformedRequest("Host is no host name.")
    if b"transfer-encoding" in names and b"content-length" in names:
        # RFC 9112 §6.1: somebody may be smuggling a request past a proxy.
        return MalformedRequest("Transfer-Encoding and Content-Length exclude each other.")
    return None


def _unreadable(status: int) -> HookhubError:
    """What h11's parser means by this status."""
    if status == 431:
        return HeadersTooLarge("The request line and the headers are too large; send less.")
    if status == 501:
        return NotImplementedHere("The only transfer coding that the hub takes is 'chunked'.")
    return MalformedRequest("This is no HTTP/1.1 request; check its line, headers and chunks.")


def request_path(request: h11.Request) -> str:
    """The path of a request, decoded, without its query string."""
    return unquote(request.target.partition(b"?")[0].decode("ascii"))


def asks_for_websocket(request: h11.Request) -> bool:
    """RFC 6455 §4.1: GET over HTTP/1.1, no body, ``Connection: Upgrade``, ``Upgrade: websocket``.

    What else the handshake needs is checked by whoever takes the connection, who knows best how
    to refuse it.
    """
    upgrades, options = set(), set()
    for name, value in request.headers:
        if name == b"upgrade":
            upgrades.update(_tokens(value))
        elif name == b"connection":
            options.update(_tokens(value))
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return False
    return (
        request.method == b"GET"
        and request.http_version == b"1.1"
        and b"upgrade" in options
        and b"websocket" in upgrades
    )


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _without_upgrade(request: h11.Request) -> h11.Request:
    """The same request without ``Upgrade``, which would make Hypercorn open a WebSocket for it.

    A server may ignore ``Upgrade`` (RFC 9110 §7.8), and h11 has noted the client's wish already.
    """
    headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
    if len(headers) == len(request.headers):
        return request
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=headers,
        http_version=request.http_version,
    )


def upgrade_request(
    request: h11.Request, *, client: tuple[str, int] | None, secure: bool
) -> UpgradeRequest:
    """What the handler of an upgrade is told.

    Args:
        client: the client's address and port; None on a Unix socket.
        secure: whether the connection is TLS.
    """
    return UpgradeRequest(
        path=request_path(request),
        query_string=request.target.partition(b"?")[2],
        headers=list(request.headers),
        client=client[0] if client is not None else "",
        secure=secure,
    )


class ReplayStream(trio.abc.Stream):
    """A stream that first gives the bytes that were read too far.

    A client may send its first frames along with the upgrade request; h11 holds them then.
    """

    def __init__(self, stream: trio.abc.Stream, leading: bytes) -> None:
        self.stream = stream
        self._leading = leading

    @property
    def socket(self) -> trio.socket.SocketType | None:
        """The socket, if nothing is between it and what is sent here; None over TLS."""
        return self.stream.socket if isinstance(self.stream, trio.SocketStream) else None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._leading:
            return await self.stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = len(self._leading) if max_bytes is None else max_bytes
        data, self._leading = self._leading[:size], self._leading[size:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()
