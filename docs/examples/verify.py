"""Verify a webhook request of hookhub. Standard library only; copy it into your receiver."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping

TOLERANCE = 300  # seconds between the sender's clock and ours


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Check ``webhook-signature`` (Standard Webhooks 1.0); refuses old and repeated requests."""
    headers = {name.lower(): value for name, value in headers.items()}
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    else:
        key = secret.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # More than one signature comes while a secret is being rotated.
    return any(
        version == "v1" and hmac.compare_digest(signature.encode(), expected.encode())
        for version, _, signature in (
            entry.partition(",") for entry in headers.get("webhook-signature", "").split()
        )
    )


def verify_body(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Check ``X-Webhook-Signature``: simpler, but it covers the body alone."""
    headers = {name.lower(): value for name, value in headers.items()}
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers.get("x-webhook-signature", "").encode(), expected.encode())
