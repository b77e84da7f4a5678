"""Text frames of a server (RFC 6455 §5.2): unmasked, so one encoded frame serves every client."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from hookhub import Entry

_TEXT = 0x81
"""FIN and opcode 1."""
_RSV1 = 0x40
"""Of the first frame of a compressed message (RFC 7692 §6)."""


def text_frame(payload: bytes, *, deflated: bool = False) -> bytes:
    """A whole text message in one frame. ``payload`` is UTF-8, or that compressed."""
    size = len(payload)
    first = _TEXT | _RSV1 if deflated else _TEXT
    if size < 126:
        head = struct.pack("!BB", first, size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, 126, size)
    else:
        head = struct.pack("!BBQ", first, 127, size)
    return head + payload


def plain_frame(entry: Entry) -> bytes:
    """An event as a frame for any client."""
    return text_frame(entry.frame)


Encode: TypeAlias = Callable[[Entry], bytes]
"""Makes an event's frame: for all clients that have the same one, the same bytes."""
