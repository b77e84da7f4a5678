"""The parts of the demo: a receiver that is hard to please, traffic that takes what is there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import random
import time
from pathlib import Path

import pytest

from hookhub.config import PluginsSettings
from hookhub.contracts.errors import NotFound
from hookhub_demo.command import demo_settings, keep_token
from hookhub_demo.play import Play, run
from hookhub_demo.receiver import DemoReceiver, Received
from hookhub_demo.verify import standard_signature_holds

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def signed(body: bytes, moment: float) -> dict[str, str]:
    """The headers of a request as docs/webhooks.md and Standard Webhooks have them."""
    legacy = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    stamp = str(int(moment))
    standard = hmac.new(KEY, f"evt_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "X-Webhook-Event": "user.created",
        "X-Webhook-Attempt": "1",
        "X-Webhook-Signature": f"sha256={legacy}",
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,bm90IHRoaXM= v1,{base64.b64encode(standard).decode()}",
    }


def post(receiver: DemoReceiver, headers: dict[str, str], body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_receiver_takes_only_what_is_signed() -> None:
    """A good request is 200; a changed byte, an old or a missing signature is 401."""
    seen: list[Received] = []
    body = json.dumps({"name": "Zoë", "n": 1.5}, sort_keys=True).encode()
    good = signed(body, time.time())
    with DemoReceiver(SECRET, seen.append) as receiver:
        assert post(receiver, good, body) == 200
        assert post(receiver, good, body.replace(b"1.5", b"1.6")) == 401
        assert post(receiver, {**good, "X-Webhook-Signature": "sha256=00"}, body) == 401
        assert post(receiver, {**good, "webhook-signature": "v1,AAAA"}, body) == 401
        assert post(receiver, signed(body, time.time() - 3600), body) == 401
        assert post(receiver, {}, body) == 401
        assert post(receiver, good, b"not JSON") == 400
    assert (receiver.good, receiver.bad) == (1, 5)
    assert [item.good for item in seen] == [True] + [False] * 5
    assert (seen[2].signed, seen[2].signed_standard) == (False, True)
    assert (seen[3].signed, seen[3].signed_standard) == (True, False)


def test_the_verifier_agrees_with_the_standard() -> None:
    """The example of the Standard Webhooks specification holds."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert standard_signature_holds(headers, b'{"test": 2432232314}', secret, 1614265330)


def test_the_token_is_kept(tmp_path: Path) -> None:
    """Made once, the same ever after."""
    path = tmp_path / "demo.db-token"
    assert keep_token(path) == keep_token(path)


async def test_the_demo_takes_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With payments alone there are payments, and without webhooks nothing is delivered."""
    pytest.importorskip("hookhub_payments")
    token = keep_token(tmp_path / "token")
    settings = demo_settings("127.0.0.1:0", tmp_path / "demo.db", token)
    others = ["log", "users", "tickets", "webhook", "websocket"]
    only_payments = settings.model_copy(update={"plugins": PluginsSettings(disabled=others)})
    await run(only_payments, Play(token, 1000, 5, random.Random(1)))
    printed = capsys.readouterr().out
    assert "Receiver      none: the plugin hookhub-webhook is not installed" in printed
    assert "5 events made; 0 webhook requests verified" in printed
    assert "wscat" not in printed


async def test_the_demo_needs_a_source(tmp_path: Path) -> None:
    """Without any of the three sources there is nothing to show; the message names them."""
    token = keep_token(tmp_path / "token")
    settings = demo_settings("127.0.0.1:0", tmp_path / "demo.db", token)
    sources = PluginsSettings(disabled=["log", "users", "payments", "tickets"])
    none = settings.model_copy(update={"plugins": sources})
    with pytest.raises(ExceptionGroup) as caught:
        await run(none, Play(token, 1000, 5, random.Random(1)))
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert isinstance(error, NotFound)
    assert "hookhub-users, hookhub-payments and hookhub-tickets" in error.detail
