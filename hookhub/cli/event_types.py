"""``hookhub event-types``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.options import config_option, json_option, settings_from, without_required
from hookhub.cli.output import note_broken, print_json, print_table
from hookhub.config import Settings

if TYPE_CHECKING:
    from hookhub.hub import Hub


@click.command("event-types")
@config_option
@json_option
def event_types(config: Path | None, as_json: bool) -> None:
    """List the event types that the installed plugins declare, and the hub's own.

    With --json, each with its example and the JSON Schema of its payload.

    \b
    Examples:
      hookhub event-types
      hookhub event-types --json | jq '.items[] | select(.name == "user.created")'
    """
    hub = trio.run(_assemble, settings_from(config))
    registry = hub.registry
    note_broken(hub.plugins.report())
    if not as_json:
        rows = [(item.name, item.plugin, item.description) for item in registry]
        print_table(("TYPE", "PLUGIN", "WHEN"), rows)
        return
    items = [
        {
            "name": item.name,
            "description": item.description,
            "plugin": item.plugin,
            "schema": item.json_schema(),
            "example": dict(item.example),
        }
        for item in registry
    ]
    print_json({"items": items, "total": len(items)})


async def _assemble(settings: Settings) -> Hub:
    """A hub that does not run: which types of its own it has depends on its sinks."""
    from hookhub.hub import Hub
    from hookhub.plugins import Plugins
    from hookhub.store import Store

    plugins = Plugins.load(without_required(settings.plugins))
    quiet = settings.model_copy(update={"plugins": without_required(settings.plugins)})
    return Hub(quiet, Store(settings.database), plugins)
