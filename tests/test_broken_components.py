"""Components that fail at whatever they are asked: named, left out, and the hub lives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

import hookhub
from hookhub import Migration, Route, Source
from hookhub.config import Settings
from hookhub.errors import PluginError
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import Started, open_hub, plugin_routes, serve


def _fail() -> Any:
    raise RuntimeError("boom")


class Routes(Source):
    name = "bad"

    def routes(self) -> Sequence[Route]:
        return _fail()


class NoRoutes(Source):
    name = "bad"

    def routes(self) -> Sequence[Route]:
        return ["GET /nothing"]  # type: ignore[list-item]


class Upgrades(Source):
    name = "bad"

    def upgrades(self) -> Mapping[str, Any]:
        return _fail()


class Migrations(Source):
    name = "bad"

    def migrations(self) -> Sequence[Migration]:
        return _fail()


class Statistics(Source):
    name = "bad"

    def statistics(self) -> Mapping[str, float]:
        return _fail()


class Bringer:
    """A plugin that brings one source."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @hookhub.hookimpl
    def hookhub_sources(self, hub: Hub) -> Iterable[Source]:
        return [self.source]


def settings_of(tmp_path: Path, **plugins: Any) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'hub.db'}"},
            "server": {"bind": "127.0.0.1:0"},
            "plugins": plugins,
        }
    )


@pytest.mark.parametrize("kind", [Routes, NoRoutes, Upgrades, Migrations])
async def test_a_failing_component_is_left_out(tmp_path: Path, kind: type[Source]) -> None:
    """The hub serves; the report names the plugin and why."""
    settings = settings_of(tmp_path)
    plugins = Plugins.load(settings.plugins, [("bringer", Bringer(kind()))], installed=())
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            def started(hub: Started) -> None:
                hub.hub.stopping.set()

            async def run() -> None:
                await serve(settings, started=started, plugins=plugins, handle_signals=False)

            nursery.start_soon(run)
    [report] = plugins.report()
    assert (report.name, report.contributes) == ("bringer", {})
    assert "boom" in str(report.error) or "not Route" in str(report.error)


async def test_a_failing_component_that_is_required_stops_the_start(tmp_path: Path) -> None:
    """With a sentence that names it."""
    settings = settings_of(tmp_path, required=["bringer"])
    plugins = Plugins.load(settings.plugins, [("bringer", Bringer(Routes()))], installed=())
    async with open_hub(settings, plugins) as hub:
        with pytest.raises(PluginError, match=r"bringer.*boom"):
            plugin_routes(hub)


async def test_failing_statistics_take_nobody_elses_away(tmp_path: Path) -> None:
    """The other numbers are there."""
    settings = settings_of(tmp_path)
    plugins = Plugins.load(settings.plugins, [("bringer", Bringer(Statistics()))], installed=())
    async with open_hub(settings, plugins) as hub:
        numbers = hub.statistics()
    assert "store" in numbers
    assert "bad" not in numbers


async def test_nodes_that_start_at_once_agree_on_the_first_token(any_database: str) -> None:
    """One token is made, or the configured one exists once; nobody fails."""
    settings = Settings.model_validate({"database": {"url": any_database}})
    made: list[str | None] = []

    async def node(configured: str | None) -> None:
        plugins = Plugins.load(settings.plugins, (), installed=())
        async with open_hub(settings, plugins) as hub:
            made.append(await hub.tokens.ensure_bootstrap(configured))

    for configured, tokens in ((None, 1), ("a-configured-token", 2)):
        made.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(node, configured)
        assert sum(token is not None for token in made) == (configured is None)
        async with open_hub(settings, Plugins.load(settings.plugins, (), installed=())) as hub:
            assert len(await hub.tokens.list()) == tokens
