"""The components that plugins bring: collected, told apart by name, and kept running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
import trio

from hookhub.errors import PluginError, StoreUnavailable
from hookhub.plugins import Plugins
from hookhub.sinks import Component, DurableSink, LiveSink
from hookhub.sources import Source
from hookhub.store import Store

if TYPE_CHECKING:
    from hookhub.hub import Hub

RESTART_FIRST = 1.0
RESTART_MAX = 60.0
HEALTHY_AFTER = 60.0
"""Seconds of running after which a restart waits only :data:`RESTART_FIRST` again."""

log = structlog.get_logger("hookhub.components")


@dataclass(slots=True)
class Components:
    """What the installed plugins bring, by name."""

    sources: dict[str, Source] = field(default_factory=dict)
    live_sinks: dict[str, LiveSink] = field(default_factory=dict)
    durable_sinks: dict[str, DurableSink] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Component to plugin."""
    failing: dict[str, str] = field(default_factory=dict)
    """Component to what is wrong with its background task."""

    def __iter__(self) -> Iterator[Component]:
        yield from self.sources.values()
        yield from self.live_sinks.values()
        yield from self.durable_sinks.values()

    def add(self, plugins: Plugins, plugin: str, component: object) -> None:
        """Take a component in; should its plugin turn out to be broken, it goes out again.

        Raises:
            PluginError: not a component, or its name is taken (both plugins are named).
        """
        if not isinstance(component, Source | LiveSink | DurableSink):
            raise PluginError(
                f"It brought an object of class {type(component).__name__}, which is no Source, "
                "LiveSink or DurableSink."
            )
        name = component.name
        if name in self.owners:
            raise PluginError(
                f"The component {name!r} is brought by plugin {self.owners[name]!r} and by "
                f"plugin {plugin!r}; disable one of them in [plugins] disabled."
            )
        self.owners[name] = plugin
        if isinstance(component, Source):
            self.sources[name], kind = component, "sources"
        elif isinstance(component, LiveSink):
            self.live_sinks[name], kind = component, "live_sinks"
        else:
            self.durable_sinks[name], kind = component, "durable_sinks"
        plugins.contributed(plugin, kind, name, undo=lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        self.owners.pop(name, None)
        self.sources.pop(name, None)
        self.live_sinks.pop(name, None)
        self.durable_sinks.pop(name, None)


def collect_components(hub: Hub) -> Components:
    """Ask every plugin for its sources and sinks; a broken one is reported and left out."""
    components = Components()
    for hook in ("hookhub_sources", "hookhub_sinks"):
        for plugin, values in hub.plugins.collect(hook, hub=hub):
            try:
                for value in values:
                    components.add(hub.plugins, plugin, value)
            except Exception as error:
                hub.plugins.failed(plugin, error)
    return components


async def migrate_components(components: Components, plugins: Plugins, store: Store) -> None:
    """Bring the tables of all components up to date; one that fails takes its plugin out."""
    for component in list(components):
        plugin = components.owners.get(component.name)
        if plugin is None:
            continue
        try:
            steps = component.migrations()
            if steps:
                await store.migrate(component.name, steps)
        except StoreUnavailable:
            raise
        except Exception as error:
            plugins.failed(plugin, error)


async def supervise(component: Component, components: Components, plugins: Plugins) -> None:
    """Run a component's background work; log, pause and restart it when it fails."""
    pause = RESTART_FIRST
    while True:
        began = trio.current_time()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(_run, component)
                _note(component, components, plugins, None)
            return
        except Exception as error:
            if trio.current_time() - began > HEALTHY_AFTER:
                pause = RESTART_FIRST
            _note(component, components, plugins, _message(error))
            log.exception("component.failed", component=component.name, restart_in=pause)
            await trio.sleep(pause)
            pause = min(pause * 2, RESTART_MAX)


def _note(
    component: Component, components: Components, plugins: Plugins, error: str | None
) -> None:
    if error is None:
        components.failing.pop(component.name, None)
    else:
        components.failing[component.name] = error
    plugin = components.owners.get(component.name)
    if plugin is not None:
        plugins.troubled(plugin, error)


async def _run(component: Component, task_status: trio.TaskStatus[None]) -> None:
    await component.run(task_status)


def _message(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
