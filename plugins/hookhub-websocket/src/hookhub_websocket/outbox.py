"""The only way onto a socket: at once when nothing is in the way, else through a flusher."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from os import write

import trio

ROOM = 64 * 1024
"""Bytes of answers that may wait before the client's next message is read."""


class Outbox:
    """What one socket still has to send, and the only writer of it.

    As long as nothing waits, frames are written at once, without waking any task; what the socket
    does not take waits for the flusher, a task that lives no longer than there is something to
    send (see :meth:`attach`). A frame that was begun is always finished, and nothing follows a
    close frame.

    Args:
        stream: the connection. One that shows its ``socket`` has nothing in between, such as TLS,
            and may be written to at once.
    """

    __slots__ = (
        "_drained",
        "_fileno",
        "_last",
        "_pong",
        "_queue",
        "_queued",
        "_rest",
        "_start",
        "_stream",
        "busy",
        "bytes_sent",
        "writing_since",
    )

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        sock: trio.socket.SocketType | None = getattr(stream, "socket", None)
        # The number of a socket that was closed may be another connection's by now: it is asked
        # for each time, and is -1 then.
        self._fileno = None if sock is None else sock.fileno
        self._start: Callable[[], None] | None = None
        self._rest: bytes | memoryview = b""
        """Of a frame that was begun: to be sent before anything else."""
        # Most connections never have anything waiting: they shall cost no memory for it.
        self._queue: list[bytes] | None = None
        self._queued = 0
        self._pong = b""
        self._last: bytes | None = None
        self._drained: trio.Event | None = None
        self.busy = False
        """Whether the flusher is at work or about to start: then nobody else may write."""
        self.writing_since: float | None = None
        """Since when the flusher is at one write (Trio's clock); None if it is not."""
        self.bytes_sent = 0

    # -- everybody's side ------------------------------------------------------------------

    def attach(self, start: Callable[[], None]) -> None:
        """From now on things are sent.

        Args:
            start: starts the flusher: a task that calls :meth:`flush` and :meth:`send` in turn
                until :meth:`rest`.
        """
        self._start = start
        self.wake()

    def detach(self) -> None:
        """Start no flusher any more: nobody would wait for it. One that is at work goes on."""
        self._start = None

    def post(self, frame: bytes) -> None:
        """Send a frame, or queue it; after :meth:`close` it is dropped."""
        if self._last is None and not self.offer(frame):
            self._queue = self._queue or []
            self._queue.append(frame)
            self._queued += len(frame)
            self.wake()

    def post_pong(self, frame: bytes) -> None:
        """Answer a ping; of several waiting only the newest is answered (RFC 6455 §5.5.3)."""
        if self._last is None and not self.offer(frame):
            self._pong = frame
            self.wake()

    def close(self, frame: bytes) -> None:
        """Send what is queued, then this close frame, then nothing."""
        if self._last is None:
            self._last = frame
            self.wake()

    def wake(self) -> None:
        """Start the flusher, unless it is at work: then it looks again by itself."""
        if not self.busy and self._start is not None:
            self.busy = True
            self._start()

    def offer(self, frames: bytes) -> bool:
        """Write whole frames at once; False, with nothing written, if something is in the way.

        What the socket does not take of them follows through the flusher.
        """
        if self.busy or self._start is None or self._fileno is None:
            return False
        try:
            sent = write(self._fileno(), frames)
        except OSError:
            # Full, or broken: the flusher, which may wait, finds out.
            return False
        self.bytes_sent += sent
        if sent < len(frames):
            self._rest = memoryview(frames)[sent:]
            self.wake()
        return True

    async def wait_room(self) -> None:
        """Wait while a client that asks faster than it reads has too many answers waiting."""
        while self._queued > ROOM:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    # -- the flusher's side ----------------------------------------------------------------

    async def flush(self) -> bool:
        """Send what is queued; False when the close frame was sent and it is over."""
        while self._rest or self._queue or self._pong:
            data = self._take()
            await self.send(data)
            self._queued = sum(map(len, self._queue or ()))
            if self._drained is not None:
                self._drained.set()
                self._drained = None
        if self._last is None:
            return True
        await self.send(self._last)
        return False

    def _take(self) -> bytes | memoryview:
        if self._rest:
            data, self._rest = self._rest, b""
        else:
            data = b"".join((self._pong, *(self._queue or ())))
            self._queue, self._pong = None, b""
        return data

    async def send(self, data: bytes | memoryview) -> None:
        """Send whole frames, however long the client takes; :attr:`writing_since` tells.

        Returns at once, without letting other tasks run, if the socket takes them all.

        Raises:
            trio.BrokenResourceError: the client is gone.
        """
        if self._fileno is not None:
            # Without the two checkpoints of Trio's, which cost more than the write.
            with suppress(OSError):  # full, or broken: send_all() waits or tells
                sent = write(self._fileno(), data)
                self.bytes_sent += sent
                data = memoryview(data)[sent:]
        if data:
            self.writing_since = trio.current_time()
            await self._stream.send_all(data)
            self.writing_since = None
            self.bytes_sent += len(data)

    def rest(self) -> bool:
        """End the flusher's work; False if something has come to be sent meanwhile."""
        if self._rest or self._queue or self._pong or self._last is not None:
            return False
        self.busy = False
        return True
