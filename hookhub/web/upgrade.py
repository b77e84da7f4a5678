"""How a connection leaves Hypercorn: an HTTP/1.1 protocol that steps aside for known paths.

The decision is made after h11 has parsed the request, as Hypercorn itself switches to HTTP/2:
looking at the first bytes of a connection is not enough, because proxies send upgrades on
connections that carried other requests before.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any
from urllib.parse import unquote

import h11
import trio
from hypercorn.protocol.h11 import H11Protocol

from hookhub.routes import UpgradeRequest


class TakeoverRequired(Exception):
    """The request read last asks for an upgrade of a registered path; Hypercorn must let go."""

    def __init__(self, request: h11.Request, trailing_data: bytes) -> None:
        super().__init__("this connection is handed over")
        self.request = request
        self.trailing_data = trailing_data


class UpgradableH11(H11Protocol):
    """Hypercorn's HTTP/1.1, except for requests to upgrade the connection to WebSocket.

    On a registered path they raise :class:`TakeoverRequired` out of :meth:`handle`; on any other
    they are plain HTTP requests, so that a path that nobody serves is answered with an ordinary
    404 instead of a WebSocket that closes.
    """

    def __init__(self, paths: Container[str], *args: Any) -> None:
        super().__init__(*args)
        self._paths = paths

    async def _check_protocol(self, event: h11.Request) -> None:
        if asks_for_websocket(event) and request_path(event) in self._paths:
            raise TakeoverRequired(event, self.connection.trailing_data[0])
        await super()._check_protocol(event)

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(_without_upgrade(request))


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
        client: the peer's address and port; None on a Unix socket.
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
