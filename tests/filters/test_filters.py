"""Payload filters: what matches, what is refused and how, and that no payload hurts."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.errors import FieldError, ValidationFailed
from hookhub.filters import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    MISTAKES_MAX,
    OPERATORS,
    STEPS_MAX,
    STRING_MAX,
    VALUES_MAX,
    Filter,
    compile_filter,
)
from hookhub.filters.paths import MISSING, parse_path, reader, write_path

PAYLOAD = {
    "amount_kopeks": 150_000,
    "rate": 0.5,
    "user": {"country": "RU", "tags": ["new", "vip"], "first name": "Зоя", "$ref": 1, "": "empty"},
    "items": [{"sku": "A1", "price": 10}, {"sku": "B2", "price": 20}],
    "done": True,
    "note": None,
    "0": "zero",
    "a.b": "dotted",
}


def refused(spec: Any) -> list[FieldError]:
    """The mistakes of a filter that must not pass."""
    with pytest.raises(ValidationFailed) as caught:
        compile_filter(spec)
    assert caught.value.detail.endswith((".", "?", "errors)"))
    return caught.value.errors


def compiled(spec: Any) -> Filter | list[FieldError]:
    """The filter, or its mistakes."""
    try:
        return compile_filter(spec)
    except ValidationFailed as error:
        return error.errors


def place_and_message(spec: Any) -> tuple[list[str | int], str]:
    """The only mistake of a filter."""
    (error,) = refused(spec)
    return error["loc"], error["msg"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"amount_kopeks": 150_000}, True),
        ({"amount_kopeks": 150_000.0}, True),
        ({"amount_kopeks": "150000"}, False),
        ({"amount_kopeks": {"$ne": 150_000}}, False),
        ({"amount_kopeks": {"$ne": "150000"}}, True),
        ({"amount_kopeks": {"$gte": 150_000}}, True),
        ({"amount_kopeks": {"$gt": 150_000}}, False),
        ({"amount_kopeks": {"$lte": 150_000}}, True),
        ({"amount_kopeks": {"$lt": 150_000}}, False),
        ({"amount_kopeks": {"$gt": 1, "$lt": 150_001}}, True),
        ({"amount_kopeks": {"$gt": "1"}}, False),
        ({"amount_kopeks": {"$lte": "1"}}, False),
        ({"amount_kopeks": {"$prefix": "15"}}, False),
        ({"rate": {"$lt": 1}}, True),
        ({"user.country": {"$in": ["RU", "KZ"]}}, True),
        ({"user.country": {"$in": ["KZ", None, 1]}}, False),
        ({"user.country": {"$prefix": "R"}}, True),
        ({"user.country": {"$prefix": ""}}, True),
        ({"user.country": {"$gte": "RA", "$lt": "RZ"}}, True),
        ({"done": True}, True),
        ({"done": 1}, False),
        ({"done": {"$in": [1, 1.0]}}, False),
        ({"done": {"$in": [True]}}, True),
        ({"done": {"$ne": 1}}, True),
        ({"done": {"$gte": 0}}, False),
        ({"done": {"$gte": 1}}, False),
        ({"rate": {"$in": [False, 0.5]}}, True),
        ({"note": None}, True),
        ({"note": {"$in": [None]}}, True),
        ({"note": {"$exists": True}}, True),
        ({"note": {"$exists": False}}, False),
        ({"note": {"$lt": 1}}, False),
        ({"nothing": None}, False),
        ({"nothing": {"$ne": 1}}, False),
        ({"nothing": {"$exists": False}}, True),
        ({"nothing": {"$exists": True}}, False),
        ({"$not": {"nothing": 1}}, True),
        ({"$not": {"done": True}}, False),
        ({"user.tags[0]": "new"}, True),
        ({"user.tags[-1]": "vip"}, True),
        ({"user.tags[2]": {"$exists": False}}, True),
        ({"user.tags[-3]": {"$exists": False}}, True),
        ({"user.tags.0": {"$exists": True}}, False),
        ({"user.tags": {"$eq": ["new", "vip"]}}, True),
        ({"user.tags": {"$eq": ["vip", "new"]}}, False),
        ({"user.tags": {"$ne": ["new"]}}, True),
        ({"items[1]": {"$eq": {"price": 20, "sku": "B2"}}}, True),
        ({"items[1]": {"$eq": {"price": 20}}}, False),
        ({"items[1].price": {"$gt": 15}}, True),
        ({"user['first name']": "Зоя"}, True),
        ({'user["first name"]': "Зоя"}, True),
        ({"user.$ref": 1}, True),
        ({"user['']": "empty"}, True),
        ({"0": "zero"}, True),
        ({"['a.b']": "dotted"}, True),
        ({"a.b": "dotted"}, False),
        ({"$.done": True}, True),
        ({"$['done']": True}, True),
        ({"done.more": {"$exists": False}}, True),
        ({"user[0]": {"$exists": False}}, True),
        ({"$and": [{"done": True}, {"note": None}]}, True),
        ({"$and": [{"done": True}, {"note": 1}]}, False),
        ({"$or": [{"done": False}, {"note": None}]}, True),
        ({"$or": [{"done": False}, {"note": 1}]}, False),
        ({"$or": [{"done": False, "rate": 0.5}, {"note": None, "rate": 0.5}]}, True),
        ({"done": True, "$or": [{"note": 1}, {"$not": {"rate": 0.5}}]}, False),
    ],
)
def test_matches(spec: Any, expected: bool) -> None:
    """Members are all needed, types are strict, and nothing matches where there is nothing."""
    assert compile_filter(spec).matches(PAYLOAD) is expected


def test_normal_form() -> None:
    """Paths have one spelling and a lone ``$eq`` is left out; equal filters are equal."""
    one = compile_filter(
        {
            '$.user["country"]': {"$eq": "RU"},
            "$or": [{"['a']": {"$eq": [1]}}, {"['$x']['y z']['it\\'s']": {"$exists": False}}],
        }
    )
    assert one.spec == {
        "user.country": "RU",
        "$or": [{"a": {"$eq": [1]}}, {"['$x']['y z']['it\\'s']": {"$exists": False}}],
    }
    assert one == compile_filter(one.spec)
    assert hash(one) == hash(compile_filter(one.spec))
    assert one != compile_filter({})
    one.spec.clear()
    assert one.spec


def test_the_filter_is_a_copy() -> None:
    """What was compiled does not change with the objects it was made of."""
    wanted = [1]
    spec = MappingProxyType({"a": {"$eq": wanted}})
    made = compile_filter(spec)
    wanted.append(2)
    assert made.matches({"a": [1]})
    assert made.spec == {"a": {"$eq": [1]}}


@pytest.mark.parametrize(
    ("spec", "loc", "part"),
    [
        (None, [], "not null"),
        ([], [], "not an empty array"),
        ({"a": {"$gtee": 1}}, ["a", "$gtee"], "did you mean '$gte'"),
        ({"a": {"$nin": [1]}}, ["a", "$nin"], "$not"),
        ({"a": {"$regex": ".*"}}, ["a", "$regex"], "$prefix"),
        ({"a": {"$not": {"$eq": 1}}}, ["a", "$not"], "beside paths"),
        ({"a": {"$eq": 1, "gte": 2}}, ["a", "gte"], "did you mean '$gte'"),
        ({"a": {"gte": 2}}, ["a"], "did you mean '$gte'"),
        ({"a": {"b": 2}}, ["a"], "'a.b'"),
        ({"a": {}}, ["a"], "$prefix"),
        ({"a": [1]}, ["a"], "$in"),
        ({"or": [{"a": 1}]}, ["or"], "'$or'"),
        ({"$gte": 1}, ["$gte"], "below a path"),
        ({"$xor": [{"a": 1}]}, ["$xor"], "$and, $or, $not"),
        ({"$": 1}, ["$"], "['$name']"),
        ({"$and": []}, ["$and"], "empty array"),
        ({"$or": {"a": 1}}, ["$or"], "not an object"),
        ({"$not": {}}, ["$not"], "matches everything"),
        ({"$not": [{"a": 1}]}, ["$not"], "not an array"),
        ({"$or": [{"a": 1}, {}]}, ["$or", 1], "matches everything"),
        ({"$or": [{"a": 1}, 5]}, ["$or", 1], "not a number"),
        ({"$and": [{"$or": [{"a": {"$lt": None}}]}]}, ["$and", 0, "$or", 0, "a", "$lt"], "null"),
        ({"a": {"$lt": True}}, ["a", "$lt"], "a number or a string, not true"),
        ({"a": {"$in": "RU"}}, ["a", "$in"], "not a string"),
        ({"a": {"$in": []}}, ["a", "$in"], "not an empty array"),
        ({"a": {"$in": [1, [2]]}}, ["a", "$in"], "an array at [1]"),
        ({"a": {"$in": [0] * (VALUES_MAX + 1)}}, ["a", "$in"], f"of {VALUES_MAX + 1}"),
        ({"a": {"$exists": 1}}, ["a", "$exists"], "true or false"),
        ({"a": {"$exists": False, "$eq": 1}}, ["a"], "absent"),
        ({"a": {"$prefix": 1}}, ["a", "$prefix"], "a string"),
        ({"": 1}, [""], "empty"),
        ({"a..b": 1}, ["a..b"], "'.b'"),
        ({"a b": 1}, ["a b"], "' b'"),
        ({"a[*]": 1}, ["a[*]"], "'[*]'"),
        ({"a['b": 1}, ["a['b"], "quoted"),
        ({"a[1": 1}, ["a[1"], "brackets"),
        ({"a[٣]": 1}, ["a[٣]"], "brackets"),
        ({"a": 1, "$.a": 2}, ["$.a"], "'a'"),
        ({".".join("a" * (STEPS_MAX + 1)): 1}, [".".join("a" * (STEPS_MAX + 1))], "at most"),
        ({1: 2}, ["a number"], "a string"),
        ({"a": b"x"}, ["a"], "bytes"),
        ({"a": {"$eq": {1: 2}}}, ["a", "$eq"], "not a string"),
        ({"a": {"$eq": [{1}]}}, ["a", "$eq"], "set"),
        ({"a": float("inf")}, ["a"], "too large"),
        ({"a": {"$in": [10**5000]}}, ["a", "$in"], "too large"),
        ({"a": "я" * (STRING_MAX // 2 + 1)}, ["a"], "longer than 1024 bytes"),
        ({"a": {"$eq": {"b" * (STRING_MAX + 1): 1}}}, ["a", "$eq"], "longer than 1024 bytes"),
        ({"a": "\ud800"}, ["a"], "surrogate"),
        ({"\ud800": 1}, ["\\ud800"], "surrogate"),
    ],
)
def test_each_mistake_is_named(spec: Any, loc: list[str | int], part: str) -> None:
    """A mistake is told with its place and with what is allowed there."""
    found, message = place_and_message(spec)
    assert found == ["filter", *loc]
    assert part in message


def test_an_unknown_operator_is_told_all_that_there_are() -> None:
    """The message has every operator."""
    _, message = place_and_message({"a": {"$about": 1}})
    assert all(name in message for name in OPERATORS)


def test_all_mistakes_are_named_at_once() -> None:
    """Not only the first, up to a limit; and below the place that the caller names."""
    with pytest.raises(ValidationFailed) as caught:
        compile_filter({"a": {"$lt": None}, "$or": [{"b": []}, 7], "c": 1}, loc=("body", "filter"))
    assert [error["loc"] for error in caught.value.errors] == [
        ["body", "filter", "a", "$lt"],
        ["body", "filter", "$or", 0, "b"],
        ["body", "filter", "$or", 1],
    ]
    assert caught.value.detail.startswith("body.filter.a.$lt: ")
    assert caught.value.detail.endswith("(2 more in errors)")
    assert len(refused({"$or": [1] * 100_000})) == MISTAKES_MAX


def test_long_names_are_cut_in_errors() -> None:
    """An error is never much longer than a line."""
    loc, message = place_and_message({"x" * 100_000: 1})
    assert len(str(loc[1])) < 120
    assert len(message) < 200


def nested(depth: int) -> dict[str, Any]:
    """A filter of this depth."""
    spec: dict[str, Any] = {"a": 1}
    for number in range(depth - 1):
        spec = {"$not": spec} if number % 2 else {"$or": [spec]}
    return spec


def test_limits() -> None:
    """What is at a limit passes, what is over it is refused."""
    compile_filter(nested(DEPTH_MAX))
    assert "deep" in place_and_message(nested(DEPTH_MAX + 1))[1]
    assert "deep" in place_and_message(nested(800))[1]
    compile_filter({f"a{number}": number for number in range(CONDITIONS_MAX)})
    many = {"$or": [{f"a{number}": 1} for number in range(1_000_000)]}
    assert place_and_message(many)[1] == f"a filter has at most {CONDITIONS_MAX} conditions"
    compile_filter({"a": {"$in": list(range(VALUES_MAX))}, "b": "x" * STRING_MAX})
    compile_filter({"a" * STRING_MAX: {"$eq": [[[[[[[[1]]]]]]]]}})
    assert "deep" in place_and_message({"a": {"$eq": [[[[[[[[[1]]]]]]]]]}})[1]
    assert "more than" in place_and_message({"a": {"$eq": [[1] * VALUES_MAX]}})[1]
    large = {f"a{number}": "x" * STRING_MAX for number in range(CONDITIONS_MAX)}
    assert "bytes of JSON" in place_and_message(large)[1]


def test_a_filter_that_contains_itself_is_refused() -> None:
    """Only Python can make one, and it must not hang."""
    circle: dict[str, Any] = {}
    circle["$not"] = circle
    assert "deep" in place_and_message(circle)[1]
    wide: list[Any] = []
    wide.extend([wide] * 1000)
    refused({"a": {"$eq": wide}})
    refused({"$or": [{"$and": wide}]})


class Odd(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> Any:
        return PAYLOAD[key]

    def __iter__(self) -> Any:
        return iter(PAYLOAD)

    def __len__(self) -> int:
        return len(PAYLOAD)


def deep(levels: int) -> Any:
    """Lists within lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        10**5000,
        Decimal("NaN"),
        b"RU",
        {1, 2},
        object(),
        (1, 2),
        OrderedDict(b=1),
        {1: 2, None: 3},
        deep(50_000),
        "\ud800",
        "a" * 1_000_000,
        range(3),
        MISSING,
        type,
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_payload_hurts(value: Any) -> None:
    """Whatever a payload holds, the answer is yes or no."""
    operands: dict[str, list[Any]] = {
        "$eq": [1, 1.5, "a", None, True, [[1]], {"b": 1}, 10**300],
        "$ne": [1, "a", None, [[1]], {"b": 1}],
        "$in": [[1, 1.5, "a", None, True]],
        "$prefix": ["a"],
        "$exists": [True, False],
        **{name: [1, 1.5, "a", 10**300] for name in ("$lt", "$lte", "$gt", "$gte")},
    }
    assert operands.keys() == OPERATORS.keys()
    for name, values in operands.items():
        for operand in values:
            for path in ("a", "a.b", "a[0]", "a[-1].b", "a[0][0][0]", "a['b']"):
                wanted = compile_filter({path: {name: operand}})
                for payload in ({"a": value}, {"a": {"b": value}}, {"a": [value]}, value):
                    assert wanted.matches(payload) in (True, False)


def test_mappings_that_are_no_dict() -> None:
    """Any mapping is a payload."""
    assert compile_filter({"user.country": "RU"}).matches(Odd())
    assert compile_filter({"a": {"$eq": {"b": 1}}}).matches({"a": OrderedDict(b=1)})


# Against a reference: the rules of the documentation, written down without any thought for speed.

NAMES = st.sampled_from(
    ["a", "b", "first name", "$x", "it's", "x.y", "", "я", "\\", '"', "*", "\n"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, 0.5, -1.5, 2**60, float(2**60)]),
    st.sampled_from(["", "a", "ab", "b", "1", "Я", "true"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES | st.integers(-2, 2), min_size=1, max_size=3)
ORDERED = st.sampled_from([-1, 0, 1, 0.5, "", "a", "b"])
CONDITIONS = st.one_of(
    SCALARS,
    st.sampled_from([{"$exists": True}, {"$exists": False}]),
    st.dictionaries(st.sampled_from(["$eq", "$ne"]), VALUES, min_size=1),
    st.dictionaries(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), ORDERED, min_size=1),
    st.fixed_dictionaries({"$in": st.lists(SCALARS, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"$prefix": st.sampled_from(["", "a", "Я"])}),
)


def leaf(path: list[str | int], condition: Any) -> dict[str, Any]:
    """A filter with one path, spelt in the plainest way: everything in brackets."""
    return {
        "$"
        + "".join(
            f"[{step}]" if isinstance(step, int) else quoted(step) for step in path
        ): condition
    }


def quoted(name: str) -> str:
    """A name in brackets."""
    return '["' + name.replace("\\", "\\\\").replace('"', '\\"') + '"]'


SPECS = st.recursive(
    st.builds(leaf, PATHS, CONDITIONS),
    lambda inner: st.one_of(
        st.builds(lambda spec: {"$not": spec}, inner),
        st.builds(lambda specs: {"$and": specs}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda specs: {"$or": specs}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one, other: {**one, **other}, inner, inner),
    ),
    max_leaves=6,
)


def wanted(spec: dict[str, Any], payload: Any) -> bool:
    """Whether a payload matches, by the book."""
    for key, value in spec.items():
        if key == "$not":
            matched = not wanted(value, payload)
        elif key == "$and":
            matched = all(wanted(item, payload) for item in value)
        elif key == "$or":
            matched = any(wanted(item, payload) for item in value)
        else:
            found = look(list(parse_path(key)), payload)
            conditions = value if isinstance(value, dict) else {"$eq": value}
            matched = all(holds(name, operand, found) for name, operand in conditions.items())
        if not matched:
            return False
    return True


def look(path: list[str | int], value: Any) -> list[Any]:
    """What is at the path: one value or none."""
    for step in path:
        try:
            good = isinstance(value, dict if isinstance(step, str) else list)
            value = value[step] if good else {}["missing"]
        except LookupError:
            return []
    return [value]


def same(one: Any, other: Any) -> bool:
    """Equal as JSON, where true is not 1, and 1 is 1.0."""

    def tagged(value: Any) -> Any:
        if isinstance(value, dict):
            return {"object": {name: tagged(item) for name, item in value.items()}}
        if isinstance(value, list):
            return {"array": [tagged(item) for item in value]}
        return {"literal": repr(value)} if value is None or isinstance(value, bool) else value

    return bool(tagged(one) == tagged(other))


def holds(name: str, operand: Any, found: list[Any]) -> bool:
    """One condition."""
    if name == "$exists":
        return bool(found) is operand
    if not found:
        return False
    (value,) = found
    if name in ("$eq", "$ne"):
        return same(value, operand) is (name == "$eq")
    if name == "$in":
        return any(same(value, item) for item in operand)
    if name == "$prefix":
        return isinstance(value, str) and value[: len(operand)] == operand
    if isinstance(operand, str) is not isinstance(value, str):
        return False
    if value is None or isinstance(value, bool | list | dict):
        return False
    return {
        "$lt": value < operand,
        "$lte": value <= operand,
        "$gt": value > operand,
        "$gte": value >= operand,
    }[name]


@given(SPECS, PAYLOADS)
def test_matches_as_the_reference_does(spec: dict[str, Any], payload: dict[str, Any]) -> None:
    """A filter and its normal form, stored and read again, answer as the rules say."""
    made = compiled(spec)
    if not isinstance(made, Filter):
        # Two spellings of one place in one object, which the generator cannot rule out.
        assert all("one path" in item["msg"] for item in made), made
        return
    again = compile_filter(json.loads(made.text))
    assert made == again
    assert made.matches(payload) is again.matches(payload) is wanted(spec, payload)


@given(st.lists(st.text(max_size=5) | st.integers(-999, 999), min_size=1, max_size=5))
def test_paths_survive_being_written(steps: list[str | int]) -> None:
    """Reading what was written gives the same path, and writes the same."""
    text = write_path(tuple(steps))
    assert parse_path(text) == tuple(steps)
    assert write_path(parse_path(text)) == text
    assert parse_path("$" + text if text.startswith("[") else "$." + text) == tuple(steps)


ANYTHING = st.recursive(
    st.one_of(SCALARS, st.floats(), st.integers(), st.text(max_size=8), st.binary(max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from([*OPERATORS, "$and", "$or", "$not", "$.a", "a", "a[0]"])
            | st.text(st.characters(), max_size=4),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(ANYTHING, ANYTHING)
def test_anything_is_compiled_or_refused(spec: Any, payload: Any) -> None:
    """There is no third way, every refusal can be shown, and what is compiled answers."""
    made = compiled(spec)
    if not isinstance(made, Filter):
        assert made
        json.dumps(made, ensure_ascii=False, allow_nan=False).encode("utf-8")
        return
    assert made.matches(payload) in (True, False)
    assert compile_filter(made.spec) == made


def test_the_deepest_path() -> None:
    """A path of the longest kind reads as deep as it says."""
    made = compile_filter({".".join("a" * STEPS_MAX): 1})
    payload: Any = 1
    for _ in range(STEPS_MAX):
        assert not made.matches(payload)
        payload = {"a": payload}
    assert made.matches(payload)
    assert reader(parse_path("a"))([]) is MISSING


def test_operators_cover_the_documentation() -> None:
    """docs/filters.md names every operator, and every limit as it is."""
    text = (Path(__file__).parents[2] / "docs" / "filters.md").read_text("utf-8")
    for name in (*OPERATORS, "$and", "$or", "$not"):
        assert f"`{name}`" in text, name
    for limit in (DEPTH_MAX, CONDITIONS_MAX, STEPS_MAX, STRING_MAX, VALUES_MAX):
        assert f"{limit:,}" in text, limit
