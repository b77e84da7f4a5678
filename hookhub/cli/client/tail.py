"""``hookhub tail``: the live feed in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared import values
from hookhub.cli.shared.options import gathered, json_option, together
from hookhub.cli.shared.output import json_text, note, painted, print_json_line, say
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.shared.values import read_object
from hookhub.contracts.events import Cursor, check_pattern

if TYPE_CHECKING:
    from hookhub.cli.client.live_feed import Handle


COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


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


_options = together(
    click.option(
        "--events",
        multiple=True,
        metavar="PATTERN",
        callback=_patterns,
        help="Only these types (user.*); several times, or with commas between.",
    ),
    click.option(
        "--where", metavar="JSON", callback=_where, help="Only payloads that match this filter."
    ),
    click.option(
        "--since",
        metavar="TIME|SPAN|CURSOR|all",
        callback=values.since,
        help="Begin with the events since then: 2026-01-31T12:00:00Z, 15m, 2h, a cursor, all.",
    ),
    click.option(
        "--keep",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Keep the place in this file: the next run goes on there.",
    ),
)


def _chosen(given: dict[str, Any]) -> FollowOptions:
    return FollowOptions(**{known.name: given.pop(known.name) for known in fields(FollowOptions)})


follow_options = gathered(_options, "chosen", _chosen)
"""What to follow, and from where; the command gets ``chosen``, a :class:`FollowOptions`."""


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
        HookhubError: as ``LiveFeed.run`` and ``begin``.
    """
    # Not at the top: only what follows the feed waits for the library.
    import trio

    from hookhub.cli.client.live_feed import LiveFeed

    feed = LiveFeed(
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

            async with nullcontext() if around is None else around():
                await feed.run(counted)

    try:
        trio.run(main)
    except* KeyboardInterrupt:
        # How people end it.
        pass


@click.command("tail")
@follow_options
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many events.")
@remote_options
@json_option
def tail(chosen: FollowOptions, count: int | None, remote: Remote, as_json: bool) -> None:
    """Print events as they happen, one a line; with --json, each as JSON.

    When the hub restarts or the network is cut, it comes back by itself, prints what happened
    meanwhile, and names a gap if there is one. What it says about the connection goes to stderr.
    Needs a token with the scope events:read.

    \b
    Examples:
      hookhub tail
      hookhub tail --events 'user.*,ticket.created' --since 1h
      hookhub tail --json --keep place.txt | jq .payload
    """
    show = print_json_line if as_json else print_event

    async def handle(event: dict[str, Any]) -> None:
        show(event)

    follow(remote, chosen, handle, note, limit=count)


def print_event(event: dict[str, Any]) -> None:
    """Print one event: for a person on a terminal, else with the whole time."""
    payload = json_text(event["payload"])
    moment = event.get("timestamp", "")
    if not sys.stdout.isatty():
        say(moment, event["type"], payload)
        return
    shown = datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else ""
    # The same colour for all that begins alike: user.created, user.deleted.
    colour = COLOURS[sum(event["type"].split(".")[0].encode()) % len(COLOURS)]
    say(painted(shown, dim=True), painted(event["type"], fg=colour, bold=True), payload)
