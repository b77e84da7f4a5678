"""``hookhub event-types``."""

from __future__ import annotations

from pathlib import Path

import click

from hookhub.cli.options import config_option, json_option, settings_from, without_required
from hookhub.cli.output import note_broken, print_json, print_table


@click.command("event-types")
@config_option
@json_option
def event_types(config: Path | None, as_json: bool) -> None:
    """List the event types that the installed plugins declare.

    With --json, each with its example and the JSON Schema of its payload.

    \b
    Examples:
      hookhub event-types
      hookhub event-types --json | jq '.items[] | select(.name == "user.created")'
    """
    from hookhub.plugins import Plugins, load_event_types

    plugins = Plugins.load(without_required(settings_from(config).plugins))
    registry = load_event_types(plugins)
    note_broken(plugins.report())
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
