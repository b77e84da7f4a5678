"""Text frames of a server (RFC 6455 §5.2): unmasked, so one encoded frame serves every client."""

from __future__ import annotations

import struct

_TEXT = 0x81
"""FIN and opcode 1."""


def text_frame(payload: bytes) -> bytes:
    """A whole text message in one frame. ``payload`` is UTF-8."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _TEXT, size)
    elif size < 2**16:
        head = struct.pack("!BBH", _TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", _TEXT, 127, size)
    return head + payload
