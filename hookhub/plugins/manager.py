"""Loads plugins one by one, so that a broken one is named and left out while the rest works.

pluggy would do less: its ``load_setuptools_entrypoints`` stops at the first plugin that cannot be
imported, and a hook call is aborted by the first implementation that raises. So each entry point
is loaded, checked and called by itself, and whatever a plugin had registered before it failed is
taken back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from hookhub.config import PluginsSettings, check_plugin_name
from hookhub.contracts import hookspecs
from hookhub.contracts.errors import ConfigError, PluginError, StoreUnavailable
from hookhub.contracts.hints import did_you_mean
from hookhub.plugins.discovery import GROUP, Loadable, check_requirements, claimed_twice, find
from hookhub.plugins.report import PluginRecord, PluginReport


class Plugins:
    """All plugins of a hub: which there are, what they bring, what is wrong with them.

    Make one with :meth:`load`.
    """

    def __init__(self, settings: PluginsSettings) -> None:
        self._settings = settings
        self._manager = _new_manager()
        self._plugins: dict[str, PluginRecord] = {}

    @classmethod
    def load(
        cls,
        settings: PluginsSettings,
        extra: Sequence[tuple[str, object]] = (),
        *,
        installed: Iterable[EntryPoint] | None = None,
    ) -> Plugins:
        """Load every plugin that is installed and not disabled.

        Args:
            settings: ``[plugins]``.
            extra: further plugins as (name, module or object), for tests and for programs that
                embed a hub; one of these stands in for an installed one of the same name.
            installed: the entry points to take; None for all of the group ``hookhub``.

        Raises:
            PluginError: a plugin of ``[plugins] required`` is missing or broken.
        """
        plugins = cls(settings)
        for name, candidates in sorted(find(extra, installed).items()):
            plugins._add(name, candidates)
        plugins.check_required()
        return plugins

    def _add(self, name: str, candidates: list[Loadable]) -> None:
        first = candidates[0]
        versions = ", ".join(dict.fromkeys(item.version for item in candidates))
        owners = ", ".join(dict.fromkeys(item.distribution for item in candidates))
        plugin = self._plugins[name] = PluginRecord(versions, owners)
        if name in self._settings.disabled:
            plugin.disabled = True
            return
        if len(candidates) > 1:
            self.failed(name, claimed_twice(name, candidates))
            return
        try:
            check_plugin_name(name)
            check_requirements(first)
            with plugin.timed():
                self._register(name, first.load())
        except (Exception, SystemExit) as error:
            self.failed(name, error)

    def _register(self, name: str, plugin: object) -> None:
        """Register a plugin whose hooks are all as they should be."""
        trial = _new_manager()
        trial.register(plugin, name)
        trial.check_pending()
        callers = trial.get_hookcallers(plugin) or []
        if not callers:
            raise PluginError(
                "It has no function marked @hookhub.hookimpl; see hookhub.contracts.hookspecs."
            )
        for implementation in (item for caller in callers for item in caller.get_hookimpls()):
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError("Its hooks are wrappers; hookhub calls plain hooks only.")
            if inspect.iscoroutinefunction(implementation.function):
                raise PluginError("Its hooks are async; hookhub calls synchronous hooks only.")
        self._manager.register(plugin, name)

    def names(self) -> list[str]:
        """The plugins that are in use, sorted."""
        return sorted(name for name, plugin in self._manager.list_name_plugin() if plugin)

    def call(self, plugin: str, hook: str, **arguments: Any) -> list[Any] | None:
        """Call one hook of one plugin.

        Returns:
            What the hook returned as a list (``[]`` for None); None if the plugin has no such
            hook, or if the hook raised: then the plugin has been left out.

        Raises:
            ConfigError: ``[plugins.<name>]`` is wrong; a start stops with it.
        """
        try:
            with self._plugins[plugin].timed():
                return self._call(plugin, hook, arguments)
        except ConfigError:
            # The plugin is fine; what was written into its table is not, and that stops the start.
            raise
        except (Exception, SystemExit) as error:
            self.failed(plugin, error)
            return None

    def _call(self, plugin: str, hook: str, arguments: dict[str, Any]) -> list[Any] | None:
        values: list[Any] | None = None
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name != plugin:
                continue
            taken = {name: arguments[name] for name in implementation.argnames}
            result = implementation.function(**taken)
            if result is not None and (
                isinstance(result, str | bytes) or not isinstance(result, Iterable)
            ):
                raise PluginError(
                    f"Its {hook}() returned {type(result).__name__}; it must return a list."
                )
            values = [*(values or []), *(result or ())]
        return values

    def collect(self, hook: str, **arguments: Any) -> list[tuple[str, list[Any]]]:
        """Call a hook of all plugins, one by one: (plugin, what it returned) for each.

        A plugin whose hook raises is left out and the others are called all the same.

        Raises:
            PluginError: the plugin that raised is required.
        """
        called = [(name, self.call(name, hook, **arguments)) for name in self.names()]
        self.check_required()
        return [(name, values) for name, values in called if values is not None]

    def contributed(
        self, plugin: str, kind: str, name: str, undo: Callable[[], object] | None = None
    ) -> None:
        """Note that something of a plugin was registered.

        Args:
            kind: ``event_types``, ``sources``, ``sinks``, ``commands`` …
            undo: takes it back, should the plugin turn out to be broken.
        """
        found = self._plugins[plugin]
        found.contributes.setdefault(kind, []).append(name)
        if undo is not None:
            found.undo.append(undo)

    def failed(self, plugin: str, error: BaseException | str) -> None:
        """Leave a plugin out because it is broken; what it had registered is taken back."""
        self._plugins[plugin].note(error)
        self._plugins[plugin].take_back()
        if self._manager.has_plugin(plugin):
            self._manager.unregister(name=plugin)

    def troubled(self, plugin: str, error: BaseException | str | None) -> None:
        """Show that a plugin in use has trouble now (a crashed task, say), or, with None, no more.

        Nothing is taken back; :meth:`failed` is for the start.
        """
        self._plugins[plugin].note(error)

    @contextmanager
    def blaming(self, plugin: str) -> Iterator[None]:
        """Leave this plugin out for whatever the block raises.

        Raises:
            ConfigError, StoreUnavailable: no fault of the plugin's; a start stops with it.
        """
        try:
            yield
        except (ConfigError, StoreUnavailable):
            raise
        except (Exception, SystemExit) as error:
            self.failed(plugin, error)

    def check_required(self, required: Iterable[str] | None = None) -> None:
        """Refuse to go on without a required plugin.

        Args:
            required: names; None for ``[plugins] required``.

        Raises:
            PluginError: names every one that is missing or broken, and why.
        """
        names = self._settings.required if required is None else required
        wrong = [text for name in names if (text := self._required_but(name)) is not None]
        if wrong:
            raise PluginError(" ".join(wrong))

    def _required_but(self, name: str) -> str | None:
        found = self._plugins.get(name)
        if found is None:
            return (
                f"The required plugin {name!r} is {self._missing(name)}; install it, or take it "
                "out of [plugins] required."
            )
        return f"The required plugin {name!r} is broken: {found.error}" if found.error else None

    def notices(self) -> list[str]:
        """What is odd but stops nothing: names in the settings that no plugin has."""
        named = [("[plugins] disabled names", name) for name in self._settings.disabled]
        named += [("there are settings for", name) for name in self._settings.tables()]
        known = {spelling for name in self._plugins for spelling in (name, name.replace("-", "_"))}
        return [
            f"{where} the plugin {name!r}, which is {self._missing(name)}"
            for where, name in named
            if name not in known
        ]

    def _missing(self, name: str) -> str:
        return f"not installed{did_you_mean(name, self._plugins)}"

    def report(self) -> list[PluginReport]:
        """All plugins that were found, by name, the disabled and the broken ones too."""
        return [found.report(name) for name, found in sorted(self._plugins.items())]


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager
