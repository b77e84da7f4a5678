"""Paths into a JSON document: ``user.tags[0]['an odd name']``. Pure.

The forms are those that JSONPath (RFC 9535) calls singular: names and indexes, no wildcard, so a
path leads to one place or to none. A leading ``$`` may be there and means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

STEPS_MAX = 32
"""Names and indexes in one path."""


class Mistake(ValueError):
    """Something in a filter is wrong; the message says what, and what is allowed."""


Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]

MISSING: Final = object()
"""What a path leads to where there is nothing; null is something."""

_OBJECT: Final = (dict, Mapping)
# dict first: an instance check against an abstract class costs more than the look-up itself.
_ARRAY: Final = (list, tuple)

_NAME = re.compile(r"[^\s.\[\]\"'\\*\x00-\x1f\x7f]+")
# The alternatives within each repetition begin with different characters: no backtracking.
_STEP = re.compile(
    rf"\.(?P<name>{_NAME.pattern})"
    r"|\[(?P<index>-?[0-9]{1,9})\]"
    r"|\[(?:'(?P<single>(?:[^'\\]|\\['\"\\])*)'|\"(?P<double>(?:[^\"\\]|\\['\"\\])*)\")\]"
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parse_path(text: str) -> Path:
    """Read a path.

    Raises:
        Mistake: it is not one; the message says from where on it cannot be read.
    """
    if not text:
        raise Mistake("the path is empty; name a member of the payload")
    rest = text[1:] if text.startswith(("$.", "$[")) else text
    if not rest.startswith("[") and rest is text:
        rest = "." + rest
    steps: list[Step] = []
    place = 0
    while place < len(rest):
        found = _STEP.match(rest, place)
        if found is None:
            raise Mistake(_unreadable(rest[place:]))
        steps.append(_step(found))
        place = found.end()
    if len(steps) > STEPS_MAX:
        raise Mistake(f"a path has at most {STEPS_MAX} names and indexes; this has {len(steps)}")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    if found["name"] is not None:
        return found["name"]
    quoted = found["single"] if found["single"] is not None else found["double"]
    return _ESCAPED.sub(r"\1", quoted)


def _unreadable(rest: str) -> str:
    shown = rest.removeprefix(".") if len(rest) > 1 else rest
    shown = shown if len(shown) <= 40 else shown[:40] + "…"
    return (
        f"the path cannot be read from {shown!r} on; write names with dots (user.country), "
        "indexes in brackets (items[0], items[-1] for the last), and names with other characters "
        "quoted (user['first name'])"
    )


def write_path(path: Path) -> str:
    """The one spelling of a path that is stored."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _NAME.fullmatch(step) and (text or not step.startswith("$")):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace("'", "\\'")
            text += f"['{escaped}']"
    return text


def reader(path: Path) -> Callable[[object], Any]:
    """A function from a document to what is at the path, or :data:`MISSING`. It never raises."""
    if len(path) == 1 and isinstance(path[0], str):
        return _member_reader(path[0])

    def read(document: object) -> Any:
        value: Any = document
        for step in path:
            if isinstance(step, str):
                if not isinstance(value, _OBJECT):
                    return MISSING
                value = value.get(step, MISSING)
                if value is MISSING:
                    return MISSING
            else:
                if not isinstance(value, _ARRAY) or not -len(value) <= step < len(value):
                    return MISSING
                value = value[step]
        return value

    return read


def _member_reader(name: str) -> Callable[[object], Any]:
    def read(document: object) -> Any:
        if isinstance(document, _OBJECT):
            return document.get(name, MISSING)
        return MISSING

    return read
