"""Values as people write them on a command line: times, JSON, headers, files.

Times are ``2026-01-31T12:00:00Z``, or spans such as ``1h``; what takes them in options gives text
as the REST API takes it, RFC 3339.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hookhub.contracts.errors import HookhubError, MalformedRequest
from hookhub.contracts.events import Cursor, format_timestamp, parse_json, parse_timestamp

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def now() -> int:
    """This moment by the clock of this machine, in microseconds since 1970."""
    return time.time_ns() // 1000


def microseconds(moment: str | None) -> int | None:
    """What :func:`past_time` or :func:`future_time` gave, in microseconds since 1970."""
    return None if moment is None else parse_timestamp(moment)


def _moment(text: str, sign: int) -> str | None:
    """A time, or a span from now on (``sign`` -1: back from now); None if it is neither."""
    span = _SPAN.fullmatch(text)
    try:
        if span is None:
            return format_timestamp(parse_timestamp(text.upper()))
        return format_timestamp(now() + sign * int(span[1]) * _SECONDS[span[2]] * 1_000_000)
    except (ValueError, OverflowError):
        return None


def past_time(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An option's callback: a time, or a span back from now."""
    moment = None if value is None else _moment(value, -1)
    if value is not None and moment is None:
        raise click.BadParameter(
            f"{value[:60]!r} is neither a time (2026-01-31T12:00:00Z) nor a span (15m, 2h, 1d)."
        )
    return moment


def future_time(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An option's callback: a time that is still to come, or a span from now on."""
    moment = None if value is None else _moment(value, 1)
    if value is not None and moment is None:
        raise click.BadParameter(
            f"{value!r} is neither a span (30d, 12h) nor a time (2030-01-31T12:00:00Z)."
        )
    if moment is not None and parse_timestamp(moment) <= now():
        raise click.BadParameter(f"{value!r} is over already.")
    return moment


def since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    """An option's callback: a cursor as it is, or microseconds since 1970; 0 for ``all``."""
    if value is None or value == "all":
        return None if value is None else 0
    moment = _moment(value, -1)
    return _cursor(value, ", a cursor nor 'all'") if moment is None else parse_timestamp(moment)


def place(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An option's callback: a time or a cursor."""
    return None if value is None else _moment(value, -1) or _cursor(value, " nor a cursor")


def _cursor(value: str, others: str) -> str:
    try:
        return str(Cursor.parse(value))
    except HookhubError:
        raise click.BadParameter(
            f"{value[:60]!r} is neither a time (2026-01-31T12:00:00Z), a span (15m, 2h, 1d)"
            f"{others}."
        ) from None


def read_fields(fields: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as members; a value is JSON if it can be read as JSON, else a text.

    Raises:
        UsageError: a word is not of this form, or a key comes twice.
    """
    members: dict[str, Any] = {}
    for item in fields:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{item!r} is not KEY=VALUE.")
        if name in members:
            raise click.UsageError(f"{name!r} is given twice.")
        try:
            members[name] = parse_json(text)
        except MalformedRequest:
            members[name] = text
    return members


def read_object(given: str, option: str) -> dict[str, Any]:
    """A JSON object: itself, ``@FILE``, or ``-`` for stdin.

    Args:
        given: what the command line says.
        option: where it says so, for messages: ``--payload``.

    Raises:
        BadParameter: it cannot be read, or is no JSON object.
    """
    source, data = "", given.encode()
    if given == "-" or given.startswith("@"):
        file = given.removeprefix("@")
        source = "stdin: " if file == "-" else f"{file}: "
        data = read_file(Path(file), option)
    try:
        members = parse_json(data, "It")
    except MalformedRequest as error:
        raise click.BadParameter(f"{source}{error.detail}", param_hint=option) from None
    if not isinstance(members, dict):
        noun = option.lstrip("-").replace("-", " ")
        raise click.BadParameter(f"{source}a {noun} is a JSON object.", param_hint=option)
    return members


def read_file(path: Path, option: str) -> bytes:
    """What is in a file, or ``-`` for stdin.

    Args:
        option: where the command line names it, for messages.

    Raises:
        BadParameter: it cannot be read.
    """
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}.", param_hint=option) from None
