"""Following the live feed: the options of ``tail`` and ``listen``, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookhub.cli.shared import moments
from hookhub.cli.shared.payload import read_object
from hookhub.cli.shared.remote import Remote
from hookhub.contracts.events import Cursor, check_pattern

if TYPE_CHECKING:
    from hookhub.cli.speaking.live_feed import Handle

F = TypeVar("F", bound=Callable[..., Any])


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
            callback=moments.since,
            help="Begin with the events since then: 2026-01-31T12:00:00Z, 15m, 2h, a cursor, all.",
        ),
        click.option(
            "--where",
            metavar="JSON",
            callback=_where,
            help="Only payloads that match this filter.",
        ),
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


def _where(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    # What a filter may hold is the hub's to say; it may be newer than this program.
    if value is not None:
        read_object(value, "--where")
    return value


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


def follow(
    remote: Remote,
    options: FollowOptions,
    handle: Handle,
    tell: Callable[[str], None],
    *,
    limit: int | None = None,
    around: Callable[[], Any] | None = None,
) -> None:
    """Follow the feed until Ctrl-C, or until ``limit`` events have been handled.

    Args:
        handle: takes each event.
        tell: takes sentences about the connection.
        limit: None for no end.
        around: makes an asynchronous context that is open meanwhile.

    Raises:
        HookhubError: as ``Feed.run`` and ``begin``.
    """
    # Not at the top: only what follows the feed waits for the library.
    import trio

    from hookhub.cli.speaking.live_feed import Feed

    feed = Feed(
        remote,
        begin(remote, options),
        tell,
        events=options.events,
        where=options.where,
        keep=options.keep,
    )

    async def main() -> None:
        left = limit
        with trio.CancelScope() as scope:

            async def counted(event: dict[str, Any]) -> None:
                nonlocal left
                await handle(event)
                if left is not None:
                    left -= 1
                    if left <= 0:
                        scope.cancel()

            if around is None:
                await feed.run(counted)
            else:
                async with around():
                    await feed.run(counted)

    try:
        trio.run(main)
    except* KeyboardInterrupt:
        # How people end it.
        pass
