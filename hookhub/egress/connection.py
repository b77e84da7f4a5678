"""One HTTP/1.1 connection: h11 on a trio stream.

Directly on h11 and not on ``httpcore.AsyncHTTP11Connection``, which costs twice the CPU for each
request and hides what is needed here: whether a single byte of an answer had come when a kept
connection failed, and why exactly it failed.
"""

from __future__ import annotations

from collections.abc import Sequence

import h11
import httpx
import trio

from hookhub.egress.failures import AnswerTooLarge, BadAnswer, Disconnected, ReadTimedOut

MAX_HEAD = 64 * 1024
"""Bytes that the head of an answer, or one chunk header, may take."""

_READ_SIZE = 64 * 1024


class Connection:
    """A connected stream that carries one exchange after another.

    Args:
        socket_stream: the TCP connection; owned from here on.
        stream: what to talk through: the same, or TLS over it.
    """

    def __init__(self, socket_stream: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self._socket = socket_stream.socket
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._closed = False
        self._sent = False
        self.received = False
        """Whether any byte of the current answer has come."""
        self.exchanges = 0
        """Exchanges that were completed."""
        self.idle_since = 0.0
        """By trio's clock; set by whoever keeps the connection."""

    async def send(self, request: httpx.Request, content: bytes, timeout: float | None) -> None:
        """Send a whole request; an error while sending shows when the answer is read.

        A receiver may refuse a request before it has read all of it, and close: its answer is
        still there to be read.
        """
        self.received = False
        self._sent = True
        parts = [
            self._h11.send(
                h11.Request(
                    method=request.method,
                    target=request.url.raw_path,
                    headers=request.headers.raw,
                )
            )
        ]
        if content:
            parts.append(self._h11.send(h11.Data(data=content)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        data = b"".join(part for part in parts if part)
        try:
            if timeout is None:
                await self._stream.send_all(data)
            else:
                with trio.fail_after(timeout):
                    await self._stream.send_all(data)
        except trio.TooSlowError:
            raise ReadTimedOut(f"The receiver took no request within {timeout:g} s.") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._sent = False

    async def head(self, timeout: float | None) -> h11.Response:
        """Read the head of the answer; interim (1xx) ones are passed over.

        Raises:
            EgressError: ``Disconnected``, ``BadAnswer``, ``AnswerTooLarge`` or ``ReadTimedOut``.
        """
        while True:
            event = await self._next_event(timeout)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise BadAnswer("The receiver's answer is not HTTP/1.1.")

    async def piece(self, timeout: float | None) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises:
            EgressError: as :meth:`head`.
        """
        event = await self._next_event(timeout)
        return bytes(event.data) if isinstance(event, h11.Data) else None

    def reuse(self) -> bool:
        """Make ready for another exchange; False if the connection cannot carry one."""
        if self._closed or not self._sent or self._h11.our_state is not h11.DONE:
            return False
        if self._h11.their_state is not h11.DONE or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        self.exchanges += 1
        return True

    def is_stale(self) -> bool:
        """Whether the peer closed the idle connection, or said something unasked."""
        return self._closed or self._socket.is_readable()

    def close(self) -> None:
        """Close the socket at once; never blocks."""
        self._closed = True
        self._socket.close()

    async def _next_event(self, timeout: float | None) -> h11.Event | type[h11.PAUSED]:
        ended = False
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise _protocol_failure(error, ended) from None
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED
                return event
            data = await self._receive(timeout)
            if not data and self._h11.their_state is h11.SEND_RESPONSE:
                raise Disconnected("The receiver closed the connection without an answer.")
            if data and not self.received:
                self._check_first(data)
            ended = not data
            self._h11.receive_data(data)

    def _check_first(self, data: bytes) -> None:
        # h11 waits for a whole head before it looks; a server of another protocol that waits for
        # us would only be found out by the deadline.
        self.received = True
        if not data.startswith(b"HTTP/"[: len(data)]):
            raise BadAnswer(f"The receiver does not speak HTTP; it sent {data[:20]!r}.")

    async def _receive(self, timeout: float | None) -> bytes:
        try:
            if timeout is None:
                return bytes(await self._stream.receive_some(_READ_SIZE))
            with trio.fail_after(timeout):
                return bytes(await self._stream.receive_some(_READ_SIZE))
        except trio.TooSlowError:
            raise ReadTimedOut(f"The receiver sent nothing for {timeout:g} s.") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Disconnected("The receiver reset the connection.") from None


def _protocol_failure(
    error: h11.RemoteProtocolError, ended: bool
) -> AnswerTooLarge | BadAnswer | Disconnected:
    if ended:
        return Disconnected("The receiver closed the connection in the middle of its answer.")
    # h11 suggests "431 Request Header Fields Too Large" for a head beyond its limit.
    if error.error_status_hint == 431:
        return AnswerTooLarge(f"The head of the receiver's answer is over {MAX_HEAD} bytes.")
    return BadAnswer(f"The receiver's answer is not HTTP/1.1: {error}.")


def raw_headers(response: h11.Response) -> Sequence[tuple[bytes, bytes]]:
    """The header fields with their names as the receiver spelt them."""
    return response.headers.raw_items()
