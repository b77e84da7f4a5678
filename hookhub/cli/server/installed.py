"""``hookhub plugins`` and ``hookhub event-types``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared.group import HookhubGroup
from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import note, note_broken, print_json, print_list, print_table
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options
from hookhub.contracts.strict_json import Json

if TYPE_CHECKING:
    from hookhub.plugins import Plugins


@click.command("plugins")
@click.option("--traceback", is_flag=True, help="Also print the tracebacks of errors.")
@where_options
@json_option
@click.pass_context
def plugins(ctx: click.Context, traceback: bool, where: Here | Remote, as_json: bool) -> None:
    """List the installed plugins: version, load time, what each contributes, and errors.

    Those that are installed here; with --url, --profile or the like, those of that hub (scope
    admin; without tracebacks). The exit status is 1 if a plugin of [plugins] required is missing
    or broken.

    \b
    Examples:
      hookhub plugins
      hookhub plugins --traceback
    """
    if isinstance(where, Remote):
        _print(_there(where), as_json=as_json, traceback=traceback)
        return
    import trio

    from hookhub.cli.shared.local import assembled

    settings = where.settings()
    parent = ctx.find_root().command
    own = parent.own_names() if isinstance(parent, HookhubGroup) else set()
    found = trio.run(assembled, settings).plugins
    _add_commands(found, own, traceback=traceback)
    items = [dataclasses.asdict(report) for report in found.report()]
    _print(items, as_json=as_json, traceback=traceback)
    for notice in found.notices():
        note(f"Note: {notice}.")
    found.check_required(settings.plugins.required)


def _add_commands(found: Plugins, own: set[str], *, traceback: bool) -> None:
    """What plugins add to the program; no hub is the worse for one that cannot."""
    from hookhub.cli.shared.plugin_commands import load_plugin_commands

    loaded = load_plugin_commands(own)
    for name, plugin in loaded.owners.items():
        if plugin in found.names():
            found.contributed(plugin, "commands", name)
    for plugin, report in loaded.broken.items():
        if plugin in found.names():
            note(f"The commands of plugin {plugin!r} are left out: {report.error}")
            if traceback and report.traceback is not None:
                note(report.traceback)


def _there(remote: Remote) -> list[Json]:
    """Plugins as ``GET /plugins`` tells them."""
    with remote.client() as client:
        found: list[Json] = client.call("GET", "/plugins")["items"]
    return found


def _print(items: Sequence[Json], *, as_json: bool, traceback: bool) -> None:
    if as_json:
        print_json({"items": items, "total": len(items)})
    else:
        print_table(
            ("PLUGIN", "VERSION", "DISTRIBUTION", "LOADED IN", "CONTRIBUTES"), map(_row, items)
        )
    for item in items:
        if item["error"] is not None:
            note(f"Plugin {item['name']!r} is broken and left out: {item['error']}")
        if item.get("traceback") is not None and traceback:
            note(item["traceback"])


def _row(item: Json) -> tuple[str, ...]:
    shown = "\n".join(_contributes(item))
    # A hub elsewhere may be an older one.
    seconds = item.get("load_seconds")
    taken = "" if seconds is None or item["disabled"] else f"{seconds * 1000:.0f} ms"
    return item["name"], item["version"], item["distribution"], taken, shown


def _contributes(item: Json) -> Iterator[str]:
    if item["disabled"]:
        yield "(disabled)"
    elif item["error"] is not None:
        yield f"ERROR: {item['error']}"
    elif not item["contributes"]:
        yield "(nothing)"
    for kind, names in item["contributes"].items():
        shown = _summary(names) if kind == "routes" else ", ".join(names)
        yield f"{kind.replace('_', ' ')}: {shown}"


def _summary(routes: Sequence[str]) -> str:
    """``13 below /webhooks``; --json has them all."""
    tops = dict.fromkeys("/" + route.split("/")[1] for route in routes)
    return f"{len(routes)} below {', '.join(tops)}"


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
    items = _types_there(where) if isinstance(where, Remote) else _types_here(where)
    columns = {"TYPE": "name", "PLUGIN": "plugin", "WHEN": "description"}
    print_list(items, columns, as_json=as_json)


def _types_there(remote: Remote) -> list[dict[str, Any]]:
    with remote.client() as client:
        return client.event_types()


def _types_here(where: Here) -> list[dict[str, Any]]:
    import trio

    from hookhub.cli.shared.local import assembled
    from hookhub.web.resources.plugins import shown_event_types

    hub = trio.run(assembled, where.settings())
    note_broken(hub.plugins.report())
    return shown_event_types(hub.registry)
