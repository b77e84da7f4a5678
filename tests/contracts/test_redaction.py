"""Secrets that are known are found in whatever repeats them, and nothing else is touched."""

from __future__ import annotations

import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest

from hookhub.contracts.redaction import KNOWN_MIN, Known, hidden_texts

SECRET = 'pa/ss "wörd"+<&>=='


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(SECRET))[3:-3],
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET).lower(),
        quote_plus(SECRET),
        html.escape(SECRET),
        html.escape(SECRET).replace("/", "&#47;").replace("ö", "&ouml;"),
        SECRET.upper(),
        SECRET[:4] + "\r\n " + SECRET[4:9] + "\n" + SECRET[9:],
    ],
)
def test_a_secret_is_found_however_it_is_written(written: str) -> None:
    """As it is, or escaped for JSON (by PHP too, or twice), a URL or HTML; in upper case, or over
    several lines."""
    known = Known([SECRET])
    assert known.may_be_in(f"got {written}!")
    assert known.mask(f"got {written}!") == "got ***!"


def test_what_follows_a_scheme_is_secret_by_itself() -> None:
    """A receiver may repeat the credentials without ``Bearer``."""
    assert Known(["Bearer abcdefgh"]).mask("Bearer abcdefgh, abcdefgh") == "***, ***"


def test_a_secret_that_the_end_cuts_off_is_masked() -> None:
    """Of an answer only the first part is kept; what is left of a secret there is one, too."""
    known = Known(["0123456789"])
    assert known.may_be_in("x 0123456")
    assert known.mask("x 0123456") == "x ***"
    assert known.mask("x 01234") == "x 01234"
    assert Known(["abcdefgh"]).mask("x ABCDEFG") == "x ***"


def test_white_space_that_a_receiver_adds_costs_nothing() -> None:
    """A value with much of it, and an answer of nothing else: found out in no time."""
    known = Known(["abc" + " " * 40 + "xyz-0123456789"])
    text = ("abc" + " " * 2000) * 8 + "xyz-0123456789"
    began = time.process_time()
    known.mask(text)
    assert time.process_time() - began < 1


def test_a_short_path_is_found_behind_its_host() -> None:
    """What begins with no letter begins wherever it stands; a longer path is another."""
    assert Known(["/s3cr3t"]).mask("http://a.example/s3cr3t /s3cr3ts") == (
        "http://a.example*** /s3cr3ts"
    )


def test_the_longest_is_masked_first() -> None:
    """No part of one is left because another is in it."""
    assert Known(["abcdef", "abcdef-ghijkl"]).mask("abcdef-ghijkl abcdef") == "*** ***"


def test_short_values_and_parts_of_words_are_left_alone() -> None:
    """A word that is a header's value would else be masked inside of others."""
    assert KNOWN_MIN == 6
    text = '{"production": true, "product": 12345, "products": null}'
    known = Known(["true", "12345", "product", ""])
    assert known.mask(text) == text.replace('"product"', '"***"')


def test_what_is_hidden_is_what_is_not_shown() -> None:
    """Texts at every depth that are masked, cut or left out; numbers are no text."""
    config = {"a": "1", "b": {"c": "2", "d": "3", "n": 4}, "l": ["5", "6"], "m": ["7"], "o": "8"}
    shown = {"a": "***", "b": {"c": "2"}, "l": ["5", "***"], "o": "8"}
    assert hidden_texts(config, shown) == ["1", "3", "6", "7"]
    assert hidden_texts(config, config) == []
