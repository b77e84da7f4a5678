"""``hookhub migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import trio

from hookhub.cli.shared.options import config_option, json_option, settings_from
from hookhub.cli.shared.output import count, note_broken, print_json, say
from hookhub.config import Settings


@click.command("migrate")
@config_option
@json_option
def migrate(config: Path | None, as_json: bool) -> None:
    """Bring the database's tables up to date: the core's, and those of every plugin.

    A hub does the same when it starts; this is for doing it beforehand. Forward only.

    \b
    Examples:
      hookhub migrate
      HOOKHUB_DATABASE__URL=postgresql://me@db/hub hookhub migrate
    """
    steps = trio.run(_migrate, settings_from(config))
    if as_json:
        print_json({"items": steps})
        return
    for step in steps:
        say(f"{step['component']} {step['version']}: {step['name']}")
    say(f"{count(len(steps), 'migration')} run." if steps else "All is up to date.")


async def _migrate(settings: Settings) -> list[dict[str, Any]]:
    from hookhub.plugins import Plugins
    from hookhub.store import Store
    from hookhub.web.assembly import assemble

    store = Store(settings.database)
    hub = assemble(settings, store, Plugins.load(settings.plugins))
    done = [("hookhub", step) for step in await store.migrate()]
    for name, brought in hub.components.brought.items():
        if brought.migrations:
            done += [(name, step) for step in await store.migrate(name, brought.migrations)]
    note_broken(hub.plugins.report())
    return [
        {"component": component, "version": step.version, "name": step.name}
        for component, step in done
    ]
