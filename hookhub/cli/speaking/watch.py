"""Watching a replay until its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared.output import count, note, print_json, print_members, progress_bar, say
from hookhub.contracts.errors import HookhubError

if TYPE_CHECKING:
    from hookhub.client import Client
    from hookhub.client.management import Management

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
        _say(replay, f"{count(replay['total'], 'event')} would be sent once more.", as_json)
        return
    if replay["gap"]:
        note("The history no longer reaches back to where the replay shall begin.")
    if wait:
        from hookhub.client.management import Management

        replay = _follow(Management(client), replay)
    if replay["state"] == "failed":
        raise HookhubError(f"Replay {replay['id']} failed: {replay['error']}")
    _say(replay, _summary(replay), as_json)


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


def _say(replay: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(replay)
    else:
        say(sentence)


def show_replay(replay: dict[str, Any], *, as_json: bool) -> None:
    """Print one replay."""
    if as_json:
        print_json(replay)
        return
    of = "" if replay["total"] is None else f" of {replay['total']}"
    shown = {"id": str(replay["id"]), "endpoint": str(replay["endpoint_id"])}
    shown |= {"state": replay["state"], "done": f"{replay['done']}{of}"}
    shown |= {"events": ", ".join(replay["events"]), "only": replay["only"]}
    names = ("since", "until", "created_at", "finished_at", "error")
    print_members([*shown.items(), *((name, replay[name]) for name in names)])
