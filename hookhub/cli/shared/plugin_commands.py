"""Commands that plugins add. A broken plugin, or broken settings, must not break ``--help``."""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

import click

from hookhub.cli.shared.options import without_required
from hookhub.config import PluginsSettings, load_settings
from hookhub.contracts.errors import HookhubError
from hookhub.plugins import PluginReport, Plugins


@dataclass(slots=True)
class PluginCommands:
    """What plugins add to the program."""

    commands: dict[str, click.Command] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Command to plugin."""
    broken: dict[str, PluginReport] = field(default_factory=dict)
    """The plugins with errors."""


def load_plugin_commands(taken: Set[str]) -> PluginCommands:
    """The commands of all plugins; one that fails half-way leaves none.

    Args:
        taken: names of hookhub's own commands, which no plugin may use.
    """
    plugins = Plugins.load(_settings())
    found = PluginCommands()
    for plugin in plugins.names():
        scratch = click.Group()
        if plugins.call(plugin, "hookhub_commands", cli=scratch) is None:
            continue
        for name in scratch.commands:
            if name in taken or name in found.owners:
                other = found.owners.get(name)
                owner = "hookhub itself" if other is None else f"plugin {other!r}"
                plugins.failed(plugin, f"Its command {name!r} is a command of {owner} already.")
                break
        else:
            found.commands |= scratch.commands
            found.owners |= dict.fromkeys(scratch.commands, plugin)
    found.broken = {item.name: item for item in plugins.report() if item.error is not None}
    return found


def _settings() -> PluginsSettings:
    chosen = os.environ.get("HOOKHUB_CONFIG")
    try:
        settings = load_settings(Path(chosen) if chosen else None, os.environ).plugins
    except HookhubError:
        return PluginsSettings()
    return without_required(settings)  # They stop a hub, not a command.
