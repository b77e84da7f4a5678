"""Secrets and signatures: the hub's own scheme and Standard Webhooks 1.0. Pure.

Both sign every request of a webhook that has a secret:

- ``X-Webhook-Signature: sha256=<hex>``: HMAC-SHA256 of the body; the key is the secret's text in
  UTF-8, whatever it looks like.
- ``webhook-signature: v1,<base64>``: HMAC-SHA256 of ``<id>.<timestamp>.<body>``; the key is what
  ``whsec_`` stands before, decoded, or for any other secret its text in UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable

PREFIX = "whsec_"
GENERATED_BYTES = 32
KEY_MIN = 24
KEY_MAX = 64
"""Bytes of a Standard Webhooks key."""


def generate_secret() -> str:
    """A new secret in the form of Standard Webhooks: ``whsec_`` + base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(os.urandom(GENERATED_BYTES)).decode("ascii")


def check_secret(secret: str) -> str:
    """Return a secret that can be used.

    Raises:
        ValueError: it begins with ``whsec_``, but no key of 24 to 64 bytes in base64 follows: the
            receivers' libraries would not take it.
    """
    if secret.startswith(PREFIX):
        key = _decoded(secret)
        if key is None or not KEY_MIN <= len(key) <= KEY_MAX:
            raise ValueError(
                f"a secret that begins with {PREFIX!r} goes on with {KEY_MIN} to {KEY_MAX} bytes "
                "in base64; take another beginning, or let the hub make a secret"
            )
    return secret


def signing_key(secret: str) -> bytes:
    """The key of a secret for Standard Webhooks."""
    return _decoded(secret) or secret.encode("utf-8")


def signing_secret(secret: str) -> str:
    """The secret as the Standard Webhooks libraries want it: ``whsec_…``."""
    return PREFIX + base64.b64encode(signing_key(secret)).decode("ascii")


def hub_signature(secret: str, body: bytes) -> str:
    """The value of ``X-Webhook-Signature``."""
    return "sha256=" + hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One entry of ``webhook-signature``.

    Args:
        message_id: the value of ``webhook-id``.
        timestamp: the value of ``webhook-timestamp``: Unix seconds of the attempt.
    """
    signed = b"%s.%d.%s" % (message_id.encode("ascii"), timestamp, body)
    digest = hmac.digest(signing_key(secret), signed, "sha256")
    return "v1," + base64.b64encode(digest).decode("ascii")


def standard_signatures(
    secrets: Iterable[str], message_id: str, timestamp: int, body: bytes
) -> str:
    """The value of ``webhook-signature``: one entry for each secret, in their order."""
    return " ".join(standard_signature(item, message_id, timestamp, body) for item in secrets)


def _decoded(secret: str) -> bytes | None:
    if not secret.startswith(PREFIX):
        return None
    try:
        return base64.b64decode(secret[len(PREFIX) :], validate=True) or None
    except (binascii.Error, ValueError):
        return None
