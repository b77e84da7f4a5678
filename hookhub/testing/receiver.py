"""A receiver of webhooks for tests: real HTTP on a real loopback socket, answering from a script.

::

    async with open_receiver(Reply(503), Reply(200)) as receiver:
        ...                                   # make the hub call receiver.url
        first, second = await receiver.wait_for(2)
        assert second.header("x-webhook-attempt") == "2"

Every request is recorded, also those that get no answer. A request takes the next answer of the
script; when the script is used up, ``receiver.default`` answers. Give ``receiver.respond`` a
function to decide by the request instead.
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

Headers: TypeAlias = Sequence[tuple[str, str]]

_MAX_HEAD = 1024 * 1024
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionError)


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


@dataclass(frozen=True, slots=True)
class Reply:
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
    headers: Headers = ()
    wait: trio.Event | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class Twice:
    """Answers, and then says the same once more, which nobody asked for.

    Args:
        answer: what is said twice.
        delay: seconds in between; 0 sends the second one at once, by itself (over TLS in a record
            of its own).
    """

    answer: Reply
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Read the request and never answer."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection without a word."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (TCP RST) without a word."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Send these bytes as they are, then close: garbage, half an answer, an endless head …"""

    data: bytes


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer with a body that never ends: ``piece`` every ``interval`` seconds.

    An interval of 0 sends as fast as the caller reads.
    """

    status: int = 200
    piece: bytes = b"."
    interval: float = 0.05
    headers: Headers = ()


Behaviour: TypeAlias = Reply | Twice | Hang | Close | Reset | Raw | Drip


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
    receiver = Receiver(url=f"{scheme}://{name}:{port}{path}", port=port)
    receiver.script(*script)

    async def serve(stream: trio.SocketStream) -> None:
        receiver.connections += 1
        await _Conversation(receiver, stream, ssl_context, receiver.connections).run()

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        try:
            yield receiver
        except Exception as error:
            # Raised below: through the nursery it would become an ExceptionGroup.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class _Conversation:
    """One connection from its start to its end."""

    def __init__(
        self,
        receiver: Receiver,
        transport: trio.SocketStream,
        context: ssl.SSLContext | None,
        number: int,
    ) -> None:
        self._receiver = receiver
        self._transport = transport
        self._stream: trio.abc.Stream = transport
        if context is not None:
            self._stream = trio.SSLStream(
                transport, context, server_side=True, https_compatible=True
            )
        self._number = number
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._later: trio.Nursery

    async def run(self) -> None:
        left = trio.Event()
        self._receiver._idle[self._transport] = left
        try:
            async with trio.open_nursery() as self._later:
                await self._talk(left)
                self._later.cancel_scope.cancel()
        finally:
            self._receiver._idle.pop(self._transport, None)
            await trio.aclose_forcefully(self._transport)
            left.set()

    async def _talk(self, left: trio.Event) -> None:
        with suppress(*_BROKEN, h11.RemoteProtocolError, ssl.SSLError):
            while await self._exchange(left):
                self._h11.start_next_cycle()

    async def _exchange(self, left: trio.Event) -> bool:
        """Take one request; whether there may be another one."""
        request = await self._request()
        if request is None:
            return False
        behaviour = self._receiver._take(request)
        match behaviour:
            case Reply():
                return await self._answer(behaviour, left)
            case Twice():
                return await self._answer(behaviour.answer, left, behaviour)
            case Raw():
                await self._stream.send_all(behaviour.data)
            case Drip():
                await self._drip(behaviour)
            case Hang():
                await self._until_gone()
            case Reset():
                # A linger time of 0 makes close() send RST instead of FIN.
                self._transport.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            case Close():
                pass
        return False

    async def _request(self) -> ReceivedRequest | None:
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        self._receiver._idle.pop(self._transport, None)
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
            self._h11.receive_data(bytes(await self._stream.receive_some()))
        assert not isinstance(event, type) or event is h11.PAUSED
        return event

    async def _answer(self, answer: Reply, left: trio.Event, twice: Twice | None = None) -> bool:
        if answer.wait is not None:
            await answer.wait.wait()
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        if answer.close:
            headers.append(("Connection", "close"))
        events: list[h11.Event] = [h11.Response(status_code=answer.status, headers=headers)]
        if answer.body and answer.status not in (204, 304):
            events.append(h11.Data(data=answer.body))
        events.append(h11.EndOfMessage())
        data = b"".join(self._h11.send(event) or b"" for event in events)
        keep = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        if keep:
            # Before the answer goes out: whoever has read it may count on close_idle().
            self._receiver._idle[self._transport] = left
        await self._stream.send_all(data)
        if twice is not None:
            await self._again(data, twice.delay)
        return keep

    async def _again(self, data: bytes, delay: float) -> None:
        async def later() -> None:
            await trio.sleep(delay)
            with suppress(*_BROKEN, trio.BusyResourceError):
                await self._stream.send_all(data)

        if delay:
            self._later.start_soon(later)
        else:
            await self._stream.send_all(data)

    async def _drip(self, drip: Drip) -> None:
        await self._send(h11.Response(status_code=drip.status, headers=list(drip.headers)))
        while True:
            await self._send(h11.Data(data=drip.piece))
            await trio.sleep(drip.interval)

    async def _until_gone(self) -> None:
        while await self._stream.receive_some():
            pass

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            await self._stream.send_all(data)
