"""WebSockets to a hub, as its commands and its publisher open them."""

from __future__ import annotations

import ssl
from typing import TypeAlias
from urllib.parse import urlsplit

import trio
from trio_websocket import HandshakeError, WebSocketConnection, wrap_client_stream

from hookhub.client.address import authorization

ByteStream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

CONNECT_TIMEOUT = 10.0
QUEUE = 1_000
"""Messages that wait here for a slow handler, while pings are still answered."""
MAX_MESSAGE = 64 * 1024 * 1024
RECEIVE = 64 * 1024


class NotOpened(Exception):
    """No WebSocket could be opened; the text says why."""


async def dial(url: str) -> ByteStream:
    """A connection to the hub, with TLS if the URL has it.

    Raises:
        NotOpened: nobody answers there.
    """
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            return await _dial(url)
    except OSError as error:
        text = error.strerror or str(error) or type(error).__name__
        raise NotOpened(text.rstrip(".")) from None
    except trio.TooSlowError:
        raise NotOpened(f"no connection within {CONNECT_TIMEOUT:g} s") from None


async def _dial(url: str) -> ByteStream:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(
        host, parts.port or 443, ssl_context=ssl.create_default_context(), https_compatible=True
    )
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise (
            error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error))
        ) from None
    return stream


async def shake_hands(
    nursery: trio.Nursery, stream: ByteStream, url: str, resource: str, token: str
) -> WebSocketConnection:
    """The opening handshake on a connection of :func:`dial`.

    An answer that is no WebSocket's is raised by the library's reader, in the nursery
    (``trio_websocket.ConnectionRejected``).

    Args:
        nursery: for the library's reader.
        url: the hub's address.
        resource: path and query below it.

    Raises:
        NotOpened: it does not answer, or hangs up.
    """
    headers = [(name.encode(), value.encode()) for name, value in authorization(token).items()]
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            return await wrap_client_stream(
                nursery,
                stream,
                urlsplit(url).netloc,
                urlsplit(url).path.rstrip("/") + resource,
                extra_headers=headers,
                message_queue_size=QUEUE,
                max_message_size=MAX_MESSAGE,
                receive_buffer_size=RECEIVE,
            )
    except HandshakeError:
        raise NotOpened("it closed the connection") from None
    except trio.TooSlowError:
        raise NotOpened(f"no answer within {CONNECT_TIMEOUT:g} s") from None
