"""``hookhub plugins``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.options import config_option, json_option, settings_from, without_required
from hookhub.cli.output import note, print_json, print_table
from hookhub.cli.plugin_commands import add_commands
from hookhub.config import Settings

if TYPE_CHECKING:
    from hookhub.plugins import PluginReport, Plugins


@click.command("plugins")
@config_option
@json_option
@click.option("--traceback", is_flag=True, help="Also print the tracebacks of errors.")
@click.pass_context
def plugins(ctx: click.Context, config: Path | None, as_json: bool, traceback: bool) -> None:
    """List the installed plugins: version, what each contributes, and errors.

    The exit status is 1 if a plugin of [plugins] required is missing or broken.

    \b
    Examples:
      hookhub plugins
      hookhub plugins --traceback
    """
    settings = settings_from(config)
    parent = ctx.find_root().command
    own = set(parent.commands) if isinstance(parent, click.Group) else set()
    found = trio.run(_assemble, settings, own)
    reports = found.report()
    if as_json:
        print_json({"items": [dataclasses.asdict(report) for report in reports]})
    else:
        print_table(("PLUGIN", "VERSION", "DISTRIBUTION", "CONTRIBUTES"), map(_row, reports))
    for report in reports:
        if report.error is not None:
            note(f"Plugin {report.name!r} is broken and left out: {report.error}")
        if report.traceback is not None and traceback:
            note(report.traceback)
    for notice in found.notices():
        note(f"Note: {notice}.")
    found.check_required(settings.plugins.required)


async def _assemble(settings: Settings, own_commands: set[str]) -> Plugins:
    """Let every plugin bring what it has, without opening the database."""
    from hookhub.hub import Hub
    from hookhub.plugins import Plugins
    from hookhub.store import Store

    loaded = Plugins.load(without_required(settings.plugins))
    hub = Hub(settings, Store(settings.database), loaded)
    for component in list(hub.components):
        plugin = hub.components.owners[component.name]
        try:
            paths = [f"{route.method} {_plain(route.path)}" for route in component.routes()]
            paths += [f"GET {path}" for path in component.upgrades()]
        except Exception as error:
            loaded.failed(plugin, error)
            continue
        for path in paths:
            loaded.contributed(plugin, "routes", path)
    add_commands(loaded, own_commands)
    return loaded


def _row(report: PluginReport) -> tuple[str, str, str, str]:
    return report.name, report.version, report.distribution, "\n".join(_contributes(report))


def _contributes(report: PluginReport) -> Iterator[str]:
    if report.disabled:
        yield "(disabled)"
    elif report.error is not None:
        yield f"ERROR: {report.error}"
    elif not report.contributes:
        yield "(nothing)"
    for kind, names in report.contributes.items():
        shown = _summary(names) if kind == "routes" else ", ".join(names)
        yield f"{kind.replace('_', ' ')}: {shown}"


def _plain(path: str) -> str:
    """``/users/{user_id:int}`` as the documentation writes it: ``/users/{user_id}``."""
    return re.sub(r":\w+}", "}", path)


def _summary(routes: Sequence[str]) -> str:
    """``13 below /webhooks``; --json has them all."""
    tops = dict.fromkeys("/" + route.split("/")[1] for route in routes)
    return f"{len(routes)} below {', '.join(tops)}"
