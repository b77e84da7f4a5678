"""One HTTP/1.1 connection: a plain socket, or TLS over one, that carries exchange after exchange.

Neither ``httpcore`` nor httpx's models: they cost a multiple of what is done here, and hide what is
needed: whether a single byte of an answer had come when a kept connection failed, and why exactly
it failed.
"""

from __future__ import annotations

import trio

from hookhub.egress.http.answer_reader import AnswerReader
from hookhub.egress.http.connect import Dialled
from hookhub.egress.http.failures import BadAnswer, Disconnected, ReadTimedOut
from hookhub.egress.http.line import READ_SIZE, NothingWaits
from hookhub.egress.http.wire import Head, plain_answer


class ClientConnection:
    """A connected stream that carries one exchange after another.

    Args:
        dialled: the connection; owned from here on.
    """

    def __init__(self, dialled: Dialled) -> None:
        self._line = dialled.line
        self._stream = dialled.stream
        self._is_plain = dialled.stream is dialled.line
        self._closed = False
        self._used = False
        self._sent = False
        self._method = ""
        self._reader: AnswerReader | None = None
        self._body = b""
        self._missing = 0
        self._excess = False
        self.early = b""
        """What had come before the last of the request was sent."""
        self.received = False
        """Whether any byte of the current answer has been read."""
        self.opened_at = trio.current_time()
        self.idle_since = 0.0
        """By trio's clock; set by whoever keeps the connection."""

    async def waiting(self) -> bytes | None:
        """What the peer has sent and nobody has read: in the socket, in records that TLS has not
        opened yet, or in what it has opened.

        Never waits for the peer.

        Returns:
            None if there is nothing; no bytes if the peer has closed.
        """
        try:
            if self._is_plain:
                return self._line.raw.recv(READ_SIZE)
            with self._line.without_waiting():
                return bytes(await self._stream.receive_some(READ_SIZE))
        except (BlockingIOError, NothingWaits):
            return None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send(self, method: str, data: bytes, timeout: float | None) -> None:
        """Send a whole request; an error while sending shows when the answer is read.

        A receiver may refuse a request before it has read all of it, and close: its answer is
        still there to be read.
        """
        self._method = method
        self._reader = None
        self.received = self._excess = False
        self._sent = True
        # Whoever keeps a connection looks before it is used again.
        self.early = b"" if self._used else await self.waiting() or b""
        self._used = True
        try:
            # Most requests fit into the socket's buffer: then there is nothing to wait for, and
            # reading the answer is the checkpoint.
            done = self._line.raw.send(data) if self._is_plain else 0
        except BlockingIOError:
            done = 0
        except OSError:
            self._sent = False
            return
        if done < len(data):
            await self._send_rest(data[done:], timeout)

    async def _send_rest(self, data: bytes, timeout: float | None) -> None:
        try:
            if timeout is None:
                await self._send_and_look(data)
            else:
                with trio.fail_after(timeout):
                    await self._send_and_look(data)
        except trio.TooSlowError:
            raise ReadTimedOut(f"The receiver took no request within {timeout:g} s.") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._sent = False

    async def _send_and_look(self, data: bytes) -> None:
        if self._is_plain or len(data) > READ_SIZE:
            # While the receiver takes its time, it may answer: only who has the last byte has all.
            await self._stream.send_all(data[:-1])
            self.early = self.early or await self.waiting() or b""
            data = data[-1:]
        await self._stream.send_all(data)

    async def head(self, timeout: float | None) -> Head:
        """Read the head of the answer; interim (1xx) ones are passed over.

        Raises:
            EgressError: ``Disconnected``, ``BadAnswer`` (also for a success that was answered
                before the request was sent), ``AnswerTooLarge`` or ``ReadTimedOut``.
        """
        data = self.early or await self._receive(timeout)
        if not data:
            raise Disconnected("The receiver closed the connection without an answer.")
        self.received = True
        _check_first(data)
        careful = self.early or self._method in ("HEAD", "CONNECT")
        plain = None if careful else plain_answer(data)
        if plain is None:
            return await self._careful_head(data, timeout)
        self._body = data[plain.begin : plain.begin + plain.length]
        self._missing = plain.length - len(self._body)
        self._excess = len(data) > plain.begin + plain.length
        return plain.head

    async def _careful_head(self, data: bytes, timeout: float | None) -> Head:
        self._reader = reader = AnswerReader(self._method, data)

        async def receive() -> bytes:
            if not reader.has_rest():
                # Only interim answers were early, which may come at any time.
                self.early = b""
            return await self._receive(timeout)

        head = await reader.head(receive)
        if self.early and 200 <= head.status < 300:
            raise BadAnswer(
                f"The receiver answered {head.status} before the request was sent to it; so that "
                "says nothing about the request."
            )
        return head

    async def piece(self, timeout: float | None) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises:
            EgressError: as :meth:`head`.
        """
        if self._reader is not None:
            return await self._reader.piece(lambda: self._receive(timeout))
        if self._body:
            body, self._body = self._body, b""
            return body
        if not self._missing:
            return None
        data = await self._receive(timeout)
        if not data:
            raise Disconnected("The receiver closed the connection in the middle of its answer.")
        self._excess = len(data) > self._missing
        data = data[: self._missing]
        self._missing -= len(data)
        return data

    def whole_body(self) -> bytes | None:
        """The body, if all of it came together with its head; None if it must be waited for."""
        if self._reader is not None or self._missing:
            return None
        body, self._body = self._body, b""
        return body

    def can_be_reused(self) -> bool:
        """Whether the exchange is complete, and the connection can carry another one."""
        if self._closed or not self._sent or self._excess or self.early:
            return False
        if self._reader is not None:
            return self._reader.is_complete()
        return not self._missing

    def close(self) -> None:
        """Close the socket at once; never blocks."""
        self._closed = True
        self._line.close()

    async def _receive(self, timeout: float | None) -> bytes:
        try:
            if timeout is None:
                return await self._receive_some()
            with trio.fail_after(timeout):
                return await self._receive_some()
        except trio.TooSlowError:
            raise ReadTimedOut(f"The receiver sent nothing for {timeout:g} s.") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            raise Disconnected("The receiver reset the connection.") from None

    async def _receive_some(self) -> bytes:
        if not self._is_plain:
            return bytes(await self._stream.receive_some(READ_SIZE))
        while True:
            # There is hardly ever something yet: no use in trying first, as the stream does.
            await trio.lowlevel.wait_readable(self._line.raw)
            try:
                return self._line.raw.recv(READ_SIZE)
            except BlockingIOError:
                continue


def _check_first(data: bytes) -> None:
    # A parser waits for a whole head before it looks; a server of another protocol that waits for
    # us would only be found out by the deadline.
    if not data.startswith(b"HTTP/"[: len(data)]):
        # Not what it is: it may be a secret that the receiver repeats.
        raise BadAnswer("The receiver does not speak HTTP: its answer begins otherwise.")
