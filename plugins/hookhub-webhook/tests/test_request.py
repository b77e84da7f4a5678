"""The request, byte for byte (docs/webhooks.md)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from hookhub import Attempt, Event, __version__
from hookhub.contracts.events import canonical_json
from hookhub_webhook.request import build_request
from hookhub_webhook.signing import hub_signature, standard_signature

PAYLOADS: list[dict[str, Any]] = [
    {"user_id": 123, "username": "testuser", "referred_by_id": None},
    {"user_id": 1, "first_name": "Аня 🙂", "имя": "\u2028\x7f</", "b": [{"z": 1, "a": {}}]},
    {"user_id": 2, "floats": [0.1, -0.0, 1e22, 5e-324], "big": 2**63 + 5, "deep": [[[]]]},
]


def attempt_of(payload: dict[str, Any] | None = None, **changes: Any) -> Attempt:
    """An attempt of a sample event."""
    event = Event(
        sequence=9,
        id="evt_0123456789ab",
        type="user.created",
        payload=canonical_json(payload or PAYLOADS[0]),
        timestamp=1_705_314_600_123_456,
    )
    attempt = Attempt(
        delivery_id=77,
        endpoint_id=5,
        number=3,
        event=event,
        config={"url": "https://example.com/hook", "format": "payload", "headers": {}},
        secrets=("your-secret",),
        timestamp=1_705_314_605,
    )
    return replace(attempt, **changes)


def test_headers() -> None:
    """The headers are those of docs/webhooks.md, and no others."""
    request = build_request(attempt_of())
    assert request.url == "https://example.com/hook"
    assert dict(request.headers) == {
        "Content-Type": "application/json",
        "User-Agent": f"hookhub/{__version__}",
        "X-Webhook-Event": "user.created",
        "X-Webhook-Id": "5",
        "X-Webhook-Delivery": "77",
        "X-Webhook-Attempt": "3",
        "webhook-id": "evt_0123456789ab",
        "webhook-timestamp": "1705314605",
        "X-Webhook-Signature": hub_signature("your-secret", request.body),
        "webhook-signature": standard_signature(
            "your-secret", "evt_0123456789ab", 1_705_314_605, request.body
        ),
    }


def test_no_secret_and_no_key_no_signature() -> None:
    """A webhook without a secret gets no signature header at all, if the hub has no key."""
    names = {name.lower() for name, _ in build_request(attempt_of(secrets=())).headers}
    assert not {name for name in names if "signature" in name}


def test_the_hubs_keys_sign_every_request() -> None:
    """After the secrets' signatures; and alone where there is no secret."""
    signs = [lambda data: b"new" + data[:5], lambda data: b"old" + data[:5]]
    entries = ["v1a,bmV3ZXZ0XzA=", "v1a,b2xkZXZ0XzA="]
    request = build_request(attempt_of(), signs)
    headers = dict(request.headers)
    first, *rest = headers["webhook-signature"].split(" ")
    assert first == dict(build_request(attempt_of()).headers)["webhook-signature"]
    assert rest == entries
    headers = dict(build_request(attempt_of(secrets=()), signs).headers)
    assert headers["webhook-signature"] == " ".join(entries)
    assert "X-Webhook-Signature" not in headers


def test_rotation() -> None:
    """Both secrets sign in ``webhook-signature``; ``X-Webhook-Signature`` is the new one's."""
    request = build_request(attempt_of(secrets=("new", "old")))
    headers = dict(request.headers)
    assert headers["X-Webhook-Signature"] == hub_signature("new", request.body)
    assert len(headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("payload", PAYLOADS)
def test_body_is_the_payload(payload: dict[str, Any]) -> None:
    """The body is ``json.dumps(payload, sort_keys=True)``, to the byte."""
    body = build_request(attempt_of(payload)).body
    assert body == json.dumps(payload, sort_keys=True).encode("utf-8")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_seed_verifier_accepts_the_body(payload: dict[str, Any]) -> None:
    """The verifier of the seed, over re-serialised JSON, accepts the signature."""
    request = build_request(attempt_of(payload))

    def verify_webhook_signature(payload: dict[str, Any], header: str, secret: str) -> bool:
        payload_json = json.dumps(payload, sort_keys=True)
        expected = hmac.new(
            secret.encode("utf-8"), payload_json.encode("utf-8"), hashlib.sha256
        ).hexdigest()
        return hmac.compare_digest(expected, header.replace("sha256=", ""))

    header = dict(request.headers)["X-Webhook-Signature"]
    received = json.loads(request.body)
    assert verify_webhook_signature(received, header, "your-secret")
    assert not verify_webhook_signature({**received, "more": 1}, header, "your-secret")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_envelope(payload: dict[str, Any]) -> None:
    """An envelope is compact JSON around the very text of the payload; it is what is signed."""
    config = {"url": "https://example.com/", "format": "envelope", "headers": {}}
    request = build_request(attempt_of(payload, config=config))
    text = json.dumps(payload, sort_keys=True)
    assert request.body.decode("ascii") == (
        '{"type":"user.created","timestamp":"2024-01-15T10:30:00.123456Z",'
        f'"data":{text},"id":"evt_0123456789ab"}}'
    )
    headers = dict(request.headers)
    assert headers["X-Webhook-Signature"] == hub_signature("your-secret", request.body)
    assert headers["webhook-signature"] == standard_signature(
        "your-secret", "evt_0123456789ab", 1_705_314_605, request.body
    )


def test_custom_headers_are_added() -> None:
    """A webhook's own headers come after the hub's."""
    config = {"url": "https://example.com/", "headers": {"Authorization": "Bearer x"}}
    assert build_request(attempt_of(config=config)).headers[-1] == ("Authorization", "Bearer x")
