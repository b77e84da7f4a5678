"""A connected socket that can also be read without waiting, through whatever lies over it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

READ_SIZE = 16 * 1024


class NothingWaits(Exception):
    """There was nothing to read in the socket."""


class SocketLine(trio.abc.Stream):
    """The stream of a socket.

    Args:
        raw: connected, of trio's kind (not blocking).
        sock: trio's face of the same socket.
    """

    def __init__(self, raw: socket.socket, sock: trio.socket.SocketType) -> None:
        self.raw = raw
        self._stream = trio.SocketStream(sock)
        self._waits = True

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Within the block :meth:`receive_some` takes what is there, or raises NothingWaits.

        So TLS over it reads, opens and hands out all that has come, its own records included
        (session tickets, new keys), and no more: trio's stream has no such way to ask.
        """
        self._waits = False
        try:
            yield
        finally:
            self._waits = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._waits:
            return await self._stream.receive_some(max_bytes)
        try:
            return self.raw.recv(max_bytes or READ_SIZE)
        except BlockingIOError:
            raise NothingWaits from None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    def close(self) -> None:
        """Close the socket at once; never blocks."""
        self._stream.socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()
