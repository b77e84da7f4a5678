"""Large bodies of many values are read a piece at a time, with the same result."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hookhub.contracts.errors import (
    HookhubError,
    MalformedRequest,
    PayloadTooLarge,
    ValidationFailed,
)
from hookhub.contracts.events import parse_json
from hookhub.web.reading.incremental_json import TURN, TURN_ITEMS, array_in_turns, lines_in_turns

BOUND = 3 * TURN
"""Characters that an item may have."""

ODD = [
    {"a": [1, -2.5e-7, True, None, {}, [], [[]]], "b": {"c": "я\u2028\\\"'"}},
    'a, b] \\\\" [',
    5,
    [],
    {},
    "😀",
]


def items(chance: random.Random, size: int) -> list[Any]:
    """Values of every kind and length; so many characters of them."""
    found: list[Any] = []
    while size > 0:
        item = chance.choice(ODD)
        if chance.random() < 0.01:
            item = {"long": "x" * chance.randrange(BOUND - 100)}
        elif chance.random() < 0.01:
            item = [item] * 1_000
        found.append(item)
        size -= len(json.dumps(item))
    return found


def joined(turns: Iterator[list[Any]]) -> list[Any]:
    return [item for turn in turns for item in turn]


@pytest.mark.parametrize("style", [{}, {"indent": 1}, {"ensure_ascii": False}])
def test_an_array_has_the_items_that_it_has(style: dict[str, Any]) -> None:
    """However it is written, and wherever a piece ends."""
    expected = items(random.Random(1), 4 * BOUND)
    text = json.dumps(expected, **style)
    assert joined(array_in_turns(text, 10 * BOUND)) == expected
    assert joined(array_in_turns(f"\n{text} \r\n\t", 10 * BOUND)) == expected


def test_small_arrays() -> None:
    """Nothing, one, and blanks everywhere."""
    for text in ("[]", "[ ]", " [\t]\n", "[1]", "[ 1 , 2 ]", "[[],[]]"):
        assert joined(array_in_turns(text, BOUND)) == json.loads(text)


def test_long_blanks_take_turns_too() -> None:
    """Wherever they are."""
    gap = " " * 3 * TURN
    text = f"{gap}[{gap}1{gap},{gap}2{gap}]{gap}"
    turns = list(array_in_turns(text, BOUND))
    assert [item for turn in turns for item in turn] == [1, 2]
    assert len(turns) >= 3 * 6
    assert joined(array_in_turns(f"[{gap}]", BOUND)) == []


def test_lines_are_the_values_that_they_are() -> None:
    """Blank ones are none; one that is no JSON, or too long, is an error in its place."""
    expected = items(random.Random(2), 2 * BOUND)
    data = b"\r\n\n".join(json.dumps(item).encode() for item in expected)
    assert joined(lines_in_turns(b"\n \n" + data + b"\n", BOUND)) == expected
    found = joined(lines_in_turns(b'1\n{\n"' + b"x" * BOUND + b'"\n\xff\n2', BOUND))
    kinds = [type(item) for item in found]
    assert kinds == [int, MalformedRequest, PayloadTooLarge, MalformedRequest, int]


@pytest.mark.parametrize("filler", ["1", "{}", '"' + "x" * 5_000 + '"', '{"a":[[],[]]}'])
def test_a_turn_is_bounded(filler: str) -> None:
    """Whoever reads has parsed no more than a turn and an item when it gives way."""
    size = len(filler) + 1
    count = 3 * TURN // size
    array = array_in_turns("[" + ",".join([filler] * count) + "]", BOUND)
    lines = lines_in_turns("\n".join([filler] * count).encode(), BOUND)
    for turns in (array, lines):
        lengths = [len(turn) for turn in turns]
        assert sum(lengths) == count
        assert max(lengths) <= min(TURN_ITEMS, TURN // size + 1)


def test_blank_lines_take_turns_too() -> None:
    """A body of nothing is not read at one go."""
    assert len(list(lines_in_turns(b"\n" * (5 * TURN), BOUND))) >= 5


def test_an_item_that_is_too_long_is_not_read_to_its_end() -> None:
    """The refusal names it; what follows does not matter."""
    with pytest.raises(PayloadTooLarge) as refused:
        joined(array_in_turns('[1, 2, {"a": "' + "x" * 2 * BOUND, BOUND))
    assert refused.value.errors[0]["loc"] == [2]
    assert str(BOUND) in refused.value.detail


@pytest.mark.parametrize(
    "end",
    ["", "]]", "] 1", "x]", "]x", "1 2]", '"a]', '"a\n"]', "tru]", '"\\u12"]', "{1}]", '{"a"}]'],
)
@pytest.mark.parametrize("before", [0, 2 * TURN])
def test_mistakes_are_found_where_they_are(before: int, end: str) -> None:
    """The sentence is that of a text which is read at one go."""
    text = '["' + "x" * before + '",\n ' + end
    assert _mistake(lambda: joined(array_in_turns(text, 10 * BOUND))) == _mistake(
        lambda: parse_json(text)
    )


@pytest.mark.parametrize("text", ["[NaN]", "[1, -Infinity]", "[" * 100_000, f"[{'9' * 5_000}]"])
def test_what_json_does_not_have(text: str) -> None:
    """The same refusals as everywhere."""
    assert _mistake(lambda: joined(array_in_turns(text, 10 * BOUND))) == _mistake(
        lambda: parse_json(text)
    )


def _mistake(read: Any) -> str:
    with pytest.raises(MalformedRequest) as caught:
        read()
    return caught.value.detail


@pytest.mark.parametrize("text", ["{}", "5", '"x"', '{"a": [' + " " * 2 * BOUND, "1" * 1_000])
def test_what_is_no_array(text: str) -> None:
    """It is not read on to find that out."""
    with pytest.raises(ValidationFailed, match="JSON array"):
        joined(array_in_turns(text, BOUND))


@pytest.mark.parametrize("text", ["", "  ", "x", "[1", "[,"])
def test_what_is_no_json(text: str) -> None:
    """Refused as malformed."""
    with pytest.raises(HookhubError):
        joined(array_in_turns(text, BOUND))
