"""HTTP/1.1 as bytes (RFC 9112): the request's head, and the answers that most receivers give. Pure.

h11 reads every answer that is not plain: it costs ten times as much, for what few answers need.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hookhub.contracts.sinks import RawFields
from hookhub.egress.http.failures import BadRequest

_REQUEST_FIELDS = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")
_PLAIN = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_ONCE = frozenset((b"content-length", b"connection"))
_EMPTY = frozenset((204, 304))


class Head(NamedTuple):
    """The head of an answer."""

    status: int
    reason: bytes
    version: bytes
    fields: RawFields
    """With their names as the receiver spelt them."""


class PlainAnswer(NamedTuple):
    """An answer whose length its head says, and after which the connection lives on."""

    head: Head
    length: int
    """Bytes of the body."""
    begin: int
    """Where the body begins."""


def request_head(start: str, fields: Sequence[tuple[str, str]], length: int) -> bytes:
    """The head of a request.

    Args:
        start: the request line and the host, lines ended.
        length: bytes of the body.

    Raises:
        BadRequest: a name or value that would not arrive as what it is. Does not repeat it: it may
            be a password.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in fields])
    # As many ends of lines as there are fields: a value cannot bring another field with it.
    if text.count("\r\n") != len(fields) or not _REQUEST_FIELDS.fullmatch(text):
        raise BadRequest("A header of the request cannot be sent; see that it is one line of text.")
    return f"{start}{text}Content-Length: {length}\r\n\r\n".encode("latin-1")


def plain_answer(data: bytes) -> PlainAnswer | None:
    """The answer that begins these bytes, if it is plain and its head complete; else None.

    Plain is: HTTP/1.1, final, one ``Content-Length`` (or 204, 304) and no other framing, and
    nothing said about the connection but that it is kept.
    """
    found = _PLAIN.match(data)
    if found is None:
        return None
    status = int(found[1])
    fields: list[tuple[bytes, bytes]] = []
    known: dict[bytes, bytes] = {}
    for line in found[3].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        fields.append((name, value))
        lower = name.lower()
        if lower in _ONCE and lower in known:
            return None
        known[lower] = value
    if b"transfer-encoding" in known or known.get(b"connection", b"").lower() not in _KEPT:
        return None
    length = b"0" if status in _EMPTY else known.get(b"content-length", b"")
    if not _LENGTH.fullmatch(length):
        return None
    head = Head(status, found[2] or b"", b"1.1", fields)
    return PlainAnswer(head, int(length), found.end())


_KEPT = frozenset((b"", b"keep-alive"))
