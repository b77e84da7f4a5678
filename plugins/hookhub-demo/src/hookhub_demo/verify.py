"""How a receiver verifies, from the documents alone: nothing of hookhub is imported here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

TOLERANCE = 300
"""Seconds that an attempt may be old."""


def signature_holds(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """``X-Webhook-Signature``, verified as receivers of old do: over JSON written anew."""
    payload = json.loads(body)
    written = json.dumps(payload, sort_keys=True)
    expected = hmac.new(secret.encode(), written.encode(), hashlib.sha256).hexdigest()
    given = headers.get("x-webhook-signature", "")
    return hmac.compare_digest(expected, given.removeprefix("sha256="))


def standard_signature_holds(
    headers: Mapping[str, str], body: bytes, secret: str, now: float
) -> bool:
    """``webhook-signature``, as Standard Webhooks 1.0 has it: over id, timestamp and raw body."""
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, item) for item in given)
