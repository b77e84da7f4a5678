"""The app, and one HTTP request between the server and it.

Quart keeps the rules, and starts and ends the app; requests do not go through it.
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
from typing import Any
from urllib.parse import urlsplit

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from pydantic import BaseModel
from quart_trio import QuartTrio
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import IntegerConverter, RequestRedirect, Rule

from hookhub.contracts.routes import Response
from hookhub.http.connections import abort_connection
from hookhub.http.problems import problem_response
from hookhub.plugins import PARAMETER
from hookhub.web.call import Params, PulledBody, View, WebRequest
from hookhub.web.operation import Counters

LINGER = 5.0
"""Seconds to go on reading a body that was refused: a client that is still sending when the
connection closes gets a reset, and may never see the answer that says why."""

LAST_WORDS = 0.25
"""Seconds that a streamed answer has to end by itself when it is told to, and once more until the
connection is cut."""

log = structlog.get_logger("hookhub.web")


class HTTPConnection:
    """One HTTP request; Quart calls it for :class:`hookhub.web.app.HubApp`."""

    def __init__(self, app: HubApp, scope: HTTPScope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        scope = self.scope
        method, path = scope["method"], scope["path"]
        body = PulledBody(receive, self.app.config["BODY_TIMEOUT"])
        try:
            if not path.startswith("/"):
                path = scope["path"] = _path_of(path)
            view, params = self.app.view(method, path)
            response = await view(WebRequest.of(scope, body), params)
        except Exception as error:
            response = problem_response(error, method=method, path=path)
        assert response.status is not None
        self.app.counters.count(response.status)
        if isinstance(response.body, AsyncIterator):
            await self._send_stream(receive, send, response, response.body)
            return
        data = _encode(response.body)
        await send(_start(response, data))
        if not body.complete:
            await send({"type": "http.response.body", "body": data or b"", "more_body": True})
            await body.drain(LINGER)
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


class IdConverter(IntegerConverter):
    """A decimal integer without sign; what is longer than any id does not match."""

    regex = r"[0-9]{1,19}"


class HubApp(QuartTrio):
    """The hub's Quart-Trio app; see :mod:`hookhub.web.asgi` for how it is called.

    Args:
        stopping: when set, streamed answers end.
    """

    asgi_http_class = HTTPConnection  # type: ignore[assignment]

    def __init__(self, stopping: trio.Event) -> None:
        super().__init__("hookhub.web", static_folder=None)
        self.stopping = stopping
        self.counters = Counters()
        self.url_map.converters["id"] = IdConverter
        # A redirect would name a host that nobody has; what is misspelt is not there.
        self.url_map.merge_slashes = False
        self._fixed: dict[tuple[str, str], View] = {}

    def add_view(self, method: str | None, path: str, view: View) -> None:
        """Have ``view`` answer this method of a path, written as routes have it; None for all."""
        methods = None if method is None else [method]
        self.url_map.add(Rule(rule_of(path), methods=methods, endpoint=view))
        if method is not None and "{" not in path:
            self._fixed[method, path] = view

    def view(self, method: str, path: str) -> tuple[View, Params]:
        """Who answers; which Host a client names makes no difference.

        Raises:
            werkzeug.exceptions.HTTPException: nobody does.
        """
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        endpoint: Any
        try:
            endpoint, params = self.url_map.bind("hookhub").match(path, method)
        except RequestRedirect:  # would name a host that nobody has
            raise NotFound from None
        return endpoint, params


def _path_of(target: str) -> str:
    """The path of a whole URL, which servers take as well (RFC 9112 §3.2.2)."""
    try:
        return urlsplit(target).path or "/"
    except ValueError:
        raise BadRequest from None


def rule_of(path: str) -> str:
    """Quart's form of a path: ``/webhooks/{id:int}`` is ``/webhooks/<id:id>``."""
    return PARAMETER.sub(lambda found: f"<{'id:' if found[2] else ''}{found[1]}>", path)


def _encode(
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
