"""``hookhub verify``: captured requests in their forms, and why they fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hookhub.testing.commands import run_hookhub

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes or so!").decode()
PAYLOAD = '{"name": "\\u0410\\u043d\\u044f", "user_id": 1}'


def headers_of(body: bytes, secret: str = SECRET, *, at: float | None = None) -> dict[str, str]:
    """The headers that a hub sends with this body."""
    sent = str(int(time.time() if at is None else at))
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"evt_1.{sent}.".encode() + body, "sha256")
    legacy = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Webhook-Signature": f"sha256={legacy}",
        "webhook-id": "evt_1",
        "webhook-timestamp": sent,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def verify(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """``hookhub verify ARGUMENTS``."""
    return run_hookhub("verify", *arguments, stdin=stdin)


def raw(headers: dict[str, str], body: bytes, end: bytes = b"\r\n") -> bytes:
    """A request as it came over the line."""
    lines = [b"POST /hook HTTP/1.1", *(f"{n}: {v}".encode() for n, v in headers.items())]
    return end.join([*lines, b"", b""]) + body


BODY = PAYLOAD.encode()
# Made when they are needed: a signature is too old after five minutes.
FORMS: dict[str, Callable[[], bytes]] = {
    "http": lambda: raw(headers_of(BODY), BODY),
    "with LF": lambda: raw(headers_of(BODY), BODY, b"\n"),
    "with a line break behind it": lambda: raw(headers_of(BODY), BODY + b"\n"),
    "without request line": lambda: raw(headers_of(BODY), BODY).split(b"\r\n", 1)[1],
    "json": lambda: json.dumps({"headers": headers_of(BODY), "body": PAYLOAD}).encode(),
    "json with pairs": lambda: json.dumps(
        {"headers": list(headers_of(BODY).items()), "body_base64": base64.b64encode(BODY).decode()}
    ).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_genuine_request_holds_in_every_form(tmp_path: Path, form: str) -> None:
    """Both schemes are checked and named; the exit status is 0."""
    data = FORMS[form]()
    (tmp_path / "request").write_bytes(data)
    result = verify("--secret", SECRET, str(tmp_path / "request"))
    assert result.returncode == 0, result.stderr
    assert "✓ x-webhook-signature: The signature holds." in result.stdout
    assert "✓ webhook-signature: The signature holds." in result.stdout
    assert result.stdout.endswith("The request is genuine.\n")
    assert verify("--secret", SECRET, "-", stdin=data).returncode == 0


def test_a_body_alone_with_its_headers(tmp_path: Path) -> None:
    """--header names what the file does not have; one scheme is enough."""
    (tmp_path / "body.json").write_bytes(BODY)
    signature = headers_of(BODY, "s3cret")["X-Webhook-Signature"]
    given = ("--secret", "s3cret", "--header", f"X-Webhook-Signature: {signature}")
    result = verify(*given, str(tmp_path / "body.json"))
    assert result.returncode == 0, result.stderr
    assert "- webhook-signature: The request has no such header." in result.stdout


def spoilt(body: bytes, sent: bytes = BODY, secret: str = SECRET) -> bytes:
    """The request of one body with another in its place."""
    headers = headers_of(sent, secret)
    headers["Content-Length"] = str(len(body))
    return raw(headers, body)


REASONS = [
    (spoilt(b'{"user_id": 2}'), SECRET, "No v1 signature matches"),
    (spoilt(b'{"user_id": 2}'), SECRET, "Compare the secret with the webhook's"),
    (spoilt(json.dumps(json.loads(PAYLOAD), indent=1).encode()), SECRET, "sort_keys=True"),
    (spoilt(BODY + b"\n"), SECRET, "without the line break at its end"),
    (spoilt(BODY), f" {SECRET}", "white space around it"),
    (spoilt(BODY), f'"{SECRET}"', "quotes around it"),
    (spoilt(BODY), SECRET.removeprefix("whsec_"), "lacks its beginning: whsec_"),
    (raw(headers_of(BODY), BODY[:-3]), SECRET, "Content-Length says"),
    (raw({**headers_of(BODY), "webhook-id": "evt_2"}, BODY), SECRET, "No v1 signature matches"),
    (raw({"Host": "x"}, BODY), SECRET, "The request has no such header."),
]


@pytest.mark.parametrize(("data", "secret", "expected"), REASONS)
def test_it_says_why_a_request_fails(data: bytes, secret: str, expected: str) -> None:
    """The usual mistakes are recognised; the exit status is 1."""
    result = verify("--secret", secret, "-", stdin=data)
    assert result.returncode == 1
    assert expected in result.stdout + result.stderr
    assert result.stdout.endswith("The request is not to be trusted.\n")


def test_a_rotated_secret_is_recognised_by_halves() -> None:
    """The old secret holds in webhook-signature alone, and the advice says so."""
    new, old = headers_of(BODY, "the-new-secret"), headers_of(BODY, "the-old-secret")
    new["webhook-signature"] += f" {old['webhook-signature']}"
    result = verify("--secret", "the-old-secret", "-", stdin=raw(new, BODY))
    assert result.returncode == 1
    assert "✓ webhook-signature: The signature holds." in result.stdout
    assert "During a rotation this header carries the new secret's signature only" in result.stdout


def test_an_old_request_is_told_and_refused_only_if_asked() -> None:
    """What is captured is old as a rule; --tolerance does as a receiver does."""
    data = raw(headers_of(BODY, at=time.time() - 7300), BODY)
    told = verify("--secret", SECRET, "-", stdin=data)
    assert told.returncode == 0
    assert "! webhook-timestamp: The attempt was 2 h ago." in told.stdout
    refused = verify("--secret", SECRET, "--tolerance", "300", "-", stdin=data)
    assert refused.returncode == 1
    assert "More than the 300 s allowed" in refused.stdout


def test_a_public_key() -> None:
    """v1a signatures are checked with the hub's key, without a secret."""
    key = Ed25519PrivateKey.generate()
    headers = headers_of(BODY)
    signed = f"evt_1.{headers['webhook-timestamp']}.".encode() + BODY
    entry = base64.b64encode(key.sign(signed)).decode()
    headers["webhook-signature"] += f" v1a,{entry}"
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    good = verify("--public-key", f"whpk_{public}", "-", stdin=raw(headers, BODY))
    assert good.returncode == 0
    assert "✓ v1a: A v1a signature holds." in good.stdout
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    bad = verify("--public-key", f"whpk_{other}", "-", stdin=raw(headers, BODY))
    assert bad.returncode == 1


def test_json_output() -> None:
    """Programs get each finding; the exit status is the same."""
    result = verify("--json", "--secret", "wrong", "-", stdin=FORMS["http"]())
    found = json.loads(result.stdout)
    assert result.returncode == 1
    assert found["ok"] is False
    states = {item["scheme"]: item["state"] for item in found["items"]}
    assert states == {"legacy": "failed", "standard": "failed", "time": "ok"}


@pytest.mark.parametrize(
    ("arguments", "data", "status", "expected"),
    [
        (("-",), b"", 2, "Give --secret"),
        (("--secret", "", "-"), b"", 2, "the secret is empty"),
        (("--secret", "x", "absent"), b"", 2, "No such file"),
        (("--secret", "x", "--header", "nothing", "-"), b"", 2, "is not 'Name: value'"),
        (("--secret", "x", "-"), b"nothing like it", 1, "stdin is no captured request"),
        (("--secret", "x", "-"), b'{"user_id": 1}', 1, "if it is the body alone"),
        (("--secret", "x", "-"), b"A: b\r\nC: d", 1, "There is no empty line in it"),
        (("--secret", "whsec_***", "-"), FORMS["http"](), 1, "is not base64"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: tuple[str, ...], data: bytes, status: int, expected: str
) -> None:
    """2 for wrong usage, 1 for what is no request."""
    result = verify(*arguments, stdin=data)
    assert result.returncode == status
    assert expected in " ".join(result.stderr.split())
