"""Receivers' verification: what passes, what does not, and the reason that is given."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from hookhub.client import InvalidSignature, verify
from hookhub.contracts.errors import ConfigError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "standard-webhooks.json").read_text())
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_KEY = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""RFC 8032 §7.1, test 1."""
NOW = 1_700_000_000


def _headers(vector: dict[str, Any]) -> dict[str, str]:
    return {name: text for name, text in vector.items() if name.startswith("webhook-")}


def _signed(
    body: bytes, secret: str = SECRET, at: int = NOW, name: str = "evt_1"
) -> dict[str, str]:
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{at}.".encode() + body, "sha256")
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _legacy(body: bytes, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Webhook-Signature": f"sha256={digest}"}


@pytest.mark.parametrize("vector", VECTORS["v1"], ids=lambda item: item["webhook-id"])
def test_published_vectors_pass(vector: dict[str, Any]) -> None:
    """The vectors that the Standard Webhooks libraries test against verify."""
    sent = int(vector["webhook-timestamp"])
    found = verify(vector["body"].encode(), _headers(vector), vector["secret"], now=sent)
    assert (found.scheme, found.id, found.timestamp) == ("standard", vector["webhook-id"], sent)
    assert found.json() == json.loads(vector["body"])


@pytest.mark.parametrize("vector", VECTORS["must_fail"], ids=lambda item: item["why"])
def test_published_failures_fail(vector: dict[str, Any]) -> None:
    """The vectors that must fail do."""
    sent = int(vector["webhook-timestamp"])
    with pytest.raises(InvalidSignature):
        verify(vector["body"].encode(), _headers(vector), vector["secret"], now=sent)


@pytest.mark.parametrize("vector", VECTORS["v1a"], ids=lambda item: item["webhook-id"])
def test_published_asymmetric_vectors_pass(vector: dict[str, Any]) -> None:
    """A public key verifies what its private key signed, without any secret."""
    sent = int(vector["webhook-timestamp"])
    body, headers, key = vector["body"].encode(), _headers(vector), vector["public_key"]
    found = verify(body, headers, public_keys=[OTHER_KEY, key], now=sent)
    assert (found.scheme, found.id, found.timestamp) == ("standard", vector["webhook-id"], sent)
    assert verify(body, headers, "a secret that fits nothing", public_keys=[key], now=sent)
    with pytest.raises(InvalidSignature, match=r"v1a.*a key that is not given"):
        verify(body, headers, public_keys=[OTHER_KEY], now=sent)
    with pytest.raises(InvalidSignature, match="matches"):
        verify(body + b" ", headers, public_keys=[key], now=sent)
    with pytest.raises(InvalidSignature, match="old"):
        verify(body, headers, public_keys=[key], now=sent + 301)


def test_a_secret_does_not_verify_asymmetric_signatures() -> None:
    """A receiver that has only the secret goes by the v1 entries, and the reverse."""
    headers = _signed(b"{}")
    with pytest.raises(InvalidSignature, match="no signature of version v1a"):
        verify(b"{}", headers, public_keys=[OTHER_KEY], now=NOW)
    headers["webhook-signature"] = "v1a,AAAA v1a,!"
    with pytest.raises(InvalidSignature, match=r"no signature of version v1\."):
        verify(b"{}", headers, SECRET, now=NOW)
    with pytest.raises(InvalidSignature, match="No v1a signature matches"):
        verify(b"{}", headers, public_keys=[OTHER_KEY], now=NOW)
    with pytest.raises(InvalidSignature, match="No v1 or v1a signature"):
        verify(b"{}", headers, SECRET, public_keys=[OTHER_KEY], now=NOW)


def test_legacy_signatures_need_the_secret() -> None:
    """X-Webhook-Signature says nothing to a public key."""
    with pytest.raises(InvalidSignature, match="no signature that a public key"):
        verify(b"{}", _legacy(b"{}", "s"), public_keys=[OTHER_KEY], allow_legacy=True)


@pytest.mark.parametrize("key", ["", "whpk_", "whpk_AAAA", "whpk_!", OTHER_KEY[5:], SECRET])
def test_wrong_public_keys_are_named(key: str) -> None:
    """A public key that is none is the receiver's mistake, not the request's."""
    with pytest.raises(ConfigError, match=r"webhook-keys.json"):
        verify(b"{}", _signed(b"{}"), SECRET, public_keys=[key], now=NOW)


def test_something_to_verify_with_is_needed() -> None:
    """Neither a secret nor a key: nothing could ever hold."""
    with pytest.raises(ConfigError, match="public_keys"):
        verify(b"{}", _signed(b"{}"), now=NOW)
    with pytest.raises(TypeError, match="several"):
        verify(b"{}", _signed(b"{}"), public_keys=OTHER_KEY, now=NOW)


def test_every_changed_bit_of_the_body_is_seen() -> None:
    """No bit of the body can change without the signature failing."""
    body = b'{"a": 1}'
    headers = _signed(body)
    assert verify(body, headers, SECRET, now=NOW)
    for position in range(len(body) * 8):
        changed = bytearray(body)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(InvalidSignature, match="matches"):
            verify(bytes(changed), headers, SECRET, now=NOW)


def test_any_text_is_a_secret() -> None:
    """A secret without whsec_ signs with its UTF-8 bytes."""
    assert verify(b"{}", _signed(b"{}", "пароль"), "пароль", now=NOW).id == "evt_1"


def test_the_encoded_form_of_a_text_secret_is_the_same_secret() -> None:
    """whsec_ and the base64 of a text secret verify what the text secret signed."""
    encoded = "whsec_" + base64.b64encode(b"your-secret").decode()
    headers = _signed(b"{}", "your-secret")
    assert verify(b"{}", headers, encoded, now=NOW)
    assert verify(b"{}", headers, encoded.rstrip("="), now=NOW)


def test_header_names_in_any_case() -> None:
    """HTTP header names have no case."""
    headers = {name.title(): text for name, text in _signed(b"{}").items()}
    assert verify(b"{}", headers, SECRET, now=NOW)


def test_one_of_several_signatures_is_enough() -> None:
    """During a rotation each valid secret signs; a receiver with any of them verifies."""
    headers = _signed(b"{}")
    other = _signed(b"{}", "other-secret")["webhook-signature"]
    headers["webhook-signature"] = f"v1a,AAAA {other} {headers['webhook-signature']}"
    assert verify(b"{}", headers, SECRET, now=NOW)
    assert verify(b"{}", headers, "other-secret", now=NOW)


@pytest.mark.parametrize(("age", "word"), [(301, "old"), (-301, "future")])
def test_time_out_of_tolerance(age: int, word: str) -> None:
    """A request too old or too new is refused, and the reason names the clock."""
    headers = _signed(b"{}", at=NOW - age)
    with pytest.raises(InvalidSignature, match=f"{word}.*clock"):
        verify(b"{}", headers, SECRET, now=NOW)
    assert verify(b"{}", headers, SECRET, now=NOW, tolerance=301)


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        ("webhook-id", "", "webhook-id is missing"),
        ("webhook-signature", "", "webhook-signature is missing"),
        ("webhook-timestamp", "1.5", "not whole unix seconds"),
        ("webhook-timestamp", "9" * 5000, "not whole unix seconds"),
        ("webhook-timestamp", "-1", "not whole unix seconds"),
        ("webhook-id", "evt.1", "holds a dot"),
        ("webhook-signature", "v1", "no signature of version v1"),
        ("webhook-signature", "v1,", "No v1 signature matches"),
        ("webhook-signature", "v1,é\udc80", "No v1 signature matches"),
        ("webhook-id", "evt_2", "No v1 signature matches"),
    ],
)
def test_bad_headers_are_named(header: str, value: str, reason: str) -> None:
    """Whatever a header holds, the answer is InvalidSignature and says what is wrong."""
    with pytest.raises(InvalidSignature, match=reason):
        verify(b"{}", {**_signed(b"{}"), header: value}, SECRET, now=NOW)


def test_a_missing_header_is_named() -> None:
    """All three headers are needed."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        headers = _signed(b"{}")
        del headers[name]
        with pytest.raises(InvalidSignature, match=f"{name} is missing"):
            verify(b"{}", headers, SECRET, now=NOW)


def test_an_unsigned_request_is_refused() -> None:
    """No signature at all is not a valid one."""
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(b"{}", {"Content-Type": "application/json"}, SECRET)


def test_a_legacy_signature_must_be_allowed() -> None:
    """The older header does not protect from repeats, so it passes only when asked for."""
    headers = _legacy(b"{}", "your-secret")
    with pytest.raises(InvalidSignature, match="allow_legacy"):
        verify(b"{}", headers, "your-secret")
    found = verify(b"{}", headers, "your-secret", allow_legacy=True)
    assert (found.scheme, found.id, found.timestamp) == ("legacy", None, None)


def test_a_legacy_signature_keys_with_the_whole_secret() -> None:
    """The older header is keyed with the secret's UTF-8 bytes, whsec_ included."""
    assert verify(b"{}", _legacy(b"{}", SECRET), SECRET, allow_legacy=True)


def test_a_wrong_legacy_signature_is_refused() -> None:
    """A changed body or another secret fails under the older scheme too."""
    headers = _legacy(b"{}", "your-secret")
    for body, secret in ((b"{ }", "your-secret"), (b"{}", "other")):
        with pytest.raises(InvalidSignature, match="X-Webhook-Signature does not match"):
            verify(body, headers, secret, allow_legacy=True)


def test_the_newer_scheme_cannot_be_bypassed_by_the_older() -> None:
    """Where the newer headers are present, they decide, whatever the older one says."""
    headers = {**_signed(b"{}", at=NOW - 1000), **_legacy(b"{}", SECRET)}
    with pytest.raises(InvalidSignature, match="old"):
        verify(b"{}", headers, SECRET, now=NOW, allow_legacy=True)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***"])
def test_an_impossible_secret_is_the_receivers_mistake(secret: str) -> None:
    """A secret that cannot be one is a configuration error, and is not repeated in it."""
    with pytest.raises(ConfigError, match="secret"):
        verify(b"{}", _signed(b"{}"), secret, now=NOW)


def test_agrees_with_the_standard_library() -> None:
    """What the Standard Webhooks library for Python signs, verify takes."""
    from datetime import UTC, datetime

    from standardwebhooks import Webhook

    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg_1", now, '{"a": "é"}')
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert verify('{"a": "é"}'.encode(), headers, SECRET).json() == {"a": "é"}
