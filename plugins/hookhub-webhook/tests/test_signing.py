"""Signatures: the vectors of Standard Webhooks, its library, and the seed's verifier."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook, WebhookVerificationError

from hookhub_webhook.signing import (
    asymmetric_signature,
    check_secret,
    generate_secret,
    hub_signature,
    public_key_text,
    signing_secret,
    standard_signature,
    standard_signatures,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "standard-webhooks.json").read_text("utf-8")
)
GOOD = VECTORS["v1"][0]["secret"]
BODY = '{"имя": "Аня", "n": 1e+22}'.encode()


def signature_of(vector: dict[str, str], secret: str | None = None) -> str:
    """Our signature of a vector's message."""
    return standard_signature(
        secret or vector["secret"],
        vector["webhook-id"],
        int(vector["webhook-timestamp"]),
        vector["body"].encode(),
    )


@pytest.mark.parametrize("vector", VECTORS["v1"], ids=lambda vector: vector["webhook-id"])
def test_vectors(vector: dict[str, str]) -> None:
    """The signatures are those of the specification's own examples."""
    assert signature_of(vector) == vector["webhook-signature"]


@pytest.mark.parametrize("vector", VECTORS["v1a"], ids=lambda vector: vector["webhook-id"])
def test_asymmetric_vectors(vector: dict[str, str]) -> None:
    """The asymmetric signatures are those of the specification's own examples."""
    private = base64.b64decode(vector["private_key"].removeprefix("whsk_"))
    key = Ed25519PrivateKey.from_private_bytes(private[:32])
    assert public_key_text(key.public_key().public_bytes_raw()) == vector["public_key"]
    message = (
        vector["webhook-id"],
        int(vector["webhook-timestamp"]),
        vector["body"].encode(),
    )
    assert asymmetric_signature(key.sign, *message) == vector["webhook-signature"]
    both = standard_signatures(["s"], *message, signs=[key.sign])
    assert both.split(" ") == [standard_signature("s", *message), vector["webhook-signature"]]
    assert standard_signatures([], *message, signs=[key.sign]) == vector["webhook-signature"]


@pytest.mark.parametrize("vector", VECTORS["must_fail"], ids=lambda vector: vector["why"])
def test_vectors_that_must_fail(vector: dict[str, str]) -> None:
    """A signature with another bit or of another version is not ours."""
    assert signature_of(vector) != vector["webhook-signature"]


@pytest.mark.parametrize("secret", [GOOD, "your-secret", "s", "пароль", "whsec_не base64"])
def test_library_accepts_every_secret(secret: str) -> None:
    """The library verifies with the secret's ``whsec_`` form, whatever the secret looks like."""
    now = int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": standard_signature(secret, "evt_1", now, BODY),
    }
    assert Webhook(signing_secret(secret)).verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing_secret(secret)).verify(BODY + b" ", headers)


def test_form_of_other_secrets() -> None:
    """A secret that is not ``whsec_`` has ``whsec_`` + base64 of its UTF-8 as its other form."""
    form = "whsec_" + base64.b64encode("пароль".encode()).decode()
    assert signing_secret("пароль") == form
    assert signing_secret(GOOD) == GOOD


def test_rotation_signs_with_each_secret() -> None:
    """During a rotation there is one entry for each secret, the newest first."""
    both = standard_signatures(["new", "old"], "evt_1", 5, BODY)
    assert both.split(" ") == [
        standard_signature(item, "evt_1", 5, BODY) for item in ("new", "old")
    ]


@pytest.mark.parametrize("secret", ["your-secret", "пароль", GOOD])
def test_hub_signature_uses_the_text_of_the_secret(secret: str) -> None:
    """``X-Webhook-Signature`` is keyed with the secret's UTF-8, ``whsec_`` included."""
    digest = hmac.new(secret.encode("utf-8"), BODY, hashlib.sha256).hexdigest()
    assert hub_signature(secret, BODY) == f"sha256={digest}"


def test_generated_secrets() -> None:
    """A generated secret is 32 random bytes in the form of Standard Webhooks."""
    secrets = {generate_secret() for _ in range(10)}
    assert len(secrets) == 10
    for secret in secrets:
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
        assert check_secret(secret) == secret


@pytest.mark.parametrize("size", [24, 64])
def test_whsec_of_good_length(size: int) -> None:
    """``whsec_`` is followed by 24 to 64 bytes in base64."""
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    assert check_secret(secret) == secret


@pytest.mark.parametrize(
    "rest", ["", "AAAA", "not base64!", base64.b64encode(bytes(65)).decode(), GOOD[6:-1]]
)
def test_bad_whsec_is_refused(rest: str) -> None:
    """A ``whsec_`` secret that libraries would not take is refused."""
    with pytest.raises(ValueError, match="base64"):
        check_secret("whsec_" + rest)


def test_a_secret_that_looks_encrypted_is_refused() -> None:
    """In the database it could not be told from one that is."""
    with pytest.raises(ValueError, match="sealed:"):
        check_secret("sealed:v1:abc")
