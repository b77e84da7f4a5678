"""For receivers: is this request really from the hub, unchanged and fresh?

Standard Webhooks 1.0 signs ``{webhook-id}.{webhook-timestamp}.{body}``; the older header
``X-Webhook-Signature`` signs the body alone, so a request that was recorded once passes for ever.
A hub sends both. The older one is therefore asked only where the caller allows it and the request
carries none of the others' headers.

``webhook-signature`` holds signatures of two kinds: ``v1`` with the webhook's secret, ``v1a`` with
the hub's own key, for which a receiver needs no secret but the public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from hookhub.contracts.errors import ConfigError, HookhubError

PREFIX = "whsec_"
PUBLIC_PREFIX = "whpk_"
MAX_ENTRIES = 16
"""``v1a`` entries that are looked at: checking one takes a tenth of a millisecond, and anybody may
send any number. A hub sends three at most."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class InvalidSignature(HookhubError):
    """The request is not what the hub signed; answer 401 and do nothing with it.

    Args:
        reason: a sentence: what exactly did not hold.
    """

    code: ClassVar[str] = "invalid_signature"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Invalid signature"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A request whose signature holds."""

    scheme: Literal["standard", "legacy"]
    id: str | None
    """The event's id, the same on every attempt: what a receiver tells repeats by. None under the
    legacy scheme, which does not sign it."""
    timestamp: int | None
    """Unix seconds of this attempt; None under the legacy scheme."""
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as Python objects.

        Raises:
            ValueError: it is not JSON; a hub never sends that.
        """
        return json.loads(self.body)


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str | None = None,
    *,
    public_keys: Iterable[str] = (),
    tolerance: float = 300,
    now: float | None = None,
    allow_legacy: bool = False,
) -> VerifiedWebhook:
    """Check the signature of a webhook request: one with the secret, or with a public key.

    Args:
        body: the body's exact bytes, before any parsing.
        headers: the request's headers; case does not matter.
        secret: what was given to the hub: ``whsec_…``, or any other text.
        public_keys: ``whpk_…``, the ``public_key`` of each item of ``keys`` in the hub's
            ``/.well-known/webhook-keys.json``. Without ``secret`` these alone count.
        tolerance: seconds that the attempt's time may differ from this machine's.
        now: unix seconds; None reads the clock.
        allow_legacy: also take a request that has ``X-Webhook-Signature`` and nothing else.

    Raises:
        InvalidSignature: says why.
        ConfigError: there is nothing to verify with; the secret is empty, or begins with
            ``whsec_`` and is not base64; a public key is none.
    """
    if isinstance(public_keys, str):
        raise TypeError("public_keys is several keys, not one")
    keys = [_public_key(text) for text in public_keys]
    if secret is None and not keys:
        raise ConfigError("Pass the webhook's secret, or the hub's public_keys, to verify with.")
    names = {name.lower(): value for name, value in headers.items()}
    if any(name in names for name in ("webhook-id", "webhook-timestamp", "webhook-signature")):
        key = None if secret is None else signing_key(secret)
        return _standard(body, names, key, keys, tolerance, now)
    if "x-webhook-signature" not in names:
        raise InvalidSignature("The request carries no signature: there is no webhook-signature.")
    if secret is None:
        raise InvalidSignature("The request carries no signature that a public key verifies.")
    if not allow_legacy:
        raise InvalidSignature(
            "The request carries only X-Webhook-Signature, which does not protect from repeats of "
            "old requests; pass allow_legacy=True to take it all the same."
        )
    return _legacy(body, names["x-webhook-signature"], secret)


def signing_key(secret: str) -> bytes:
    """The key of Standard Webhooks: what ``whsec_…`` encodes, or else the text's UTF-8 bytes.

    Raises:
        ConfigError: the secret is empty, or begins with ``whsec_`` and is not base64.
    """
    key = secret.encode("utf-8")
    if secret.startswith(PREFIX):
        text = secret.removeprefix(PREFIX).rstrip("=")
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(
                "The webhook secret begins with whsec_, but what follows is not base64; copy it "
                "again."
            ) from None
    if not key:
        raise ConfigError("The webhook secret is empty; anybody could sign with it.")
    return key


Holds = Callable[[bytes, bytes], bool]
"""Whether a signature of these bytes is by one key."""


def _public_key(text: str) -> Holds:
    # Not at the top: few receivers need it, and it takes a while to load.
    from cryptography.exceptions import InvalidSignature as Mismatch
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(text.removeprefix(PUBLIC_PREFIX), validate=True)
        if not text.startswith(PUBLIC_PREFIX):
            raise ValueError
        key = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        raise ConfigError(
            f"A public key is {PUBLIC_PREFIX} and 32 bytes in base64, not {text[:60]!r}; copy it "
            "again from the hub's /.well-known/webhook-keys.json."
        ) from None

    def holds(signature: bytes, signed: bytes) -> bool:
        try:
            key.verify(signature, signed)
        except Mismatch:
            return False
        return True

    return holds


def _standard(
    body: bytes,
    names: Mapping[str, str],
    key: bytes | None,
    keys: list[Holds],
    tolerance: float,
    now: float | None,
) -> VerifiedWebhook:
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not names.get(name):
            raise InvalidSignature(f"The header {name} is missing.")
    message, sent = names["webhook-id"], names["webhook-timestamp"]
    if "." in message:
        # {id}.{timestamp}.{body} could then be read in two ways, and one signature fits both.
        raise InvalidSignature("webhook-id holds a dot, which Standard Webhooks rules out.")
    timestamp = _fresh(sent, tolerance, time.time() if now is None else now)
    signed = _bytes(f"{message}.{sent}.") + body
    given = [_bytes(item) for item in names["webhook-signature"].split(" ")]
    if key is not None and _fits_secret(given, signed, key):
        return VerifiedWebhook("standard", message, timestamp, body)
    asymmetric = [item for item in given if item.startswith(b"v1a,")][:MAX_ENTRIES]
    if any(_fits_public(item, signed, keys) for item in asymmetric):
        return VerifiedWebhook("standard", message, timestamp, body)
    raise InvalidSignature(_why(given, key is not None, bool(keys)))


def _fits_secret(given: list[bytes], signed: bytes, key: bytes) -> bool:
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    # All are compared, so that the time taken does not tell which one fits.
    return sum(hmac.compare_digest(expected, item) for item in given) > 0


def _fits_public(item: bytes, signed: bytes, keys: list[Holds]) -> bool:
    try:
        signature = base64.b64decode(item.removeprefix(b"v1a,"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(holds(signature, signed) for holds in keys)


def _why(given: list[bytes], with_secret: bool, with_keys: bool) -> str:
    versions = ["v1"] * with_secret + ["v1a"] * with_keys
    named = " or ".join(versions)
    if not any(item.startswith(f"{version},".encode()) for item in given for version in versions):
        return f"webhook-signature holds no signature of version {named}."
    other = " or ".join(["another secret"] * with_secret + ["a key that is not given"] * with_keys)
    return (
        f"No {named} signature matches: the body was changed on the way (or parsed and written "
        f"again), or it was signed with {other}."
    )


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")


def _fresh(sent: str, tolerance: float, now: float) -> int:
    if not _TIMESTAMP.fullmatch(sent):
        raise InvalidSignature(f"webhook-timestamp is not whole unix seconds: {sent[:40]!r}.")
    timestamp = int(sent)
    if timestamp < now - tolerance:
        raise InvalidSignature(
            f"webhook-timestamp is {now - timestamp:.0f} s old, more than the {tolerance:.0f} s "
            "allowed: an old request sent again, or this machine's clock is ahead."
        )
    if timestamp > now + tolerance:
        raise InvalidSignature(
            f"webhook-timestamp is {timestamp - now:.0f} s in the future, more than the "
            f"{tolerance:.0f} s allowed: this machine's clock is behind, or the sender's ahead."
        )
    return timestamp


def _legacy(body: bytes, given: str, secret: str) -> VerifiedWebhook:
    if not secret:
        raise ConfigError("The webhook secret is empty; anybody could sign with it.")
    digest = hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"sha256={digest}".encode(), _bytes(given)):
        raise InvalidSignature(
            "X-Webhook-Signature does not match: the body was changed on the way (or parsed and "
            "written again), or it was signed with another secret."
        )
    return VerifiedWebhook("legacy", None, None, body)
