"""JSON as RFC 8259 has it, and nothing more: UTF-8, no NaN, no Infinity. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from hookhub.contracts.errors import MalformedRequest

Json = dict[str, Any]
"""A JSON object as Python has it."""


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON; send a number, a string or null instead.")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
JSON_SCAN: Callable[[str, int], tuple[Any, int]] = _JSON.scan_once  # type: ignore[attr-defined]
"""Reads the value at a place of a text; gives it with the place of its end, or raises what
:func:`malformed` knows, or StopIteration with the place where a value was expected."""


def malformed(
    error: ValueError | RecursionError, what: str = "The body", *, one_line: bool = False
) -> MalformedRequest:
    """What is wrong with text that should be JSON, from what reading it raised; the arguments are
    those of :func:`parse_json`."""
    match error:
        case UnicodeDecodeError():
            text = f"{what} is not UTF-8 (byte {error.start}); encode JSON as UTF-8."
        case json.JSONDecodeError():
            line = "" if one_line else f"line {error.lineno}, "
            place = f"{line}column {error.colno}"
            text = f"{what} is not JSON: {error.msg} at {place}."
        case RecursionError():
            text = "The JSON is nested too deeply; flatten it."
        case _:  # CPython refuses to convert integers of more than 4,300 digits.
            text = "The JSON holds a number that is too long to read."
    return MalformedRequest(text)


def parse_json(data: bytes | str, what: str = "The body", *, one_line: bool = False) -> Any:
    """Parse JSON as RFC 8259 has it: UTF-8, no NaN, no Infinity.

    Args:
        what: the subject of the sentence about what is wrong.
        one_line: whether that names a column alone.

    Raises:
        MalformedRequest: with the line and column of the first mistake.
    """
    try:
        return _JSON.decode(data if isinstance(data, str) else data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise malformed(error, what, one_line=one_line) from None
