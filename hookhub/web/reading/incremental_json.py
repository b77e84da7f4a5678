"""Many JSON values of one body, a turn at a time: in between, others may have theirs.

Python's JSON parser does not give way before it has read all that it was given. So of a large body
it is given one value after the other, and no more of the text than a value may have.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from json import JSONDecodeError
from typing import Any, TypeAlias, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

from hookhub.contracts.errors import (
    HookhubError,
    MalformedRequest,
    PayloadTooLarge,
    ValidationFailed,
)
from hookhub.contracts.routes import wrong_field
from hookhub.contracts.strict_json import JSON_SCAN, malformed, parse_json

NDJSON = "application/x-ndjson"
"""One JSON value a line."""
ONE_GO = 128 * 1024
"""Characters of an array that is read as a whole, which is faster."""
TURN = 64 * 1024
"""Characters of a larger body that are read in one turn; the last value may go beyond it."""
TURN_ITEMS = 250
"""Values in one turn at most."""

_BLANK = re.compile(r"[ \t\n\r]*")
_BLANK_BYTES = re.compile(rb"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
T = TypeVar("T")
Blanks: TypeAlias = Generator[tuple[list[Any], int], None, T]
"""Gives a value, and on its way nothing whenever a turn of blanks is over."""

_LONGEST_WORD = 12
"""Characters at the end of a text in which a cut escape, number or ``-Infinity`` is noticed."""


def array_in_turns(text: str, bound: int) -> Iterator[list[Any]]:
    """The items of a JSON array, in order.

    Args:
        bound: characters that an item may have, if the text is longer than :data:`ONE_GO`.

    Raises:
        MalformedRequest: it is not JSON.
        ValidationFailed: it is no array.
        PayloadTooLarge: an item is too long.
    """
    if len(text) > ONE_GO:
        yield from _turns(_ArrayReader(text, bound).items())
        return
    items = parse_json(text)
    if not isinstance(items, list):
        raise _no_array()
    for start in range(0, len(items), TURN_ITEMS):
        yield items[start : start + TURN_ITEMS]


def lines_in_turns(data: bytes, bound: int) -> Iterator[list[Any]]:
    """The value of each line that is not blank; an error in its place where there is none.

    Args:
        bound: bytes that a line may have.
    """
    yield from _turns(_lines(data, bound))


def _turns(items: Iterator[tuple[list[Any], int]]) -> Iterator[list[Any]]:
    """Put values together until it is time to give way; each comes with the place of its end."""
    turn: list[Any] = []
    begin = 0
    for item, end in items:
        turn += item
        if end - begin >= TURN or len(turn) >= TURN_ITEMS:
            yield turn
            turn, begin = [], end
    yield turn


def _lines(data: bytes, bound: int) -> Iterator[tuple[list[Any], int]]:
    at = 0
    while at < len(data):
        blank = _BLANK_BYTES.match(data, at, at + TURN)
        assert blank is not None
        at = blank.end()
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end].strip()
        at = end
        yield ([_line(line, bound)] if line else []), at


def _line(line: bytes, bound: int) -> Any:
    if len(line) > bound:
        return _too_long(bound)
    try:
        return parse_json(line)
    except MalformedRequest as error:
        return error


class _ArrayReader:
    """Reads an array through a window, which bounds how far the parser can go at one go."""

    def __init__(self, text: str, bound: int) -> None:
        self._text = text
        self._bound = bound
        self._count = 0
        self._move(0, TURN)

    def items(self) -> Iterator[tuple[list[Any], int]]:
        """Each item in a list of its own, with the place of its end; long blanks as well."""
        try:
            yield from self._read()
        except (ValueError, RecursionError) as error:
            raise malformed(error) from None

    def _read(self) -> Blanks[None]:
        at = yield from self._begin()
        more = self._text[at : at + 1] != "]"
        at += not more
        while more:
            value, end = self._value(at)
            self._count += 1
            more, at = yield from self._after(end)
            yield [value], at
        at = yield from self._blanks(at)
        if at < len(self._text):
            raise JSONDecodeError("Extra data", self._text, at)

    def _begin(self) -> Blanks[int]:
        """The place of the first item, or of the end."""
        at = yield from self._blanks(0)
        if self._text[at : at + 1] != "[":
            with suppress(PayloadTooLarge):
                self._value(at)
            raise _no_array()
        return (yield from self._blanks(at + 1))

    def _after(self, at: int) -> Blanks[tuple[bool, int]]:
        """Whether the item that ends there is followed by another one, and where that begins."""
        found = _NEXT.match(self._text, at, at + TURN)
        if found is not None and found.end() < at + TURN:
            return found[1] == ",", found.end()
        at = yield from self._blanks(at)
        mark = self._text[at : at + 1]
        if mark not in (",", "]"):
            raise JSONDecodeError("Expecting ',' delimiter", self._text, at)
        return mark == ",", (yield from self._blanks(at + 1))

    def _blanks(self, at: int) -> Blanks[int]:
        """The place behind the blanks."""
        while True:
            found = _BLANK.match(self._text, at, at + TURN)
            assert found is not None
            if found.end() < at + TURN:
                return found.end()
            at += TURN
            yield [], at

    def _value(self, at: int) -> tuple[Any, int]:
        """The value that begins there, and the place of its end."""
        while True:
            try:
                value, end = JSON_SCAN(self._window, at - self._start)
            except StopIteration as stop:
                self._check_cut("Expecting value", stop.value)
            except JSONDecodeError as error:
                self._check_cut(error.msg, error.pos)
            else:
                # A number at the end of the window may go on.
                if end < len(self._window) or self._is_last:
                    return value, self._start + end
            self._widen(at)

    def _check_cut(self, mistake: str, place: int) -> None:
        """Raise what is a mistake of the text, and not of the window that cuts it."""
        near_end = place >= len(self._window) - _LONGEST_WORD
        if self._is_last or not (near_end or mistake.startswith("Unterminated string")):
            raise JSONDecodeError(mistake, self._text, self._start + place)

    def _widen(self, at: int) -> None:
        if at > self._start:
            self._move(at, TURN)
        elif len(self._window) <= self._bound:
            self._move(at, self._bound + 1)
        else:
            raise _too_long(self._bound, self._count)

    def _move(self, start: int, size: int) -> None:
        self._start = start
        self._window = self._text[start : start + size]
        self._is_last = start + size >= len(self._text)


def _no_array() -> ValidationFailed:
    return wrong_field(
        f"The body must be a JSON array of events; for one a line, send it as {NDJSON}."
    )


def _too_long(bound: int, *loc: int) -> HookhubError:
    message = f"is longer than {bound} characters; send a reference to large data instead"
    return PayloadTooLarge(
        f"An event {message}.",
        errors=[{"loc": list(loc), "msg": message}],
        members={"limit": bound},
    )


class Turns:
    """The turns of one task, which begin when this is made."""

    def __init__(self) -> None:
        self._begin = trio.current_time()

    async def give_way(self) -> None:
        """Let all others go on until none has anything to do, or they had as long as this one.

        A bare checkpoint lets each of them do one step, and a request is a dozen of those: it
        would wait for as many turns.
        """
        with trio.move_on_after(trio.current_time() - self._begin):
            await wait_all_tasks_blocked()
        self._begin = trio.current_time()
