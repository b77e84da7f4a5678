"""Does a captured request hold, and if not, why? Pure but for the clock that it is given."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hookhub.cli.speaking.captured import Captured
from hookhub.client import InvalidSignature, verify
from hookhub.contracts.errors import HookhubError

Scheme = Literal["standard", "legacy", "public_key", "time"]

STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
LEGACY = "x-webhook-signature"
USUAL_TOLERANCE = 300


@dataclass(frozen=True, slots=True)
class Finding:
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
) -> list[Finding]:
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
        found += [_legacy(request, secret), _standard(request, secret)]
    if public_keys:
        found.append(_public(request, public_keys))
    if "webhook-timestamp" in request.headers:
        found.append(_age(request.headers["webhook-timestamp"], now, tolerance))
    return found


def holds(findings: Sequence[Finding]) -> bool:
    """Whether something held, and nothing failed."""
    states = {item.state for item in findings if item.scheme != "time"}
    failed = any(item.state == "failed" for item in findings)
    return "ok" in states and not failed


def _legacy(request: Captured, secret: str) -> Finding:
    if LEGACY not in request.headers:
        return Finding("legacy", LEGACY, "absent", "The request has no such header.")

    def check(body: bytes, key: str) -> None:
        verify(body, {LEGACY: request.headers[LEGACY]}, key, allow_legacy=True)

    return _checked("legacy", LEGACY, request, secret, check)


def _standard(request: Captured, secret: str) -> Finding:
    headers = _of_standard(request)
    if not headers:
        return Finding("standard", STANDARD[2], "absent", "The request has no such header.")

    def check(body: bytes, key: str) -> None:
        verify(body, headers, key, tolerance=math.inf, now=0)

    return _checked("standard", STANDARD[2], request, secret, check)


def _public(request: Captured, public_keys: Sequence[str]) -> Finding:
    headers = _of_standard(request)
    if not headers:
        return Finding("public_key", STANDARD[2], "absent", "The request has no such header.")
    try:
        verify(request.body, headers, public_keys=public_keys, tolerance=math.inf, now=0)
    except InvalidSignature as error:
        advice = "Fetch the keys again from /.well-known/webhook-keys.json of the hub."
        return Finding("public_key", STANDARD[2], "failed", error.reason, advice)
    return Finding("public_key", STANDARD[2], "ok", "A v1a signature holds.")


def _of_standard(request: Captured) -> Mapping[str, str]:
    return {name: request.headers[name] for name in STANDARD if name in request.headers}


def _checked(
    scheme: Scheme,
    header: str,
    request: Captured,
    secret: str,
    check: Callable[[bytes, str], None],
) -> Finding:
    try:
        check(request.body, secret)
    except InvalidSignature as error:
        reason = error.reason
    else:
        return Finding(scheme, header, "ok", "The signature holds.")
    for body, key, why in _other_ways(request.body, secret):
        try:
            check(body, key)
        except HookhubError:
            continue
        return Finding(scheme, header, "failed", reason, why)
    return Finding(scheme, header, "failed", reason, _general(scheme))


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


def _age(text: str, now: float, tolerance: float | None) -> Finding:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        message = f"It is not whole unix seconds: {text[:40]!r}."
        return Finding("time", "webhook-timestamp", "failed", message)
    age = now - int(text)
    told = f"The attempt was {span(abs(age))} {'ago' if age >= 0 else 'in the future'}."
    limit = USUAL_TOLERANCE if tolerance is None else tolerance
    if abs(age) <= limit:
        return Finding("time", "webhook-timestamp", "ok", told)
    if tolerance is not None:
        advice = f"More than the {tolerance:g} s allowed: a repeat, or one of the clocks is wrong."
        return Finding("time", "webhook-timestamp", "failed", told, advice)
    advice = f"A receiver refuses it by now (usually beyond {limit} s); a captured one is old."
    return Finding("time", "webhook-timestamp", "warning", told, advice)


def span(seconds: float) -> str:
    """A length of time for a person: ``42 s``, ``3 min``, ``2 h``, ``5 days``."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
