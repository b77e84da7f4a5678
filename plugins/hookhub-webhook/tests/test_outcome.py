"""What an answer means for a delivery."""

from __future__ import annotations

import time

import pytest

from hookhub import Outcome
from hookhub_webhook.outcome import decode_body, judge, parse_retry_after

NOW = 1_705_314_605.0
"""Mon, 15 Jan 2024 10:30:05 GMT."""


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    """Every 2xx is success, without an error."""
    result = judge(status, {}.get, "ok", NOW)
    assert (result.outcome, result.error, result.error_message) == (Outcome.DELIVERED, None, None)
    assert (result.response_status, result.response_body) == (status, "ok")


def test_remark_on_a_success_is_no_error() -> None:
    """What is to be said of a body that was cut stands in the message; there is no error word."""
    result = judge(200, {}.get, "o", NOW, remark="Cut.", timings={"wait": 1.0})
    assert (result.outcome, result.error, result.error_message) == (Outcome.DELIVERED, None, "Cut.")
    assert result.timings == {"wait": 1.0}


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 408, 413, 422, 500, 502, 504, 599])
def test_everything_else_is_tried_again(status: int) -> None:
    """Other answers fail, worth another attempt; the sentence names the status."""
    result = judge(status, {"retry-after": "60"}.get, "", NOW)
    assert (result.outcome, result.error) == (Outcome.RETRY, "status")
    assert str(status) in str(result.error_message)
    assert (result.retry_after, result.disable_endpoint) == (None, False)


def test_redirect_names_its_target() -> None:
    """A redirect is a failure whose sentence says where to, and what to do."""
    result = judge(302, {"location": "https://new.example/" + "x" * 180}.get, "", NOW)
    assert result.outcome is Outcome.RETRY
    assert f"'https://new.example/{'x' * 180}'" in str(result.error_message)
    assert "not followed" in str(result.error_message)


def test_target_of_a_redirect_is_never_cut() -> None:
    """A part of a secret that it repeats would not be found: a long one is not quoted at all."""
    result = judge(302, {"location": "https://new.example/" + "x" * 181}.get, "", NOW)
    assert "302 Found to a long address; redirects" in str(result.error_message)


def test_410_gives_up_and_disables() -> None:
    """410 Gone: no further attempt, and no further delivery to this webhook."""
    result = judge(410, {}.get, "", NOW)
    assert (result.outcome, result.disable_endpoint) == (Outcome.GIVE_UP, True)
    assert "disabled" in str(result.error_message)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_counts(status: int) -> None:
    """429 and 503 may ask to wait."""
    assert judge(status, {"retry-after": "120"}.get, "", NOW).retry_after == 120.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5000, 1e9),
        ("Mon, 15 Jan 2024 10:31:05 GMT", 60.0),
        ("Monday, 15-Jan-24 10:31:05 GMT", 60.0),
        ("Mon Jan 15 10:31:05 2024", 60.0),
        ("Mon, 15 Jan 2024 12:31:05 +0200", 60.0),
        ("Mon, 15 Jan 2024 10:29:05 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Jan 2024 10:31:05 GMT", None),
        ("Mon, 15 Jan 99999 10:31:05 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds and all forms of HTTP dates are read; nonsense counts as nothing."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set")
def test_retry_after_does_not_depend_on_the_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates are in UTC, also in the old form that names no zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_retry_after("Mon Jan 15 10:31:05 2024", NOW) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("data", "cut", "text"),
    [
        (b"ok", False, "ok"),
        ("Аня".encode(), False, "Аня"),
        ("Аня".encode()[:-1], True, "Ан"),
        ("Аня".encode()[:-1], False, "Ан\ufffd"),
        (b"\xff\xfe", False, "\ufffd\ufffd"),
        (b"a\x00b", False, "a\ufffdb"),
        (b"", True, ""),
    ],
)
def test_body_as_text(data: bytes, cut: bool, text: str) -> None:
    """Any bytes become text without NUL; a character that the limit cut in two is left out."""
    assert decode_body(data, cut=cut) == text
