"""A receiver of webhooks for tests: real HTTP on a real loopback socket, answering from a script.

::

    async with open_receiver(Reply(503), Reply(200)) as receiver:
        ...                                   # make the hub call receiver.url
        first, second = await receiver.wait_for(2)
        assert second.header("x-webhook-attempt") == "2"

Every request is recorded, also those that get no answer. A request takes the next behaviour of the
script; when the script is used up, ``receiver.default`` has its turn. Give ``receiver.respond`` a
function to decide by the request instead, and derive from ``Behaviour`` for one of your own.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import h11
import trio

HeaderFields: TypeAlias = Sequence[tuple[str, str]]

_MAX_HEAD = 1024 * 1024
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionError)
"""How sending ends when the other side is gone."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in."""

    method: str
    target: str
    """Path and query as sent."""
    headers: tuple[tuple[str, str], ...]
    """In the order sent; names in lower case."""
    body: bytes
    connection: int
    """1 for the receiver's first connection: tells whether a connection was reused."""

    def header(self, name: str) -> str | None:
        """The value of a header field, or None; a repeated one joined with ``", "``."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        """The body parsed as JSON."""
        return json.loads(self.body)


class Behaviour:
    """What a receiver does with a request; it goes on with the connection if that was a reply."""

    async def act(self, conversation: Conversation) -> None:
        """Do it; the request has come in whole."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Reply(Behaviour):
    """A well-formed answer.

    Args:
        status: 200 to 599.
        body: sent with its Content-Length.
        headers: sent besides ``Content-Length``.
        wait: is waited for before the answer.
        close: close the connection after it, saying so in ``Connection: close``.
    """

    status: int = 200
    body: bytes = b""
    headers: HeaderFields = ()
    wait: trio.Event | None = None
    close: bool = False

    async def act(self, conversation: Conversation) -> None:
        if self.wait is not None:
            await self.wait.wait()
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        if self.close:
            headers.append(("Connection", "close"))
        events: list[h11.Event] = [h11.Response(status_code=self.status, headers=headers)]
        if self.body and self.status not in (204, 304):
            events.append(h11.Data(data=self.body))
        await conversation.send(*events, h11.EndOfMessage())


@dataclass(frozen=True, slots=True)
class Hang(Behaviour):
    """Read the request and never answer."""

    async def act(self, conversation: Conversation) -> None:
        while await conversation.stream.receive_some():
            pass


@dataclass(frozen=True, slots=True)
class Close(Behaviour):
    """Close the connection without a word."""

    async def act(self, conversation: Conversation) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Reset(Behaviour):
    """Reset the connection (TCP RST) without a word."""

    async def act(self, conversation: Conversation) -> None:
        # A linger time of 0 makes close() send RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        conversation.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@dataclass(frozen=True, slots=True)
class Raw(Behaviour):
    """Send these bytes as they are, then close: garbage, half an answer, an endless head …"""

    data: bytes

    async def act(self, conversation: Conversation) -> None:
        await conversation.stream.send_all(self.data)


@dataclass(frozen=True, slots=True)
class Drip(Behaviour):
    """Answer with a body that never ends: ``piece`` every ``interval`` seconds.

    An interval of 0 sends as fast as the caller reads.
    """

    status: int = 200
    piece: bytes = b"."
    interval: float = 0.05
    headers: HeaderFields = ()

    async def act(self, conversation: Conversation) -> None:
        await conversation.send(h11.Response(status_code=self.status, headers=list(self.headers)))
        while True:
            await conversation.send(h11.Data(data=self.piece))
            await trio.sleep(self.interval)


@dataclass(slots=True, eq=False)
class Receiver:
    """What :func:`open_receiver` gives: the address, the script and the record."""

    url: str
    """``http://127.0.0.1:PORT/hook`` (``https`` with a TLS context)."""
    port: int
    default: Behaviour = field(default_factory=Reply)
    """What answers when the script is used up."""
    respond: Callable[[ReceivedRequest], Behaviour] | None = None
    """Decides by the request; comes before the script."""
    requests: list[ReceivedRequest] = field(default_factory=list)
    """Every request so far, in the order in which they were complete."""
    connections: int = 0
    """Connections that were accepted so far."""
    nursery: trio.Nursery = field(kw_only=True)
    """For what a behaviour leaves in the background."""
    _script: deque[Behaviour] = field(default_factory=deque)
    _arrived: trio.Event = field(default_factory=trio.Event)
    _idle: dict[trio.SocketStream, trio.Event] = field(default_factory=dict)

    def script(self, *behaviours: Behaviour) -> None:
        """Add to what the next requests are answered with."""
        self._script.extend(behaviours)

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[ReceivedRequest]:
        """Wait until ``count`` requests have come in all; the list of all that have.

        Raises:
            AssertionError: they did not come within ``timeout`` seconds.
        """
        with trio.move_on_after(timeout):
            while len(self.requests) < count:
                await self._arrived.wait()
        if len(self.requests) < count:
            raise AssertionError(
                f"waited {timeout:g} s for {count} requests at {self.url}, "
                f"but {len(self.requests)} came"
            )
        return list(self.requests)

    async def close_idle(self) -> None:
        """Close the connections that wait for their next request, as servers do after a while.

        Returns when the receiver's side is closed: the caller's next request may still be sent
        before it notices.
        """
        closed = list(self._idle.items())
        for stream, _ in closed:
            stream.socket.shutdown(socket.SHUT_RDWR)
        for _, left in closed:
            await left.wait()

    def _take(self, request: ReceivedRequest) -> Behaviour:
        self.requests.append(request)
        self._arrived.set()
        self._arrived = trio.Event()
        if self.respond is not None:
            return self.respond(request)
        return self._script.popleft() if self._script else self.default


@asynccontextmanager
async def open_receiver(
    *script: Behaviour,
    host: str = "127.0.0.1",
    path: str = "/hook",
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    """Listen on a free port of the loopback interface until the block is left.

    Args:
        script: what the first requests are answered with, in turn.
        host: the loopback address to listen at; with a TLS context the URL says ``localhost``.
        path: the path of :attr:`Receiver.url`; every path is answered.
        ssl_context: serve TLS with this (server) context.
    """
    listeners = await trio.open_tcp_listeners(0, host=host)
    port = listeners[0].socket.getsockname()[1]
    scheme, name = ("https", "localhost") if ssl_context else ("http", host)
    if ":" in name:
        name = f"[{name}]"

    async def serve(transport: trio.SocketStream) -> None:
        receiver.connections += 1
        await Conversation(receiver, transport, ssl_context).run()

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        receiver = Receiver(f"{scheme}://{name}:{port}{path}", port, nursery=nursery)
        receiver.script(*script)
        await nursery.start(trio.serve_listeners, serve, listeners)
        try:
            yield receiver
        except Exception as error:
            # Raised below: through the nursery it would become an ExceptionGroup.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Conversation:
    """One connection of a receiver from its start to its end."""

    def __init__(
        self, receiver: Receiver, transport: trio.SocketStream, context: ssl.SSLContext | None
    ) -> None:
        self.receiver = receiver
        self.transport = transport
        self.stream: trio.abc.Stream = transport
        """Over TLS, what is inside of it."""
        if context is not None:
            self.stream = trio.SSLStream(
                transport, context, server_side=True, https_compatible=True
            )
        self.said = b""
        """What was sent last."""
        self._number = receiver.connections
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._left = trio.Event()

    async def run(self) -> None:
        """Take requests, and do with them what the receiver says."""
        self.receiver._idle[self.transport] = self._left
        try:
            with suppress(*BROKEN, h11.RemoteProtocolError, ssl.SSLError):
                while (request := await self._request()) is not None:
                    await self.receiver._take(request).act(self)
                    if not self._is_over():
                        break
                    self._h11.start_next_cycle()
        finally:
            self.receiver._idle.pop(self.transport, None)
            await trio.aclose_forcefully(self.transport)
            self._left.set()

    async def send(self, *events: h11.Event) -> None:
        """Send parts of an answer at once."""
        self.said = b"".join(self._h11.send(event) or b"" for event in events)
        if self._is_over():
            # Before the answer goes out: whoever has read it may count on close_idle().
            self.receiver._idle[self.transport] = self._left
        if self.said:
            await self.stream.send_all(self.said)

    def _is_over(self) -> bool:
        """Whether request and answer are complete, and there may be another request."""
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _request(self) -> ReceivedRequest | None:
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        self.receiver._idle.pop(self.transport, None)
        body = b""
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            return None
        return ReceivedRequest(
            method=head.method.decode("ascii"),
            target=head.target.decode("latin-1"),
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
            ),
            body=body,
            connection=self._number,
        )

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(bytes(await self.stream.receive_some()))
        assert not isinstance(event, type) or event is h11.PAUSED
        return event
