"""A captured request: HTTP as it came over the line, or JSON of its headers and body. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hookhub.contracts.errors import MalformedRequest
from hookhub.contracts.events import parse_json

_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/\d(?:\.\d)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Captured:
    """A request as it was captured."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    notes: Sequence[str] = ()
    """What had to be mended."""


def read_captured(data: bytes) -> Captured:
    """Read a request that was saved, with its headers.

    Either HTTP: a request line (or none), headers, an empty line, the body. Or a JSON object with
    ``headers`` (an object, or a list of pairs) and ``body`` (a text, or base64 as
    ``body_base64``).

    Raises:
        MalformedRequest: it is neither.
    """
    if data.lstrip()[:1] == b"{":
        return _of_json(data)
    return _of_http(data)


def _of_http(data: bytes) -> Captured:
    # Editors and terminals turn CRLF into LF.
    head, found, body = min(
        (data.partition(end) for end in (b"\r\n\r\n", b"\n\n")), key=lambda parts: len(parts[0])
    )
    lines = head.splitlines()
    if lines and _REQUEST_LINE.fullmatch(lines[0].strip()):
        del lines[0]
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise MalformedRequest(
                f"{_shown(line)} is not a header. Give a whole request (headers, an empty line, "
                "the body), or a body alone with its headers as --header."
            )
        headers[header[1].decode("ascii").lower()] = header[2].decode("utf-8", "surrogateescape")
    if not found:
        raise MalformedRequest(
            "There is no empty line in it, so no body. Give a whole request, or a body alone with "
            "its headers as --header."
        )
    return trimmed(headers, body)


def trimmed(headers: Mapping[str, str], body: bytes) -> Captured:
    """The request with what a program that saved it put behind the body taken off again."""
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or int(length) == len(body):
        return Captured(headers, body)
    size = int(length)
    if body[size:].strip() == b"" and len(body) > size:
        note = f"{len(body) - size} bytes of white space behind the body are left out."
        return Captured(headers, body[:size], [note])
    note = (
        f"The body has {len(body)} bytes, but Content-Length says {size}: it was not captured as "
        "it was sent."
    )
    return Captured(headers, body, [note])


def _of_json(data: bytes) -> Captured:
    value = parse_json(data)
    headers = value.get("headers")
    if not isinstance(headers, dict | list):
        raise MalformedRequest(
            "It is a JSON object without 'headers': if it is the body alone, give its headers as "
            "--header 'Name: value'."
        )
    try:
        pairs = headers.items() if isinstance(headers, dict) else headers
        names = {str(name).lower(): _joined(text) for name, text in pairs}
        return trimmed(names, _body(value))
    except (TypeError, ValueError, binascii.Error):
        raise MalformedRequest(
            "It needs 'headers' (an object, or a list of pairs) and 'body' (a text) or "
            "'body_base64'."
        ) from None


def _joined(text: Any) -> str:
    return ", ".join(map(str, text)) if isinstance(text, list) else str(text)


def _body(value: Mapping[str, Any]) -> bytes:
    if "body_base64" in value:
        return base64.b64decode(value["body_base64"], validate=True)
    body = value.get("body")
    if not isinstance(body, str):
        raise TypeError
    return body.encode("utf-8", "surrogateescape")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))
