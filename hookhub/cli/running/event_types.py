"""``hookhub event-types``."""

from __future__ import annotations

from typing import Any

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import note_broken, print_json, print_table
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options


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

    from hookhub.cli.shared.assembled import assembled

    hub = trio.run(assembled, where.settings())
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
