"""What a condition may say about a value. Pure.

Types are those of JSON and strict: ``true`` is not 1, ``"5"`` is not 5; whole numbers and fractions
are one type. To compare values of different types is no mistake, it just does not match.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from hookhub.filters.paths import Mistake

STRING_MAX = 1024
"""Bytes (UTF-8) of one string in a filter, paths included."""
VALUES_MAX = 1000
"""Values of one ``$in``."""
VALUE_DEPTH_MAX = 8
"""How deep an array or object to compare with may be nested."""

# Made once: `int | float` in a check would be made anew for every payload.
_NUMBER: Final = (int, float)
_COUNTED: Final = (str, int, float)

Test: TypeAlias = Callable[[Any], bool]


class Operator(NamedTuple):
    """One operator: what stands behind it, and the test that it makes of that."""

    name: str
    takes: str
    """For a person: ``a number or a string``."""
    accepts: Callable[[Any], bool]
    test: Callable[[Any], Test]


def is_number(value: object) -> bool:
    """Whether this is a JSON number."""
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def is_scalar(value: object) -> bool:
    """Whether this is a string, a number, true, false or null."""
    return value is None or isinstance(value, str | int | float)


def check_value(value: object) -> None:
    """Check that this can be compared with and stored.

    Raises:
        Mistake: it is not JSON, or a string in it is too long, or it is too large or too deep.
    """
    waiting: list[tuple[object, int]] = [(value, 0)]
    for count, (item, depth) in enumerate(waiting):
        if count > VALUES_MAX:
            raise Mistake(f"the value holds more than {VALUES_MAX} values")
        if depth > VALUE_DEPTH_MAX:
            raise Mistake(f"the value is nested more than {VALUE_DEPTH_MAX} deep")
        if isinstance(item, str):
            check_string(item, "the value")
        elif is_scalar(item):
            _check_number(item)
        elif isinstance(item, Mapping):
            if not all(isinstance(name, str) for name in item):
                raise Mistake("the value has a member whose name is not a string")
            waiting += [(inner, depth + 1) for inner in (*item, *item.values())]
        elif isinstance(item, list | tuple):
            waiting += [(inner, depth + 1) for inner in item]
        else:
            raise Mistake(f"the value holds a Python {type(item).__name__}, which is not JSON")


def check_string(text: str, what: str) -> None:
    """Check one string.

    Raises:
        Mistake: it is too long, or no text.
    """
    try:
        size = len(text) if len(text) > STRING_MAX else len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise Mistake(f"{what} holds half a surrogate pair, which is no text") from None
    if size > STRING_MAX:
        raise Mistake(f"{what} is longer than {STRING_MAX} bytes")


def _check_number(value: Any) -> None:
    finite = math.isfinite(value) if isinstance(value, float) else True
    # Python has integers without limit, but will not write those of more than 4,300 digits.
    if not finite or (isinstance(value, int) and value.bit_length() > 1024):
        raise Mistake("the value is a number too large for JSON")


def equals(value: Any, operand: Any) -> bool:
    """Whether two JSON values are equal; as deep as the operand is, never deeper."""
    if operand is None or isinstance(operand, bool):
        return value is operand
    if isinstance(operand, str):
        return isinstance(value, str) and value == operand
    if isinstance(operand, _NUMBER):
        return is_number(value) and bool(value == operand)
    if isinstance(operand, Mapping):
        return (
            isinstance(value, Mapping)
            and len(value) == len(operand)
            and all(name in value and equals(value[name], operand[name]) for name in operand)
        )
    return (
        isinstance(value, list | tuple)
        and len(value) == len(operand)
        and all(map(equals, value, operand))
    )


def _equal(operand: Any) -> Test:
    if isinstance(operand, str):
        return lambda value: isinstance(value, str) and value == operand
    return lambda value: equals(value, operand)


def _not_equal(operand: Any) -> Test:
    return lambda value: not equals(value, operand)


def _in(operand: Any) -> Test:
    # A set holds 1 and True for one; so the truth values stand apart.
    literal = tuple(item for item in operand if item is None or isinstance(item, bool))
    others = frozenset(item for item in operand if is_number(item) or isinstance(item, str))

    def test(value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return any(value is item for item in literal)
        return isinstance(value, _COUNTED) and value in others

    return test


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def make(operand: Any) -> Test:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        return lambda value: is_number(value) and compare(value, operand)

    return make


def _prefix(operand: Any) -> Test:
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _exists(operand: Any) -> Test:
    # Reached only where there is something; where there is nothing the compiler asks directly.
    return lambda value: bool(operand)


def _is_ordered(value: object) -> bool:
    return isinstance(value, str) or is_number(value)


def _is_scalars(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and 0 < len(value) <= VALUES_MAX
        and all(is_scalar(item) for item in value)
    )


def _is_any(value: object) -> bool:
    return True


_ORDERED = "a number or a string"

OPERATORS: Mapping[str, Operator] = {
    item.name: item
    for item in (
        Operator("$eq", "any JSON value", _is_any, _equal),
        Operator("$ne", "any JSON value", _is_any, _not_equal),
        Operator(
            "$in",
            f"an array of 1 to {VALUES_MAX} strings, numbers, truth values or nulls",
            _is_scalars,
            _in,
        ),
        Operator("$lt", _ORDERED, _is_ordered, _comparison(operator.lt)),
        Operator("$lte", _ORDERED, _is_ordered, _comparison(operator.le)),
        Operator("$gt", _ORDERED, _is_ordered, _comparison(operator.gt)),
        Operator("$gte", _ORDERED, _is_ordered, _comparison(operator.ge)),
        Operator("$exists", "true or false", lambda value: isinstance(value, bool), _exists),
        Operator("$prefix", "a string", lambda value: isinstance(value, str), _prefix),
    )
}
"""All operators of conditions by name."""
