"""The seed's receivers and the Standard Webhooks library accept what a real hub sends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from hookhub.client import InvalidSignature, verify
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until

SECRET = "your-secret"
"""As it stands in the document's receiver."""

# One payload for each thing that JSON libraries write differently from one another.
PAYLOADS: dict[str, dict[str, Any]] = {
    "document": {
        "user_id": 123,
        "telegram_id": 456789,
        "username": "testuser",
        "first_name": "Test",
        "last_name": "User",
        "referral_code": "refABC123",
        "referred_by_id": None,
    },
    "non-ascii": {"user_id": 1, "first_name": "Аня 🙂", "имя": "Ё", "x": "\u2028\u007f\x01</"},
    "nested": {"user_id": 2, "z": {"b": [1, {"y": None, "a": True}], "a": {}}, "a": [[], [{}]]},
    "floats": {"user_id": 3, "f": [0.1, -0.0, 1e22, 1.5e-7, 1e16, 123456789.123456789, 5e-324]},
    "large": {"user_id": 4, "big": [2**63 + 5, -(2**64), 10**30, 2**53 + 1]},
    "order": {"user_id": 5, "b": 1, "a": 2, "B": 3, "é": 4, "10": 5, "9": 6},
}


def _webhook(http: httpx.Client, url: str, **members: Any) -> dict[str, Any]:
    response = http.post(
        "/webhooks",
        json={"name": "seed", "url": url, "event_type": "user.created", **members},
    )
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def _send(http: httpx.Client, payload: dict[str, Any], kind: str = "user.created") -> None:
    response = http.post("/events", json={"type": kind, "payload": payload})
    assert response.status_code == 202, response.text


def test_the_flask_receiver_accepts_every_payload(
    hub_process: HubProcess, seed_receiver: Any
) -> None:
    """The document's receiver answers 200 to each and hands the payload on as it was sent."""
    with hub_process.client() as http:
        webhook = _webhook(http, seed_receiver.url, secret=SECRET)
        for payload in PAYLOADS.values():
            _send(http, payload)
    wait_until(lambda: len(seed_receiver.requests) == len(PAYLOADS))
    assert {request.status for request in seed_receiver.requests} == {200}
    assert sorted(seed_receiver.users, key=lambda user: int(user["user_id"])) == sorted(
        PAYLOADS.values(), key=lambda user: int(user["user_id"])
    )
    for request in seed_receiver.requests:
        payload = json.loads(request.body)
        assert request.body == json.dumps(payload, sort_keys=True).encode()
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-webhook-event"] == "user.created"
        assert request.headers["x-webhook-id"] == str(webhook["id"])


def test_payments_reach_their_handler(hub_process: HubProcess, seed_receiver: Any) -> None:
    """The receiver tells the kinds of events apart by their header."""
    payment = {
        "transaction_id": 7,
        "user_id": 1,
        "type": "deposit",
        "amount_kopeks": 50000,
        "amount_rubles": 500.0,
        "payment_method": "card",
        "external_id": "ext-1",
        "is_completed": True,
        "description": "Пополнение",
    }
    with hub_process.client() as http:
        _webhook(http, seed_receiver.url, secret=SECRET, event_type="payment.completed")
        _send(http, payment, "payment.completed")
        _send(http, PAYLOADS["document"])
    wait_until(lambda: seed_receiver.payments)
    assert seed_receiver.payments == [payment]
    assert seed_receiver.users == []


def test_the_flask_receiver_refuses_a_changed_byte(
    hub_process: HubProcess, seed_receiver: Any
) -> None:
    """The same request with one byte of the payload changed is answered 401."""
    with hub_process.client() as http:
        _webhook(http, seed_receiver.url, secret=SECRET)
        _send(http, PAYLOADS["document"])
    wait_until(lambda: seed_receiver.requests)
    sent = seed_receiver.requests[0]
    changed = sent.body.replace(b"testuser", b"testuses")
    assert changed != sent.body
    with httpx.Client(trust_env=False) as attacker:
        again = attacker.post(seed_receiver.url, content=sent.body, headers=sent.headers)
        forged = attacker.post(seed_receiver.url, content=changed, headers=sent.headers)
    assert (again.status_code, forged.status_code) == (200, 401)


def test_verify_webhook_signature(
    hub_process: HubProcess, seed_receiver: Any, snippet: Callable[[str, str], str]
) -> None:
    """The document's other verifier accepts every request and refuses a changed one."""
    names: dict[str, Any] = {}
    exec(snippet("python", "def verify_webhook_signature"), names)
    check = names["verify_webhook_signature"]
    with hub_process.client() as http:
        _webhook(http, seed_receiver.url, secret=SECRET)
        for payload in PAYLOADS.values():
            _send(http, payload)
    wait_until(lambda: len(seed_receiver.requests) == len(PAYLOADS))
    for request in seed_receiver.requests:
        signature = request.headers["x-webhook-signature"]
        payload = json.loads(request.body)
        assert check(payload, signature, SECRET)
        assert not check({**payload, "user_id": 99}, signature, SECRET)
        assert not check(payload, signature, "other-secret")


@pytest.mark.parametrize("body_format", ["payload", "envelope"])
def test_standard_webhooks_before_and_after_a_rotation(
    hub_process: HubProcess, seed_receiver: Any, body_format: str
) -> None:
    """The Standard Webhooks library and ours verify the same request; while a rotation lasts, the
    old secret does too, and no other secret ever does."""
    old = "whsec_" + "b2xkLXNlY3JldC1vZi0yNC1ieXRlcy1vci1tb3Jl"
    with hub_process.client() as http:
        webhook = _webhook(http, seed_receiver.url, secret=old, format=body_format)
        _send(http, PAYLOADS["non-ascii"])
        wait_until(lambda: len(seed_receiver.requests) == 1)
        rotated = http.post(f"/webhooks/{webhook['id']}/rotate-secret")
        assert rotated.status_code == 200, rotated.text
        new = rotated.json()["secret"]
        assert new != old
        _send(http, PAYLOADS["large"])
        wait_until(lambda: len(seed_receiver.requests) == 2)
    before, after = seed_receiver.requests
    for request, secrets in ((before, [old]), (after, [old, new])):
        for secret in secrets:
            Webhook(secret).verify(request.body, request.headers)
            found = verify(request.body, request.headers, secret)
            assert found.id == request.headers["webhook-id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(before.body, before.headers)
    with pytest.raises(InvalidSignature):
        verify(before.body, before.headers, new)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(after.body.replace(b"4", b"5"), after.headers)


def test_a_text_secret_in_its_standard_form(hub_process: HubProcess, seed_receiver: Any) -> None:
    """whsec_ and the base64 of a text secret make the Standard Webhooks library accept it too."""
    with hub_process.client() as http:
        _webhook(http, seed_receiver.url, secret=SECRET)
        _send(http, PAYLOADS["document"])
    wait_until(lambda: seed_receiver.requests)
    (request,) = seed_receiver.requests
    Webhook("whsec_eW91ci1zZWNyZXQ=").verify(request.body, request.headers)
    assert verify(request.body, request.headers, SECRET).scheme == "standard"
