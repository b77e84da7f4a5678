"""What is kept of the header fields of an answer."""

from __future__ import annotations

import pytest

from hookhub.contracts.redaction import MASK, Known
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.answer_headers import (
    CUT,
    MAX_FIELDS,
    MAX_HEADERS,
    MAX_VALUE,
    header_pairs,
    kept_headers,
)
from hookhub.delivery.attempts import without

Fields = list[tuple[bytes, bytes]]


def kept(fields: Fields) -> list[tuple[str, str]]:
    return header_pairs(kept_headers(fields))


def test_ordinary_fields_are_kept_as_they_came() -> None:
    """Names as they were spelt, repeated ones too, empty values, in their order."""
    fields = [(b"Server", b"nginx"), (b"x-id", b"a: b"), (b"Vary", b""), (b"x-id", b"\xe9")]
    assert kept(fields) == [("Server", "nginx"), ("x-id", "a: b"), ("Vary", ""), ("x-id", "é")]


def test_no_fields_are_stored_as_nothing() -> None:
    """An answer that there was not has no header fields."""
    assert kept_headers([]) is None
    assert header_pairs(None) == []


@pytest.mark.parametrize(
    "name", [b"Set-Cookie", b"set-cookie", b"SET-COOKIE2", b"Cookie", b"Authorization"]
)
def test_cookies_and_credentials_are_masked(name: bytes) -> None:
    """The value of such a field is never stored; the field and its neighbours are."""
    fields = [(b"Server", b"nginx"), (name, b"session=s3cr3t; HttpOnly"), (b"X-Id", b"1")]
    assert kept(fields) == [("Server", "nginx"), (name.decode(), MASK), ("X-Id", "1")]


def test_a_long_value_is_cut_visibly() -> None:
    """When all is too long, a long value ends in an ellipsis."""
    found = dict(kept([(b"Long", b"x" * 60_000), (b"Short", b"yes")]))
    assert found == {"Long": "x" * (MAX_VALUE - 1) + CUT, "Short": "yes"}


@pytest.mark.parametrize("value", [b"x", b"x" * 200, b"x" * 60_000])
@pytest.mark.parametrize("count", [MAX_FIELDS + 1, 500])
def test_fields_left_out_are_counted(value: bytes, count: int) -> None:
    """However many and long they are, what is stored is bounded, and tells how many are missing."""
    fields = [(b"name-%d" % number, value) for number in range(count)]
    text = kept_headers(fields)
    assert text is not None
    assert len(text) <= MAX_HEADERS
    *pairs, (name, missing) = header_pairs(text)
    assert len(pairs) < MAX_FIELDS
    assert (name, missing) == (CUT, f"+{count - len(pairs)}")
    assert [found for found, _ in pairs] == [f"name-{number}" for number in range(len(pairs))]


def test_exactly_as_many_as_are_kept() -> None:
    """The limit itself is not beyond it."""
    fields = [(b"name-%d" % number, b"x") for number in range(MAX_FIELDS)]
    assert len(kept(fields)) == MAX_FIELDS
    assert kept([*fields[:-1], (b"Set-Cookie", b"a=b")])[-1] == ("Set-Cookie", MASK)


def test_a_value_brings_no_other_field() -> None:
    """What a sink gives with line ends or NUL in it stays one field, and storable."""
    found = kept([(b"X", b"one\nSet-Cookie: two\x00\r"), (b"Y", b"\t")])
    assert found == [("X", "one\ufffdSet-Cookie: two\ufffd\ufffd"), ("Y", "\t")]


def test_a_known_secret_is_masked_in_names_as_well() -> None:
    """A receiver may make a header of what it was sent."""
    fields = [(b"X-Zq9Long-Secret", b"1"), (b"Y", b"ZQ9LONG-secret")]
    result = AttemptResult(Outcome.RETRY, response_headers=fields)
    found = without(Known(["zq9long-secret"]), result).response_headers
    assert list(found) == [(b"X-***", b"1"), (b"Y", b"***")]
