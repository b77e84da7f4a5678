"""What to follow of the live feed, and from where: the options of ``tail`` and ``listen``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from hookhub.cli.remote import Remote
from hookhub.errors import HookhubError
from hookhub.events import Cursor, check_pattern, parse_timestamp

F = TypeVar("F", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """What to follow, and from where."""

    events: tuple[str, ...] = ()
    """Type patterns; none for all."""
    where: str | None = None
    """A payload filter, JSON."""
    since: str | int | None = None
    """A cursor, or microseconds since 1970; None for now."""
    keep: Path | None = None
    """A file that keeps the cursor from one run to the next."""


def follow_options(command: F) -> F:
    """``--events``, ``--where``, ``--since`` and ``--keep``; see :func:`read_follow_options`."""
    for option in (
        click.option(
            "--keep",
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Keep the place in this file: the next run goes on there.",
        ),
        click.option(
            "--since",
            metavar="TIME|SPAN|CURSOR|all",
            callback=_since,
            help="Begin with the events since then: 2026-01-31T12:00:00Z, 15m, 2h, a cursor, all.",
        ),
        click.option("--where", metavar="JSON", help="Only payloads that match this filter."),
        click.option(
            "--events",
            multiple=True,
            metavar="PATTERN",
            callback=_patterns,
            help="Only these types (user.*); several times, or with commas between.",
        ),
    ):
        command = option(command)
    return command


def _patterns(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    patterns = tuple(item.strip() for value in values for item in value.split(","))
    for pattern in patterns:
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from None
    return patterns


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    """A cursor as it is, or a moment in microseconds."""
    if value is None:
        return None
    if value == "all":
        return 0
    span = _SPAN.fullmatch(value)
    if span is not None:
        return time.time_ns() // 1000 - int(span[1]) * _SECONDS[span[2]] * 1_000_000
    with suppress(ValueError, OverflowError):
        return parse_timestamp(value.upper())
    try:
        return str(Cursor.parse(value))
    except HookhubError:
        raise click.BadParameter(
            f"{value[:60]!r} is neither a time (2026-01-31T12:00:00Z), a span (15m, 2h, 1d), a "
            "cursor nor 'all'."
        ) from None


def begin(remote: Remote, options: FollowOptions) -> str | None:
    """The cursor to begin behind; None for now. Asks the hub where a time is.

    Raises:
        HookhubError: the hub does not answer, or the file of ``keep`` holds no cursor.
    """
    if options.keep is not None:
        with suppress(FileNotFoundError):
            return str(Cursor.parse(options.keep.read_text("ascii").strip()))
    if isinstance(options.since, int):
        with remote.client() as client:
            return client.cursor_at(options.since)
    return options.since
