"""``hookhub tail``: the live feed in the terminal."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import json_text, note, painted, print_json_line, say
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.speaking.following import FollowOptions, follow, follow_options

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


@click.command("tail")
@follow_options
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many events.")
@remote_options
@json_option
def tail(
    events: tuple[str, ...],
    where: str | None,
    since: str | int | None,
    keep: Path | None,
    count: int | None,
    remote: Remote,
    as_json: bool,
) -> None:
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

    follow(remote, FollowOptions(events, where, since, keep), handle, note, limit=count)


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
