"""The guarded way out as httpx knows it: an ``httpx.AsyncBaseTransport``."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx

from hookhub.egress.http.sender import ReceivedAnswer, Sender, Timeouts, request_start
from hookhub.egress.http.wire import request_head


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests through the guard; for trio, HTTP/1.1, without following redirects.

    Reads ``request.extensions["timeout"]`` (``connect``, ``read``, ``write``: seconds) as httpx's
    own transport does, and ``request.extensions["trust"]``: certificates (PEM) to trust in place
    of the hub's, as :meth:`hookhub.egress.Egress.check_trust` gave them; and
    ``request.extensions["owner"]``: whose request it is, such as the endpoint's id. A connection is
    kept for the next request of the same owner alone, and for nobody if there is none.

    Fills ``request.extensions["timings"]``, if it is there, with seconds by phase that was begun:
    ``dns``, ``connect``, ``tls`` (none of them on a kept connection) and ``wait``, from the first
    byte of the request to the head of its answer.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the head of its answer; the caller streams the body.

        Raises:
            EgressBlocked: the host has no address that may be called.
            EgressError: a kind of failure; see :mod:`hookhub.egress.http.failures`.
        """
        content = await request.aread()
        extensions = request.extensions
        trust, owner = extensions.get("trust"), extensions.get("owner")
        origin, start = request_start(request.method, request.url, trust, owner)
        timings: MutableMapping[str, Any] = extensions.get("timings", {})
        limits = extensions.get("timeout", {})
        timeouts = Timeouts(limits.get("connect"), limits.get("write"), limits.get("read"))
        data = request_head(start, _fields(request), len(content)) + content
        answer = await self._sender.send(origin, request.method, data, timings, timeouts)
        head = answer.head
        return httpx.Response(
            head.status,
            headers=list(head.fields),
            stream=_Body(answer),
            extensions={"http_version": b"HTTP/" + head.version, "reason_phrase": head.reason},
            request=request,
        )

    async def aclose(self) -> None:
        """Close the connections that wait; the transport stays usable."""
        self._sender.close_idle()


class _Body(httpx.AsyncByteStream):
    """The answer's body, once; closing it gives the connection back.

    An iterator and no async generator: a caller may stop in the middle and just close.
    """

    def __init__(self, answer: ReceivedAnswer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._answer.piece()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._answer.close()


def _fields(request: httpx.Request) -> list[tuple[str, str]]:
    """The header fields but those that are written from what they say."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() not in (b"host", b"content-length", b"transfer-encoding")
    ]
