"""Reading an answer with h11, and a limit on everything that a receiver can send without end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import h11
import trio

from hookhub.egress.http.failures import AnswerTooLarge, BadAnswer, Disconnected
from hookhub.egress.http.wire import Head

MAX_HEAD = 64 * 1024
"""Bytes that the head of an answer with all interim ones before it, or one chunk header, may
take."""
MAX_INTERIM = 16
"""Interim (1xx) answers before the one that counts."""
MAX_FRAMING = 16
"""Bytes on the wire for each byte of the body, beyond two heads: one byte in a chunk of its own
takes six."""
_YIELD_EVERY = 64
# Where h11 begins to quote what came: that may be a secret that the receiver repeats.
_QUOTED = re.compile(r""":? (?:bytearray\()?b['"]""")

Receive = Callable[[], Awaitable[bytes]]


class AnswerReader:
    """Reads one answer, whatever its form.

    Args:
        method: of the request: it decides how its answer ends.
        data: what has come of the answer; not empty.
    """

    def __init__(self, method: str, data: bytes) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        # All that h11 needs to know of the request; what it would write is not sent.
        self._h11.send(h11.Request(method=method, target="/", headers=[("Host", "h11")]))
        self._h11.send(h11.EndOfMessage())
        self._wire = len(data)
        self._body = 0
        self._pieces = 0
        self._ended = False
        self._h11.receive_data(data)

    async def head(self, receive: Receive) -> Head:
        """The head of the final answer.

        Raises:
            EgressError: ``Disconnected``, ``BadAnswer``, ``AnswerTooLarge`` or what ``receive``
                raises.
        """
        for _ in range(MAX_INTERIM + 1):
            event = await self._next_event(receive)
            if isinstance(event, h11.Response):
                fields = list(event.headers.raw_items())
                return Head(
                    event.status_code, bytes(event.reason), bytes(event.http_version), fields
                )
            if not isinstance(event, h11.InformationalResponse):
                raise BadAnswer("The receiver's answer is not HTTP/1.1.")
        raise BadAnswer(f"The receiver sent more than {MAX_INTERIM} interim (1xx) answers.")

    async def piece(self, receive: Receive) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises:
            EgressError: as :meth:`head`.
        """
        self._pieces += 1
        if self._pieces % _YIELD_EVERY == 0:
            # A read can hold thousands of chunks of a byte: others have their turn between them.
            await trio.lowlevel.checkpoint()
        event = await self._next_event(receive)
        if not isinstance(event, h11.Data):
            return None
        self._body += len(event.data)
        return bytes(event.data)

    def is_complete(self) -> bool:
        """Whether the answer has ended, with nothing after it, on a connection that lives on."""
        states = self._h11.our_state, self._h11.their_state
        complete = states == (h11.DONE, h11.DONE) and not self._h11.trailing_data[0]
        return complete and not self._ended

    def has_rest(self) -> bool:
        """Whether something has come that is no part of an answer read so far."""
        return bool(self._h11.trailing_data[0])

    async def _next_event(self, receive: Receive) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise self._protocol_failure(error) from None
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED
                return event
            self._check_size()
            data = await receive()
            self._wire += len(data)
            self._ended = not data
            self._h11.receive_data(data)

    def _check_size(self) -> None:
        if self._h11.their_state is h11.SEND_RESPONSE:
            if self._wire > MAX_HEAD:
                raise _head_too_large()
        elif self._wire > 2 * MAX_HEAD + MAX_FRAMING * self._body:
            raise AnswerTooLarge("The receiver's answer is nearly all framing, and too much of it.")

    def _protocol_failure(
        self, error: h11.RemoteProtocolError
    ) -> AnswerTooLarge | BadAnswer | Disconnected:
        if self._ended:
            return Disconnected("The receiver closed the connection in the middle of its answer.")
        # h11 suggests "431 Request Header Fields Too Large" for a head beyond its limit.
        if error.error_status_hint == 431:
            return _head_too_large()
        what = _QUOTED.split(str(error), maxsplit=1)[0]
        return BadAnswer(f"The receiver's answer is not HTTP/1.1: {what}.")


def _head_too_large() -> AnswerTooLarge:
    return AnswerTooLarge(f"The head of the receiver's answer is over {MAX_HEAD} bytes.")
