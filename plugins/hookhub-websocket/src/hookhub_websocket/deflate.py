"""permessage-deflate (RFC 7692) without a context that outlives a message, on either side.

So one compressed frame serves every client, and an idle connection costs no more memory with it
than without.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from hookhub import Entry
from hookhub_websocket.frames import text_frame

WINDOW = 15
"""Base-2 logarithm of the window: zlib's largest, and what clients expect unless told otherwise."""
_TAIL = b"\x00\x00\xff\xff"
"""Ends every message and is not sent (RFC 7692 §7.2.1)."""
_WISHES = {"server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"}


class SharedDeflate(Extension):
    """The server's end: takes compressed messages, each inflated by itself and within bounds.

    Args:
        max_message: bytes of the largest message, inflated.
    """

    name = "permessage-deflate"

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._enabled = False
        self._compressed = False
        """Whether the message under way is compressed; it may have several frames."""
        self._data_frame = False
        self._deflated = bytearray()
        """Kept until the message is whole: an inflator would be forty thousand bytes."""

    def enabled(self) -> bool:
        return self._enabled

    def offer(self) -> bool | str:
        raise NotImplementedError("only servers use this")

    def accept(self, offer: str) -> str | None:
        """The parameters of the first offer that can be met (RFC 7692 §7.1); None for others."""
        if self._enabled:
            return None
        answer = ["server_no_context_takeover", "client_no_context_takeover"]
        names = set()
        for parameter in offer.split(";")[1:]:
            name, equals, value = (part.strip() for part in parameter.partition("="))
            value = value.strip('"')
            if name in names:
                return None
            names.add(name)
            if name == "server_max_window_bits":
                # Frames are shared, and others may need the whole window.
                if value != str(WINDOW):
                    return None
                answer.append(f"server_max_window_bits={WINDOW}")
            elif name not in _WISHES or (equals and name != "client_max_window_bits"):
                return None
        self._enabled = True
        return "; ".join(answer)

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        self._data_frame = not opcode.iscontrol()
        if rsv.rsv1 and (not self._data_frame or opcode is Opcode.CONTINUATION):
            return CloseReason.PROTOCOL_ERROR
        if self._data_frame and opcode is not Opcode.CONTINUATION:
            self._compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        if not (self._compressed and self._data_frame):
            return data
        self._deflated += data
        # What does not fit deflated may fit inflated, but nobody deflates like that.
        return CloseReason.MESSAGE_TOO_BIG if len(self._deflated) > self._max_message else b""

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if not (fin and self._compressed and self._data_frame):
            return None
        deflated, self._deflated, self._compressed = self._deflated, bytearray(), False
        inflator = zlib.decompressobj(-WINDOW)
        try:
            data = inflator.decompress(bytes(deflated) + _TAIL, self._max_message + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return data if len(data) <= self._max_message else CloseReason.MESSAGE_TOO_BIG


class SharedFrames:
    """Events as frames for clients that can inflate: each is compressed once for all of them.

    Args:
        smallest: bytes from which on an event is worth it.
        kept: bytes of frames that are kept for the next who asks.
    """

    def __init__(self, smallest: int, kept: int = 4 * 1024 * 1024) -> None:
        self._smallest = smallest
        self._kept = kept
        self._bytes = 0
        self._frames: OrderedDict[int, bytes] = OrderedDict()

    def clear(self) -> None:
        """Another epoch has begun: sequences stand for other events."""
        self._frames.clear()
        self._bytes = 0

    def encode(self, entry: Entry) -> bytes:
        """The event as a frame, the smaller one."""
        if len(entry.frame) < self._smallest:
            return text_frame(entry.frame)
        sequence = entry.event.sequence
        frame = self._frames.get(sequence)
        if frame is None:
            self._frames[sequence] = frame = _smaller(entry.frame)
            self._bytes += len(frame)
            while self._bytes > self._kept and len(self._frames) > 1:
                self._bytes -= len(self._frames.popitem(last=False)[1])
        return frame


def _smaller(payload: bytes) -> bytes:
    # The fastest level: the loop that serves everybody waits for it.
    deflator = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -WINDOW)
    deflated = deflator.compress(payload) + deflator.flush(zlib.Z_SYNC_FLUSH)
    assert deflated.endswith(_TAIL)
    deflated = deflated[: -len(_TAIL)]
    if len(deflated) < len(payload):
        return text_frame(deflated, deflated=True)
    return text_frame(payload)
