"""One HTTP request between the server and the app.

Quart-Trio opens a nursery with two tasks for every request, makes a request, a context and a
response of its own, and one of the tasks copies the body into a buffer. Here an operation is called
with what ASGI has, and reads the body itself when it wants it, in the one task there is: it costs a
fraction, a body that nobody reads is never kept, and a client that hangs up does not cancel a write
half-way. Only a streamed answer has a nursery, because it must notice that the client left.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from pydantic import BaseModel

from hookhub.contracts.errors import MalformedRequest, PayloadTooLarge
from hookhub.contracts.routes import BodyLimit, Response
from hookhub.http.connections import abort_connection
from hookhub.http.problems import RequestTimedOut, problem_response

if TYPE_CHECKING:
    from hookhub.web.app import HubApp

LINGER = 5.0
"""Seconds to go on reading a body that was refused: a client that is still sending when the
connection closes gets a reset, and may never see the answer that says why."""

LAST_WORDS = 0.25
"""Seconds that a streamed answer has to end by itself when it is told to, and once more until the
connection is cut."""

Params = Mapping[str, int | str]
View = Callable[["Call", Params], Awaitable[Response]]
"""Answers one request; the parameters are those of its path."""

log = structlog.get_logger("hookhub.web")


class PulledBody:
    """A request body that comes from the server when it is awaited.

    Args:
        receive: where it comes from.
        timeout: seconds for the whole of it.
    """

    def __init__(self, receive: ASGIReceiveCallable, timeout: float) -> None:
        self._receive: Callable[[], Awaitable[Any]] = receive
        self._timeout = timeout
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether the server has nothing more to give."""
        return self._ended

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise MalformedRequest("The connection closed before the whole body had come.")
        self._ended = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data

    async def read(self, declared: str | None, limit: BodyLimit) -> bytes:
        """All of it.

        Args:
            declared: the request's Content-Length.

        Raises:
            PayloadTooLarge: it is, or will be.
            RequestTimedOut: it did not come in time.
            MalformedRequest: the client is gone.
        """
        data = bytearray()
        expected = int(declared) if declared is not None and declared.isdecimal() else 0
        with trio.move_on_after(self._timeout):
            while not self._ended and expected <= limit.bytes:
                data += await self._next()
                expected = max(expected, len(data))
            if expected > limit.bytes:
                raise PayloadTooLarge(
                    f"The body is larger than {limit.bytes} bytes ({limit.reason}); send less at a "
                    "time.",
                    members={"limit": limit.bytes},
                )
            return bytes(data)
        raise RequestTimedOut("The body did not arrive in time; send it faster.")

    async def wait_gone(self) -> None:
        """Return when the client has hung up; only after the body was read, or where there is none.

        May be cancelled and called again.
        """
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


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: nothing of it is checked yet."""

    scope: HTTPScope
    headers: Mapping[str, str]
    """Names in lower case; repeated ones are joined, as RFC 9110 §5.2 says."""
    body: PulledBody

    @property
    def method(self) -> str:
        """As it came."""
        return self.scope["method"]

    @property
    def path(self) -> str:
        """Decoded; never empty."""
        return self.scope["path"] or "/"

    @classmethod
    def of(cls, scope: HTTPScope, body: PulledBody) -> Call:
        """The request of this scope."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = (
                raw_name.decode("latin-1").lower(),
                raw_value.decode("latin-1"),
            )
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(scope, headers, body)


class HTTPConnection:
    """One HTTP request; Quart calls it for :class:`hookhub.web.app.HubApp`."""

    def __init__(self, app: HubApp, scope: HTTPScope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        scope = self.scope
        method, path = scope["method"], scope["path"] or "/"
        body = PulledBody(receive, self.app.config["BODY_TIMEOUT"])
        try:
            view, params = self.app.view(method, path)
            response = await view(Call.of(scope, body), params)
        except Exception as error:
            response = problem_response(error, method=method, path=path)
        assert response.status is not None
        self.app.counters.count(response.status)
        if isinstance(response.body, AsyncIterator):
            await self._send_stream(receive, send, response, response.body)
            return
        data = encode(response.body)
        await send(_start(response, data))
        if not body.complete:
            await send({"type": "http.response.body", "body": data or b"", "more_body": True})
            await body.drain()
            data = b""
        await send({"type": "http.response.body", "body": data or b"", "more_body": False})

    async def _send_stream(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        response: Response,
        body: AsyncIterator[bytes],
    ) -> None:
        async with aclosing(body) as chunks:  # type: ignore[type-var]
            await send(_start(response, None))
            # The head goes out before there is anything to say.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            if self.scope["method"] != "HEAD" and not await self._pump(
                receive, send, chunks, response.until or trio.sleep_forever
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
                        await send(
                            {
                                "type": "http.response.body",
                                "body": chunk,
                                "more_body": True,
                            }
                        )
                finally:
                    pumped.set()
                nursery.cancel_scope.cancel()
        except* Exception as errors:
            # Too late for a status: leaving without the last piece breaks the connection off,
            # which tells the client that this was not the end.
            log.error("http.stream_failed", path=self.scope["path"], exc_info=errors)
            left = True
        return not left


def encode(
    body: BaseModel | Mapping[str, Any] | list[Any] | bytes | None,
) -> bytes | None:
    """An answer's body as bytes: JSON, unless it is bytes already."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        return type(body).__pydantic_serializer__.to_json(body, by_alias=True)
    return json.dumps(body).encode()


def _start(response: Response, data: bytes | None) -> Any:
    """The beginning of an answer; without ``data`` it is streamed, or has no body at all."""
    headers = {}
    if response.body is not None:
        headers["content-type"] = response.content_type
    if not isinstance(response.body, AsyncIterator) and response.status != 204:
        headers["content-length"] = str(len(data or b""))  # RFC 9110 §8.6 forbids it for 204
    for name, value in response.headers.items():
        headers[name.lower()] = value
    return {
        "type": "http.response.start",
        "status": response.status,
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
    }
