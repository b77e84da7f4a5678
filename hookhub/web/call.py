"""A request as the server hands it over, before anything of it is checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio
from hypercorn.typing import ASGIReceiveCallable, HTTPScope

from hookhub.contracts.errors import MalformedRequest, PayloadTooLarge
from hookhub.contracts.routes import BodyLimit, Response
from hookhub.http.problems import RequestTimedOut

Params = Mapping[str, int | str]
View = Callable[["WebRequest", Params], Awaitable[Response]]
"""Answers one request; the parameters are those of its path."""


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

    async def drain(self, seconds: float) -> None:
        """Read and forget what is still to come, for so long at most."""
        with trio.move_on_after(seconds):
            while not self._ended:
                try:
                    await self._next()
                except MalformedRequest:
                    return


@dataclass(frozen=True, slots=True)
class WebRequest:
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
        """Decoded, without the query string."""
        return self.scope["path"]

    @classmethod
    def of(cls, scope: HTTPScope, body: PulledBody) -> WebRequest:
        """The request of this scope."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = (
                raw_name.decode("latin-1").lower(),
                raw_value.decode("latin-1"),
            )
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(scope, headers, body)
