"""Does a captured request hold, and if not, why? Pure but for the clock that it is given."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hookhub.client import InvalidSignature, verify
from hookhub.contracts.errors import HookhubError, MalformedRequest
from hookhub.contracts.events import parse_json

Scheme = Literal["standard", "legacy", "public_key", "time"]

STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
LEGACY = "x-webhook-signature"
USUAL_TOLERANCE = 300
ABSENT = "The request has no such header."
ANY_AGE: dict[str, Any] = {"tolerance": math.inf, "now": 0}
"""The age is told apart from the signature."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What came of one check."""

    scheme: Scheme
    header: str
    state: Literal["ok", "failed", "absent", "warning"]
    message: str
    advice: str | None = None


def diagnose(
    request: Captured,
    secret: str | None,
    public_keys: Sequence[str],
    now: float,
    tolerance: float | None,
) -> list[SignatureCheck]:
    """Check a request by every scheme there is something to check with.

    Args:
        secret: the webhook's; None checks by public keys alone.
        public_keys: ``whpk_…``; none leaves that scheme out.
        now: unix seconds.
        tolerance: seconds that the request may be old; None only tells its age.

    Raises:
        ConfigError: the secret or a key can be none.
    """
    found = []
    if secret is not None:
        found.append(_by_secret("legacy", LEGACY, request.only(LEGACY), secret))
        found.append(_by_secret("standard", STANDARD[2], request.only(*STANDARD), secret))
    if public_keys:
        found.append(_by_public_keys(request.only(*STANDARD), public_keys))
    if "webhook-timestamp" in request.headers:
        found.append(_age(request.headers["webhook-timestamp"], now, tolerance))
    return found


def holds(findings: Sequence[SignatureCheck]) -> bool:
    """Whether something held, and nothing failed."""
    states = {item.state for item in findings if item.scheme != "time"}
    failed = any(item.state == "failed" for item in findings)
    return "ok" in states and not failed


def _by_public_keys(request: Captured, public_keys: Sequence[str]) -> SignatureCheck:
    if not request.headers:
        return SignatureCheck("public_key", STANDARD[2], "absent", ABSENT)
    try:
        verify(request.body, request.headers, public_keys=public_keys, **ANY_AGE)
    except InvalidSignature as error:
        advice = "Fetch the keys again from /.well-known/webhook-keys.json of the hub."
        return SignatureCheck("public_key", STANDARD[2], "failed", error.reason, advice)
    return SignatureCheck("public_key", STANDARD[2], "ok", "A v1a signature holds.")


def _by_secret(scheme: Scheme, header: str, request: Captured, secret: str) -> SignatureCheck:
    """Check a request that has no headers but those of the scheme."""
    if not request.headers:
        return SignatureCheck(scheme, header, "absent", ABSENT)
    try:
        verify(request.body, request.headers, secret, allow_legacy=True, **ANY_AGE)
    except InvalidSignature as error:
        reason = error.reason
    else:
        return SignatureCheck(scheme, header, "ok", "The signature holds.")
    for body, key, why in _other_ways(request.body, secret):
        try:
            verify(body, request.headers, key, allow_legacy=True, **ANY_AGE)
        except HookhubError:
            continue
        return SignatureCheck(scheme, header, "failed", reason, why)
    return SignatureCheck(scheme, header, "failed", reason, _general(scheme))


def _general(scheme: Scheme) -> str:
    if scheme == "legacy":
        return (
            "Compare the secret with the webhook's. During a rotation this header carries the new "
            "secret's signature only, webhook-signature both."
        )
    return "Compare the secret with the webhook's; if it was rotated, use the new one."


def _other_ways(body: bytes, secret: str) -> Iterator[tuple[bytes, str, str]]:
    """Usual mistakes: another body or secret that would hold, and what to do then."""
    if secret != secret.strip():
        yield body, secret.strip(), "The secret has white space around it; take it off."
    for text, how in _other_bodies(body):
        yield text, secret, how
    quoted = secret.strip("\"'")
    if quoted != secret:
        yield body, quoted, "The secret has quotes around it; take them off."
    if not secret.startswith("whsec_"):
        yield body, f"whsec_{secret}", "The secret lacks its beginning: whsec_."


def _other_bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    changed = (
        "It holds over the body {}: what was captured is not what was sent. Verify the bytes as "
        "they arrive, before anything reads or changes them."
    )
    yield body.rstrip(b"\r\n"), changed.format("without the line break at its end")
    yield body.replace(b"\r\n", b"\n"), changed.format("with LF in place of CRLF")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    ascii_sorted = json.dumps(value, sort_keys=True).encode()
    yield (
        ascii_sorted,
        changed.format(
            "as Python's json.dumps(payload, sort_keys=True) writes it, which is what a hub sends"
        ),
    )


def _age(text: str, now: float, tolerance: float | None) -> SignatureCheck:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        message = f"It is not whole unix seconds: {text[:40]!r}."
        return SignatureCheck("time", "webhook-timestamp", "failed", message)
    age = now - int(text)
    told = f"The attempt was {span(abs(age))} {'ago' if age >= 0 else 'in the future'}."
    limit = USUAL_TOLERANCE if tolerance is None else tolerance
    if abs(age) <= limit:
        return SignatureCheck("time", "webhook-timestamp", "ok", told)
    if tolerance is not None:
        advice = f"More than the {tolerance:g} s allowed: a repeat, or one of the clocks is wrong."
        return SignatureCheck("time", "webhook-timestamp", "failed", told, advice)
    advice = f"A receiver refuses it by now (usually beyond {limit} s); a captured one is old."
    return SignatureCheck("time", "webhook-timestamp", "warning", told, advice)


def span(seconds: float) -> str:
    """A length of time for a person: ``42 s``, ``3 min``, ``2 h``, ``5 days``."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


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

    def only(self, *names: str) -> Captured:
        """The request with no other headers than these."""
        return replace(self, headers={n: v for n, v in self.headers.items() if n in names})


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
