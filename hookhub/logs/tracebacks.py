"""Exceptions as text for the log: where and what, without the values that the hub worked on.

A database's error messages quote the row that it refused, and pydantic's the input. Both may be
secrets that no net for secrets recognises: a webhook's is any text. Pure.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from types import TracebackType

from hookhub.contracts.redaction import MASK

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

_DATABASE = ("peewee", "psycopg", "sqlite3")
_VALUE = re.compile(r""": ["'].*["']""")
_INPUT = re.compile(r"input_value=.*?, input_type=", re.DOTALL)


def format_exception(exc_info: ExcInfo) -> str:
    """The traceback of an exception and of those behind it, without values."""
    text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    error = exc_info[1]
    return text if error is None else _without_values(text, error)


def message_of(error: BaseException) -> str:
    """One line: the type of an exception and its text; of a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(message_of, error.exceptions))
    text = _without_values(f"{type(error).__name__}: {error}", error)
    return text.partition("\n")[0].rstrip(": ")


def place_of(error: BaseException) -> str | None:
    """Where an exception was raised: ``hookhub.delivery.engine:123``."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}" if last else None


def _related(error: BaseException) -> Iterator[BaseException]:
    """An exception, those of its group, and those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions
        waiting += [found.__cause__, found.__context__]


def _without_values(text: str, error: BaseException) -> str:
    for found in _related(error):
        if any(item.__module__.startswith(_DATABASE) for item in type(found).__mro__):
            first, *rest = str(found).splitlines() or [""]
            # PostgreSQL: 'DETAIL:  Key (name)=(value) already exists.'
            for line in filter(str.strip, rest):
                text = text.replace(line, MASK)
            text = text.replace(first, _VALUE.sub(f": {MASK}", first)) if first else text
    return _INPUT.sub(f"input_value={MASK}, input_type=", text)
