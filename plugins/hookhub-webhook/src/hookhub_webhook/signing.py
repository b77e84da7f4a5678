"""Secrets and signatures: the hub's own scheme and Standard Webhooks 1.0. Pure.

Two sign every request of a webhook that has a secret:

- ``X-Webhook-Signature: sha256=<hex>``: HMAC-SHA256 of the body; the key is the secret's text in
  UTF-8, whatever it looks like.
- ``webhook-signature: v1,<base64>``: HMAC-SHA256 of ``<id>.<timestamp>.<body>``; the key is what
  ``whsec_`` stands before, decoded, or for any other secret its text in UTF-8.

The third signs every request, with a secret or without, so that receivers need share nothing:

- ``webhook-signature: v1a,<base64>``: Ed25519 of the same, with the hub's own key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Callable, Iterable

PREFIX = "whsec_"
PUBLIC_PREFIX = "whpk_"
GENERATED_BYTES = 32
KEY_MIN = 24
KEY_MAX = 64
"""Bytes of a Standard Webhooks key."""

_SEALED = "sealed:"
"""What secrets in the database begin with once they are encrypted."""

Sign = Callable[[bytes], bytes]
"""Signs with a private key of Ed25519."""


def generate_secret() -> str:
    """A new secret in the form of Standard Webhooks: ``whsec_`` + base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(os.urandom(GENERATED_BYTES)).decode("ascii")


def check_secret(secret: str) -> str:
    """Return a secret that can be used.

    Raises:
        ValueError: it begins with ``whsec_``, but no key of 24 to 64 bytes in base64 follows: the
            receivers' libraries would not take it.
    """
    if secret.startswith(_SEALED):
        raise ValueError(f"a secret cannot begin with {_SEALED!r}; take another beginning")
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
    return "sha256=" + hmac.digest(secret.encode("utf-8"), body, "sha256").hex()


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One entry of ``webhook-signature``.

    Args:
        message_id: the value of ``webhook-id``.
        timestamp: the value of ``webhook-timestamp``: Unix seconds of the attempt.
    """
    return _symmetric(secret, _signed(message_id, timestamp, body))


def asymmetric_signature(sign: Sign, message_id: str, timestamp: int, body: bytes) -> str:
    """An entry of ``webhook-signature`` that is verified with a public key."""
    return _asymmetric(sign, _signed(message_id, timestamp, body))


def standard_signatures(
    secrets: Iterable[str],
    message_id: str,
    timestamp: int,
    body: bytes,
    signs: Iterable[Sign] = (),
) -> str:
    """The value of ``webhook-signature``: an entry for each secret and each key, in their order."""
    signed = _signed(message_id, timestamp, body)
    entries = [_symmetric(secret, signed) for secret in secrets]
    entries += [_asymmetric(sign, signed) for sign in signs]
    return " ".join(entries)


def public_key_text(raw: bytes) -> str:
    """A public key of 32 bytes in the form of Standard Webhooks: ``whpk_…``."""
    return PUBLIC_PREFIX + base64.b64encode(raw).decode("ascii")


def _symmetric(secret: str, signed: bytes) -> str:
    digest = hmac.digest(signing_key(secret), signed, "sha256")
    return "v1," + binascii.b2a_base64(digest, newline=False).decode("ascii")


def _asymmetric(sign: Sign, signed: bytes) -> str:
    return "v1a," + binascii.b2a_base64(sign(signed), newline=False).decode("ascii")


def _signed(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode("ascii"), timestamp, body)


def _decoded(secret: str) -> bytes | None:
    if not secret.startswith(PREFIX):
        return None
    try:
        return base64.b64decode(secret[len(PREFIX) :], validate=True) or None
    except (binascii.Error, ValueError):
        return None
