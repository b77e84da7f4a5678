"""The only way onto a socket: answers and control frames between whole batches of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

ROOM = 64 * 1024
"""Bytes of answers that may wait before the client's next message is read."""


class Outbox:
    """What one socket still has to send.

    One task, the writer, sends: it takes turns between :meth:`flush` and :meth:`send`. Everybody
    else posts. A frame that was begun is always finished, and nothing follows a close frame.
    """

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._queue: list[bytes] = []
        self._queued = 0
        self._pong = b""
        self._last: bytes | None = None
        self._idle: trio.CancelScope | None = None
        self._drained = trio.Event()
        self.finished = trio.Event()
        """Set when the close frame was sent."""
        self.writing_since: float | None = None
        """Since when one write is under way (Trio's clock); None if none is."""
        self.bytes_sent = 0

    # -- everybody's side ------------------------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Queue a frame; after :meth:`close` it is dropped."""
        if self._last is None:
            self._queue.append(frame)
            self._queued += len(frame)
            self.wake()

    def post_pong(self, frame: bytes) -> None:
        """Answer a ping; of several waiting only the newest is answered (RFC 6455 §5.5.3)."""
        if self._last is None:
            self._pong = frame
            self.wake()

    def close(self, frame: bytes) -> None:
        """Send what is queued, then this close frame, then nothing."""
        if self._last is None:
            self._last = frame
            self.wake()

    def wake(self) -> None:
        """Make the writer look again."""
        if self._idle is not None:
            self._idle.cancel()

    async def wait_room(self) -> None:
        """Wait while a client that asks faster than it reads has too many answers waiting."""
        while self._queued > ROOM:
            await self._drained.wait()

    # -- the writer's side -----------------------------------------------------------------

    async def flush(self) -> bool:
        """Send what is queued; False when the close frame was sent and it is over."""
        while self._queue or self._pong:
            data = b"".join((self._pong, *self._queue))
            self._queue.clear()
            self._pong = b""
            await self.send(data)
            self._queued = sum(map(len, self._queue))
            drained, self._drained = self._drained, trio.Event()
            drained.set()
        if self._last is None:
            return True
        await self.send(self._last)
        self.finished.set()
        return False

    async def send(self, data: bytes) -> None:
        """Send whole frames, however long the client takes; :attr:`writing_since` tells.

        Raises:
            trio.BrokenResourceError: the client is gone.
        """
        self.writing_since = trio.current_time()
        await self._stream.send_all(data)
        self.writing_since = None
        self.bytes_sent += len(data)

    async def wait(self, until: Callable[[], Awaitable[None]]) -> None:
        """Wait for ``until()``, or for something to send."""
        if self._queue or self._pong or self._last is not None:
            return
        with trio.CancelScope() as self._idle:
            await until()
        self._idle = None
        # What was waited for may have been there already; other tasks want their turn.
        await trio.lowlevel.checkpoint()
