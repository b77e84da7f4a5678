"""``hookhub replay``: events of the past, sent to an endpoint once more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared import values
from hookhub.cli.shared.options import json_option, together
from hookhub.cli.shared.output import (
    count,
    note,
    print_list,
    print_members,
    print_result,
    progress_bar,
)
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.contracts.errors import HookhubError

if TYPE_CHECKING:
    from hookhub.client import Client
    from hookhub.client.management import Management


STATES = ("running", "paused", "done", "cancelled", "failed")


replay_range_options = together(
    click.option(
        "--since",
        metavar="TIME|SPAN|CURSOR",
        callback=values.place,
        help="From this time (2026-01-31T12:00:00Z, 15m, 2h) on, or after a cursor.",
    ),
    click.option(
        "--until",
        metavar="TIME|SPAN|CURSOR",
        callback=values.place,
        help="Before this time, or up to a cursor.",
    ),
    click.option(
        "--events", multiple=True, metavar="PATTERN", help="Types (user.*); several times."
    ),
    click.option(
        "--only",
        type=click.Choice(["all", "failed", "never_sent"]),
        default="all",
        show_default=True,
        help="All, those whose deliveries have all failed, or those without any delivery.",
    ),
    click.option("--dry-run", is_flag=True, help="Only count the events."),
    click.option("--wait/--no-wait", default=True, help="Watch it until it is done (default)."),
)
"""Which events to replay, and whether to wait for the end."""


@click.group("replay")
def replay() -> None:
    """Send events of the past to an endpoint of any sink once more, and steer that.

    An endpoint is a webhook, or what another sink has; see also 'hookhub webhook replay'.
    """


@replay.command("start")
@click.argument("endpoint_id", type=int)
@replay_range_options
@remote_options
@json_option
def start(endpoint_id: int, wait: bool, remote: Remote, as_json: bool, **wanted: Any) -> None:
    """Start a replay, and watch it until it is done.

    Ctrl-C ends the watching, not the replay.

    \b
    Examples:
      hookhub replay start 3 --since 2h --dry-run
      hookhub replay start 3 --events 'ticket.*' --only failed
    """
    with remote.management() as hub:
        begun = hub.start_replay(endpoint_id, **wanted)
        watch_replay(hub.client, begun, as_json=as_json, wait=wait)


@replay.command("list")
@click.option("--endpoint", "endpoint_id", type=int, help="Only those of this endpoint.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@remote_options
@json_option
def list_(endpoint_id: int | None, state: str | None, remote: Remote, as_json: bool) -> None:
    """List replays, newest first.

    \b
    Example:
      hookhub replay list --state running
    """
    with remote.management() as hub:
        items = list(hub.replays(endpoint_id=endpoint_id, state=state))
    columns = {"ID": "id", "ENDPOINT": "endpoint_id", "STATE": "state", "DONE": "done"}
    columns |= {"TOTAL": "total", "CREATED": "created_at", "FINISHED": "finished_at"}
    print_list(items, columns, as_json=as_json)


@replay.command("show")
@click.argument("replay_id", type=int)
@remote_options
@json_option
def show(replay_id: int, remote: Remote, as_json: bool) -> None:
    """Show a replay and how far it is.

    \b
    Example:
      hookhub replay show 7
    """
    with remote.management() as hub:
        print_result(hub.replay(replay_id), print_replay, as_json=as_json)


@replay.command("watch")
@click.argument("replay_id", type=int)
@remote_options
@json_option
def watch(replay_id: int, remote: Remote, as_json: bool) -> None:
    """Watch a replay until it is done; Ctrl-C ends the watching, not the replay.

    \b
    Example:
      hookhub replay watch 7
    """
    with remote.management() as hub:
        watch_replay(hub.client, hub.replay(replay_id), as_json=as_json, wait=True)


def _steering(verb: str, what: str) -> click.Command:
    @click.command(verb, help=f"{what}\n\n\b\nExample:\n  hookhub replay {verb} 7")
    @click.argument("replay_id", type=int)
    @remote_options
    @json_option
    def steer(replay_id: int, remote: Remote, as_json: bool) -> None:
        with remote.management() as hub:
            print_result(hub.steer_replay(replay_id, verb), print_replay, as_json=as_json)

    return steer


for _verb, _what in (
    ("pause", "Make no more deliveries for now; those that it has made go on."),
    ("resume", "Go on with a paused or failed replay where it stopped."),
    ("cancel", "End a replay; the deliveries that it has made stay."),
):
    replay.add_command(_steering(_verb, _what))


INTERVAL = 0.5
"""Seconds between looks at a replay."""

ACTIVE = ("running",)
"""States in which a replay goes on by itself."""


def watch_replay(client: Client, replay: dict[str, Any], *, as_json: bool, wait: bool) -> None:
    """Show a replay that has just been started; with ``wait``, how it goes until its end.

    Raises:
        HookhubError: it failed.
    """
    if replay.get("dry_run"):
        told = f"{count(replay['total'], 'event')} would be sent once more."
        print_result(replay, told, as_json=as_json)
        return
    if replay["gap"]:
        note("The history no longer reaches back to where the replay shall begin.")
    if wait:
        from hookhub.client.management import Management

        replay = _follow(Management(client), replay)
    if replay["state"] == "failed":
        raise HookhubError(f"Replay {replay['id']} failed: {replay['error']}")
    print_result(replay, _summary(replay), as_json=as_json)


def _follow(hub: Management, replay: dict[str, Any]) -> dict[str, Any]:
    with progress_bar(f"Replay {replay['id']}") as bar:
        try:
            while replay["state"] in ACTIVE:
                bar.show(replay["done"], replay["total"])
                time.sleep(INTERVAL)
                replay = hub.replay(replay["id"])
        except KeyboardInterrupt:
            number = replay["id"]
            raise click.ClickException(
                f"No longer watched, but it goes on. 'hookhub replay watch {number}' looks again, "
                f"'hookhub replay cancel {number}' ends it."
            ) from None
    return replay


def _summary(replay: dict[str, Any]) -> str:
    made = count(replay["done"], "delivery")
    if replay["state"] in ACTIVE:
        return (
            f"Replay {replay['id']} runs in the background; "
            f"'hookhub replay show {replay['id']}' says how far it is."
        )
    return f"Replay {replay['id']} is {replay['state']}: {made} made."


def print_replay(replay: dict[str, Any]) -> None:
    """Show a replay to a person."""
    of = "" if replay["total"] is None else f" of {replay['total']}"
    shown = {"id": str(replay["id"]), "endpoint": str(replay["endpoint_id"])}
    shown |= {"state": replay["state"], "done": f"{replay['done']}{of}"}
    shown |= {"events": ", ".join(replay["events"]), "only": replay["only"]}
    names = ("since", "until", "created_at", "finished_at", "error")
    print_members([*shown.items(), *((name, replay[name]) for name in names)])
