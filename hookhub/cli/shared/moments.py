"""Times as people write them: ``1h``, ``2026-01-31T12:00:00Z``, a cursor. Pure but for the clock.

Times are microseconds since 1970 (UTC), as everywhere in hookhub.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress

import click

from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import Cursor, format_timestamp, parse_timestamp

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def span(text: str) -> int | None:
    """``30m``, ``12h``, ``2d`` in microseconds; None if it is no such text."""
    found = _SPAN.fullmatch(text)
    return None if found is None else int(found[1]) * _SECONDS[found[2]] * 1_000_000


def now() -> int:
    """This moment by the clock of this machine."""
    return time.time_ns() // 1000


def past_time(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: a time, or a span back from now."""
    return None if value is None else _before_now(value, "a span (15m, 2h, 1d)")


def future_time(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: a time that is still to come, or a span from now on."""
    if value is None:
        return None
    length = span(value)
    try:
        moment = parse_timestamp(value.upper()) if length is None else now() + length
        format_timestamp(moment)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a span (30d, 12h) nor a time (2030-01-31T12:00:00Z)."
        ) from None
    if moment <= now():
        raise click.BadParameter(f"{value!r} is over already.")
    return moment


def since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    """An option's callback: a cursor as it is, or a time; 0 for ``all``."""
    if value is None or value == "all":
        return None if value is None else 0
    return _place(value, ", a cursor nor 'all'")


def place(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An option's callback: a time or a cursor, as the REST API takes them."""
    if value is None:
        return None
    found = _place(value, " nor a cursor")
    return format_timestamp(found) if isinstance(found, int) else found


def _place(value: str, others: str) -> str | int:
    with suppress(click.BadParameter):
        return _before_now(value, "")
    try:
        return str(Cursor.parse(value))
    except HookhubError:
        raise click.BadParameter(
            f"{value[:60]!r} is neither a time (2026-01-31T12:00:00Z), a span (15m, 2h, 1d)"
            f"{others}."
        ) from None


def _before_now(value: str, others: str) -> int:
    length = span(value)
    try:
        moment = parse_timestamp(value.upper()) if length is None else now() - length
        format_timestamp(moment)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value[:60]!r} is neither a time (2026-01-31T12:00:00Z) nor {others}."
        ) from None
    return moment
