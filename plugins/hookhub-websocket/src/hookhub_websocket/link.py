"""The WebSocket protocol on one connection: messages in, frames out, the closing handshake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason

from hookhub_websocket.closing import Why
from hookhub_websocket.frames import text_frame
from hookhub_websocket.handshake import READ_SIZE
from hookhub_websocket.outbox import Outbox
from hookhub_websocket.rate import MessageRate, Pace
from hookhub_websocket.settings import WebSocketSettings

STUCK = 30.0
"""Seconds that a connection may have taken nothing until it is found to be slow, and more."""
PENALTY = 0.02
"""Seconds between reads (of :data:`READ_SIZE`) from a client that was closed for its flood."""

TakeText = Callable[[str | None], Awaitable[None]]
"""Takes a whole text message; None stands for a binary one."""


class Link:
    """A WebSocket after its handshake.

    Args:
        ws: the protocol.
        stream: the connection.
        max_message: bytes of the largest message.
        settings: ``[plugins.websocket]``.
    """

    def __init__(
        self,
        ws: Connection,
        stream: trio.abc.Stream,
        max_message: int,
        settings: WebSocketSettings,
    ) -> None:
        self.outbox = Outbox(stream)
        self.scope: trio.CancelScope | None = None
        """Around everything that this connection does; see :meth:`close`."""
        self.closed: Why | None = None
        """Why it is closing; None while it is open."""
        self.last_heard = trio.current_time()
        self._ws = ws
        self._stream = stream
        self._max_message = max_message
        self._close_timeout = settings.close_timeout
        self._slow_timeout = settings.slow_timeout
        self._control = MessageRate(settings.control_rate, settings.control_burst, self.last_heard)
        self._parts: list[str] = []
        self._size = 0
        self._deaf = False

    def post(self, payload: bytes) -> None:
        """Send a text message, after what waits already."""
        self.outbox.post(text_frame(payload))

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.closed is None:
            self.outbox.post(self._ws.send(Ping()))

    def close(self, why: Why, reason: str = "", *, code: int | None = None) -> None:
        """Begin the closing handshake; the connection is cut if the client does not end it.

        One that is slow does not read: it has longer, until the close frame is on its way.
        """
        if self.closed is not None:
            return
        self.closed = why
        frame = self._ws.send(CloseConnection(code=code or why.code, reason=reason or None))
        self.outbox.close(frame)
        if why is Why.SLOW:
            _be_patient(self._stream, self._slow_timeout + STUCK)
            self._end_after(self._slow_timeout)
        else:
            self.end_soon()

    def end_soon(self) -> None:
        """All is said on one side: the other has as long as any to answer."""
        self._end_after(self._close_timeout)

    def _end_after(self, seconds: float) -> None:
        if self.scope is not None:
            self.scope.deadline = min(self.scope.deadline, trio.current_time() + seconds)

    def abort(self) -> None:
        """Cut the connection."""
        if self.scope is not None:
            self.scope.cancel()

    async def read(self, handle: TakeText) -> None:
        """Read until the client is gone or the closing handshake is complete.

        Raises:
            trio.BrokenResourceError: the connection broke.
        """
        while data := await self._stream.receive_some(READ_SIZE):
            self.last_heard = trio.current_time()
            if self._deaf:
                continue
            self._ws.receive_data(bytes(data))
            more = len(data) == READ_SIZE
            del data
            if await self._take_all(handle):
                return
            if more and self.closed is Why.FLOOD:
                # What was sent before the answer to our close is still to be read, but not at the
                # pace at which it was sent.
                await trio.sleep(PENALTY)
            await self.outbox.wait_room()

    async def _take_all(self, handle: TakeText) -> bool:
        """Whether the closing handshake is complete."""
        for event in self._ws.events():
            if isinstance(event, CloseConnection):
                return self._ended(event)
            if self.closed is None:
                await self._take(event, handle)
        return False

    def _ended(self, event: CloseConnection) -> bool:
        """Whether the closing handshake is complete but for our own close frame."""
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            self.closed = Why.CLIENT
            self.outbox.close(self._ws.send(event.response()))
            return True
        if self._ws.state is ConnectionState.CLOSED:
            return True
        # wsproto could not parse it, and cannot go on. What still comes is read and dropped, so
        # that the client gets the close frame instead of a reset.
        self._deaf = True
        if event.code == CloseReason.MESSAGE_TOO_BIG:
            self._too_big()
        else:
            self.close(Why.PROTOCOL, event.reason or "", code=event.code)
        return False

    async def _take(self, event: Event, handle: TakeText) -> None:
        if isinstance(event, (Ping, Pong)):
            if self._paced() and isinstance(event, Ping):
                self.outbox.post_pong(self._ws.send(event.response()))
            return
        if isinstance(event, Message) and event.frame_finished and not event.message_finished:
            self._paced()
        if isinstance(event, TextMessage):
            if self._add(len(event.data.encode("utf-8"))) and event.data:
                self._parts.append(event.data)
            if event.message_finished and self.closed is None:
                text = "".join(self._parts)
                self._reset()
                await handle(text)
        elif isinstance(event, BytesMessage):
            self._add(len(event.data))
            if event.message_finished and self.closed is None:
                self._reset()
                await handle(None)

    def _add(self, size: int) -> bool:
        self._size += size
        if self._size <= self._max_message:
            return True
        self._reset()
        self._too_big()
        return False

    def _too_big(self) -> None:
        self.close(
            Why.TOO_BIG, f"A message may have {self._max_message} bytes ([live] max_message)"
        )

    def _paced(self) -> bool:
        """Whether a frame that is no whole message, but is as much work, comes slowly enough."""
        pace = self._control.take(trio.current_time())
        if pace is Pace.FLOOD:
            self.close(Why.FLOOD, "Too many frames; slow down before you come back")
        return pace is Pace.FINE

    def _reset(self) -> None:
        self._parts.clear()
        self._size = 0


def _be_patient(stream: Any, seconds: float) -> None:
    """Let data wait in the socket for so long, whatever the server allows its connections."""
    while stream is not None and getattr(stream, "socket", None) is None:
        # Below TLS, and below what gave the first bytes.
        stream = getattr(stream, "transport_stream", None) or getattr(stream, "stream", None)
    if stream is not None:
        with suppress(OSError, AttributeError):  # no TCP, or a system that has no such limit
            option = trio.socket.TCP_USER_TIMEOUT
            stream.socket.setsockopt(trio.socket.IPPROTO_TCP, option, round(seconds * 1000))
