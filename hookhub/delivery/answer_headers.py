"""The header fields of a receiver's answer as they are kept with an attempt. Pure.

They are stored as one text, a line each, because that is made in a microsecond: this is done for
every attempt, and looked at for few of them.
"""

from __future__ import annotations

import re

from hookhub.contracts.redaction import MASK
from hookhub.contracts.sinks import RawFields

MAX_FIELDS = 32
"""Fields that are kept of an answer."""
MAX_VALUE = 512
"""Characters that are kept of one value, when all of them together are too long."""
MAX_HEADERS = 2048
"""Characters that are kept of all names and values."""

CUT = "…"
"""Ends a value that was cut, and is the name of a last field that says how many were left out."""

_SECRETS = ("cookie", "authorization")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LAST_LINE = 16


def kept_headers(fields: RawFields) -> str | None:
    """Header fields as they are stored: bounded, without secrets; None if there are none.

    Args:
        fields: raw names and values, as h11 and ``httpx.Headers.raw`` have them.
    """
    if not fields:
        return None
    text = b"\n".join([b"%b: %b" % field for field in fields]).decode("latin-1")
    if (
        len(text) > MAX_HEADERS
        or len(fields) > MAX_FIELDS
        or text.count("\n") >= len(fields)
        or "\x00" in text
        or "cookie" in (lower := text.lower())
        or "authorization" in lower
    ):
        return _with_care(fields)
    return text


def header_pairs(text: str | None) -> list[tuple[str, str]]:
    """Names and values of what :func:`kept_headers` made, in the order in which they came."""
    if text is None:
        return []
    pairs = (line.partition(": ") for line in text.split("\n"))
    return [(name, value) for name, _, value in pairs]


def _with_care(fields: RawFields) -> str:
    lines: list[str] = []
    room = MAX_HEADERS - _LAST_LINE
    for position, (raw_name, raw_value) in enumerate(fields):
        name, value = _one_line(raw_name), _one_line(raw_value)
        if any(word in name.lower() for word in _SECRETS):
            value = MASK
        elif len(value) > MAX_VALUE:
            value = value[: MAX_VALUE - 1] + CUT
        line = f"{name[:MAX_VALUE]}: {value}"
        room -= len(line) + 1
        if room < 0 or position == MAX_FIELDS - 1 < len(fields) - 1:
            lines.append(f"{CUT}: +{len(fields) - position}")
            break
        lines.append(line)
    return "\n".join(lines)


def _one_line(raw: bytes) -> str:
    # No more than is looked at: a receiver may send sixty thousand bytes.
    return _CONTROLS.sub("\ufffd", raw[: MAX_VALUE + 1].decode("latin-1"))
