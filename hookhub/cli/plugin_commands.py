"""Commands that plugins add. A broken plugin, or broken settings, must not break ``--help``."""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

import click

from hookhub.config import PluginsSettings, load_settings
from hookhub.errors import HookhubError
from hookhub.plugins import Plugins


@dataclass(slots=True)
class PluginCommands:
    """What plugins add to the program."""

    commands: dict[str, click.Command] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Plugins with errors."""


def load_plugin_commands(taken: Set[str]) -> PluginCommands:
    """The commands of all plugins.

    Args:
        taken: names of hookhub's own commands, which no plugin may use.
    """
    plugins = Plugins.load(_settings())
    commands = add_commands(plugins, taken)
    broken = [report.name for report in plugins.report() if report.error is not None]
    return PluginCommands(commands, broken)


def add_commands(plugins: Plugins, taken: Set[str]) -> dict[str, click.Command]:
    """Ask every plugin for its commands; one that fails half-way leaves none."""
    commands: dict[str, click.Command] = {}
    owners: dict[str, str] = {}
    for plugin in plugins.names():
        scratch = click.Group()
        if plugins.call(plugin, "hookhub_commands", cli=scratch) is None:
            continue
        for name in scratch.commands:
            if name in taken or name in owners:
                owner = f"plugin {owners[name]!r}" if name in owners else "hookhub itself"
                plugins.failed(plugin, f"Its command {name!r} is a command of {owner} already.")
                break
        else:
            commands |= scratch.commands
            owners |= dict.fromkeys(scratch.commands, plugin)
            for name in scratch.commands:
                plugins.contributed(plugin, "commands", name)
    return commands


def _settings() -> PluginsSettings:
    chosen = os.environ.get("HOOKHUB_CONFIG")
    try:
        settings = load_settings(Path(chosen) if chosen else None, os.environ).plugins
    except HookhubError:
        return PluginsSettings()
    # A required plugin that is missing stops a hub, not a command.
    return settings.model_copy(update={"required": []})
