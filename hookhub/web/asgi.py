"""One HTTP request between the server and the app.

Quart-Trio opens a nursery with two tasks for every request, one of which copies the body into a
buffer. Here the handler reads the body itself when it wants it, in the one task there is: it costs
a third, a body that nobody reads is never kept, and a client that hangs up does not cancel a
write half-way. Only a streamed answer has a nursery, because it must notice that the client left.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart.wrappers import Response
from quart.wrappers.response import DataBody
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest, TrioResponse
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import BadRequest

from hookhub.contracts.errors import MalformedRequest, PayloadTooLarge
from hookhub.contracts.routes import BodyLimit
from hookhub.http.connections import abort_connection
from hookhub.http.problems import problem_response

LINGER = 5.0
"""Seconds to go on reading a body that was refused: a client that is still sending when the
connection closes gets a reset, and may never see the answer that says why."""

LAST_WORDS = 0.25
"""Seconds that a streamed answer has to end by itself when it is told to, and once more until the
connection is cut."""

log = structlog.get_logger("hookhub.web")


class PulledBody(TrioBody):
    """A request body that comes from the server when it is awaited."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        # Not the base's __init__, which makes events for a second task.
        self._limit = BodyLimit(max_content_length or sys.maxsize, "[server] max_body")
        self._expected = expected_content_length or 0
        self._receive: Callable[[], Awaitable[Any]] | None = None
        self._data = bytearray()
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether the server has nothing more to give."""
        return self._ended

    def attach(self, receive: ASGIReceiveCallable) -> None:
        """Say where the body comes from."""
        self._receive = receive

    def bound(self, limit: BodyLimit) -> None:
        """Take no more than this."""
        self._limit = min(self._limit, limit)

    async def _next(self) -> bytes:
        assert self._receive is not None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise MalformedRequest("The connection closed before the whole body had come.")
        self._ended = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data

    async def _read(self) -> bytes:
        limit, reason = self._limit
        while not self._ended and self._expected <= limit:
            self._data += await self._next()
            self._expected = max(self._expected, len(self._data))
        if self._expected > limit:
            self._data.clear()
            raise PayloadTooLarge(
                f"The body is larger than {limit} bytes ({reason}); send less at a time.",
                members={"limit": limit},
            )
        return bytes(self._data)

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        return await self._next()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._read().__await__()

    async def wait_gone(self) -> None:
        """Return when the client has hung up; only after the body was read, or where there is none.

        May be cancelled and called again.
        """
        assert self._receive is not None
        while True:
            message = await self._receive()
            self._ended = True
            if message["type"] == "http.disconnect":
                return

    async def drain(self) -> None:
        """Read and forget what is still to come, for :data:`LINGER` seconds at most."""
        with trio.move_on_after(LINGER):
            while not self._ended:
                try:
                    await self._next()
                except MalformedRequest:
                    return

    def append(self, data: bytes) -> None:
        """Add to the body (Quart's test contexts do)."""
        self._data += data

    def set_complete(self) -> None:
        """Say that nothing more comes (Quart's test contexts do)."""
        self._ended = True


class HubRequest(TrioRequest):
    """A request whose body is pulled."""

    body_class = PulledBody
    body: PulledBody


class StreamedResponse(TrioResponse):
    """An answer that is sent piece by piece for as long as it lasts."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        status: int,
        content_type: str,
        until: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(b"", status=status, content_type=content_type)
        self.chunks = chunks
        self.until = until or trio.sleep_forever
        del self.headers["Content-Length"]


class HTTPConnection(TrioASGIHTTPConnection):
    """One HTTP request; called by :class:`hookhub.web.app.HubApp`."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self.scope["path"] = self.scope["path"] or "/"
        method, path = self.scope["method"], self.scope["path"]
        try:
            request = self._create_request_from_scope(send)
        except ValueError:  # an absolute target that is no URL
            refused = problem_response(BadRequest(), method=method, path=path)
            await self._send_response(send, refused)
            return
        assert isinstance(request, HubRequest)
        request.body.attach(receive)
        try:
            response = await self.app.handle_request(request)
        except Exception as error:
            response = problem_response(error, method=method, path=path)
        if isinstance(response, StreamedResponse):
            await self._send_stream(receive, send, request, response)
        elif isinstance(response, Response) and isinstance(response.response, DataBody):
            await self._send_start(send, response)
            await self._send_data(send, response.response.data, request.body)
        else:
            await self._send_response(send, response)

    async def _send_start(self, send: ASGISendCallable, response: Response) -> None:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers
        ]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )

    async def _send_data(self, send: ASGISendCallable, data: bytes, body: PulledBody) -> None:
        if body.complete:
            await send({"type": "http.response.body", "body": data, "more_body": False})
            return
        await send({"type": "http.response.body", "body": data, "more_body": True})
        await body.drain()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_stream(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        request: HubRequest,
        response: StreamedResponse,
    ) -> None:
        async with aclosing(response.chunks) as chunks:  # type: ignore[type-var]
            await self._send_start(send, response)
            if request.method != "HEAD" and not await self._pump(
                receive, send, chunks, response.until
            ):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        chunks: AsyncIterator[bytes],
        until: Callable[[], Awaitable[None]],
    ) -> bool:
        """Send until the stream ends or is told to; False if there is nobody to end it for."""
        left = False
        pumped = trio.Event()

        async def watch_client() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            left = True
            nursery.cancel_scope.cancel()

        async def end(told: Callable[[], Awaitable[None]]) -> None:
            await told()
            await trio.sleep(LAST_WORDS)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WORDS):
                await pumped.wait()
                return
            # Hypercorn shields the write to a client that does not read.
            abort_connection()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_client)
                nursery.start_soon(end, self.app.stopping.wait)
                nursery.start_soon(end, until)
                try:
                    async for chunk in chunks:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                finally:
                    pumped.set()
                nursery.cancel_scope.cancel()
        except* Exception as errors:
            # Too late for a status: leaving without the last piece breaks the connection off,
            # which tells the client that this was not the end.
            log.error("http.stream_failed", path=self.scope["path"], exc_info=errors)
            left = True
        return not left
