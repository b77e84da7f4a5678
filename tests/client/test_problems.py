"""Answers of the hub become the errors of hookhub.contracts.errors again."""

from __future__ import annotations

import json

import pytest

from hookhub.client.problems import error_class, error_of
from hookhub.contracts import errors


def _all_errors() -> list[type[errors.HookhubError]]:
    found = [item for item in vars(errors).values() if isinstance(item, type)]
    return [item for item in found if issubclass(item, errors.HookhubError)]


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: kind.code)
def test_every_code_finds_its_class(kind: type[errors.HookhubError]) -> None:
    """A problem's code names exactly one class."""
    assert error_class(kind.code, kind.status) is kind


def test_all_members_come_back() -> None:
    """Detail, wrong fields, further members and headers survive the way over the wire."""
    body = {
        "type": "about:blank",
        "title": "Unknown event type",
        "status": 422,
        "code": "unknown_event_type",
        "detail": "Unknown event type 'user.craeted'.",
        "errors": [{"loc": ["type"], "msg": "unknown event type"}],
        "nearest": "user.created",
    }
    error = error_of(422, json.dumps(body).encode(), {"retry-after": "3"}, "http://hub/events")
    assert type(error) is errors.UnknownEventType
    assert error.detail == str(error) == body["detail"]
    assert error.errors == body["errors"]
    assert error.members == {"nearest": "user.created"}
    assert error.headers["retry-after"] == "3"


def test_an_unknown_code_falls_back_to_the_status() -> None:
    """A plugin's own code becomes the nearest class, and stays readable."""
    body = {"code": "seat_taken", "detail": "Seat 4 is taken."}
    error = error_of(409, json.dumps(body).encode(), {}, "http://hub/seats")
    assert type(error) is errors.Conflict
    assert error.members == {"problem_code": "seat_taken"}


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"detail": 5}', b"[" * 100_000])
def test_an_answer_that_is_not_hookhubs_says_so(body: bytes) -> None:
    """What a proxy or another server answers is told apart from the hub's own answers."""
    error = error_of(502, body, {}, "http://hub/events")
    assert type(error) is errors.Unavailable
    assert "http://hub/events" in error.detail
    assert "502" in error.detail
