"""Logging: real lines, from structlog and from logging, with nothing secret in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hookhub.config import LogSettings
from hookhub.contracts.redaction import redact, redact_text
from hookhub.logs import configure_logging


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_log(**settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(LogSettings(format="json", **settings), stream)
    return stream


def test_json_is_one_object_a_line() -> None:
    """Every line is JSON with time, level, event and logger first, then its fields."""
    stream = json_log()
    structlog.get_logger("hookhub.x").info("delivery.attempted", status=200, note="a\nb")
    logging.getLogger("hypercorn.error").warning("listening on %s", "127.0.0.1:1")
    first, second = lines(stream)
    assert list(first)[:4] == ["timestamp", "level", "event", "logger"]
    assert first["timestamp"].endswith("Z")
    del first["timestamp"], second["timestamp"]
    assert first == {
        "level": "info",
        "event": "delivery.attempted",
        "logger": "hookhub.x",
        "status": 200,
        "note": "a\nb",
    }
    assert second == {
        "level": "warning",
        "event": "listening on 127.0.0.1:1",
        "logger": "hypercorn.error",
    }


def test_level_holds_for_all() -> None:
    """What is below the level is not written, whoever says it."""
    stream = json_log(level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("x").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_libraries_that_tell_of_every_request_are_quieter() -> None:
    """httpx logs each request with its URL at INFO; that is not what happened in the hub."""
    stream = json_log()
    logging.getLogger("httpx").info("HTTP Request: GET https://x")
    assert stream.getvalue() == ""


def test_a_logger_made_before_follows_a_new_configuration() -> None:
    """Modules make their loggers when they are imported, before there are settings."""
    log = structlog.get_logger("early")
    first = json_log()
    log.info("one")
    second = json_log()
    log.info("two")
    assert [line["event"] for line in lines(first)] == ["one"]
    assert [line["event"] for line in lines(second)] == ["two"]


def test_console_has_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a pipe gets plain text, and so does a terminal with NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, terminal, without = io.StringIO(), Terminal(), Terminal()
    for stream in (plain, terminal):
        configure_logging(LogSettings(), stream)
        structlog.get_logger().info("hub.started", address="127.0.0.1:1")
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging(LogSettings(), without)
    structlog.get_logger().info("hub.started")
    assert "hub.started" in plain.getvalue()
    assert "address=127.0.0.1:1" in plain.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in without.getvalue()


def test_console_lines_cannot_be_forged() -> None:
    """A receiver's answer in a field neither starts a line nor drives the terminal."""
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    structlog.get_logger().info(
        "x\ny", body="x\nERROR all is lost\r\x1b[2J", title="\x1b[2J\x9b\u202e"
    )
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "x␊y" in text
    assert "body='x\\nERROR all is lost␍␛[2J' title=␛[2J��" in text


@pytest.mark.parametrize("kind", ["console", "json"])
def test_no_secret_reaches_a_line(kind: Any) -> None:
    """Tokens in keys, URLs, headers, messages and exceptions are masked in both formats."""
    stream = io.StringIO()
    configure_logging(LogSettings(format=kind), stream, ["opensesame123456"])
    log = structlog.get_logger()
    log.info(
        "one",
        token="leak",
        api_key="leak",
        webhook={"secret": "leak", "secrets": ["leak", "leak"], "name": "kept"},
        url="wss://u:leak@h/ws?token=leak&events=kept&api_key=leak",
        query=b"ticket=leak",
        headers=[(b"authorization", b"Bearer leak"), ("x-api-key", "leak"), ("host", "kept")],
        error=ValueError("whsec_leak and hh_leak"),
        text="the token is opensesame123456",
    )
    logging.getLogger("hypercorn.access").info("GET /ws?api_key=%s", "leak")
    try:
        raise ValueError("POST https://h/x?ticket=leak with hh_leak-leak_leak opensesame123456")
    except ValueError:
        log.exception("two")
        logging.getLogger("lib").exception("three")
    text = stream.getvalue()
    assert "leak" not in text
    assert "opensesame" not in text
    assert text.count("kept") == 3
    assert text.count("Traceback") == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/ws?token=abc&x=1", "/ws?token=***&x=1"),
        ("/ws?x=1&api_key=a%20b HTTP/1.1", "/ws?x=1&api_key=*** HTTP/1.1"),
        ("{'url': '/ws?ticket=abc'}", "{'url': '/ws?ticket=***'}"),
        ("bootstrap_token=abc", "bootstrap_token=***"),
        ("Authorization: Bearer abcdefgh.ij", "Authorization: Bearer ***"),
        ("postgresql://me:pass@db/x", "postgresql://me:***@db/x"),
        ("hh_Ab-1_x.", "hh_***"),
        ("use whsec_C2FtcGxl+/= now", "use whsec_*** now"),
        ("ht_abc", "ht_***"),
        ("ticket 5 of token 7", "ticket 5 of token 7"),
        ("user_id=5&ticket_id=6", "user_id=5&ticket_id=6"),
        ("http://h:8080/a@b", "http://h:8080/a@b"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_texts_are_redacted(text: str, expected: str) -> None:
    """What looks like a secret goes, what does not stays."""
    assert redact_text(text) == expected


def test_values_are_redacted_by_key() -> None:
    """Keys that name a secret hide texts and lists, not counts; others stay."""
    value = {
        "tokens": 3,
        "token": None,
        "ticket_id": 5,
        "Password": "x",
        "old_secret": ["x"],
        "nested": [{"X-API-Key": "x"}],
        "pair": ("cookie", "x"),
    }
    assert redact(value) == {
        "tokens": 3,
        "token": None,
        "ticket_id": 5,
        "Password": "***",
        "old_secret": "***",
        "nested": [{"X-API-Key": "***"}],
        "pair": ["cookie", "***"],
    }


def test_redaction_ends() -> None:
    """A structure without end is cut off."""
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "…" in json.dumps(redact(endless), ensure_ascii=False)
