"""``hookhub event-types``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.options import json_option, without_required
from hookhub.cli.output import note_broken, print_json, print_table
from hookhub.cli.remote import Remote
from hookhub.cli.where import Here, where_options

if TYPE_CHECKING:
    from hookhub.config import Settings
    from hookhub.hub import Hub


@click.command("event-types")
@where_options
@json_option
def event_types(where: Here | Remote, as_json: bool) -> None:
    """List the event types that the installed plugins declare, and the hub's own.

    Of the plugins here; with --url, --profile or the like, of those of that hub (scope
    events:read). With --json, each with its example and the JSON Schema of its payload.

    \b
    Examples:
      hookhub event-types
      hookhub event-types --json | jq '.items[] | select(.name == "user.created")'
    """
    items = _there(where) if isinstance(where, Remote) else _here(where)
    if as_json:
        print_json({"items": items, "total": len(items)})
        return
    rows = [(item["name"], item["plugin"], item["description"]) for item in items]
    print_table(("TYPE", "PLUGIN", "WHEN"), rows)


def _there(remote: Remote) -> list[dict[str, Any]]:
    with remote.client() as client:
        return client.event_types()


def _here(where: Here) -> list[dict[str, Any]]:
    import trio

    hub = trio.run(_assemble, where.settings())
    note_broken(hub.plugins.report())
    return [
        {
            "name": item.name,
            "description": item.description,
            "plugin": item.plugin,
            "schema": item.json_schema(),
            "example": dict(item.example),
        }
        for item in hub.registry
    ]


async def _assemble(settings: Settings) -> Hub:
    """A hub that does not run: which types of its own it has depends on its sinks."""
    from hookhub.hub import Hub
    from hookhub.plugins import Plugins
    from hookhub.store import Store

    plugins = Plugins.load(without_required(settings.plugins))
    quiet = settings.model_copy(update={"plugins": without_required(settings.plugins)})
    return Hub(quiet, Store(settings.database), plugins)
