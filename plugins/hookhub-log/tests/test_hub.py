"""The sink in a hub."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import hookhub_log
from hookhub import EventType, Payload, hookimpl
from hookhub.config import Settings
from hookhub.contracts.errors import ConfigError
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.testing.serving import settings_for_tests, sqlite_url
from hookhub.testing.waiting import wait_until_async


def settings_of(tmp_path: Path, **plugins: Any) -> Settings:
    return Settings.model_validate(settings_for_tests(sqlite_url(tmp_path)) | {"plugins": plugins})


@hookimpl
def hookhub_event_types() -> list[EventType]:
    """A type to send."""
    return [EventType("test.happened", Payload, "Something happened.", {})]


def load(settings: Settings) -> Plugins:
    types = SimpleNamespace(hookhub_event_types=hookhub_event_types)
    extra = [("log", hookhub_log), ("types", types)]
    return Plugins.load(settings.plugins, extra, installed=())


class TestEvents:
    """With a file in the settings."""

    @pytest.fixture
    def hub_settings(self, tmp_path: Path) -> Settings:
        return settings_of(tmp_path, log={"file": str(tmp_path / "events.jsonl")})

    @pytest.fixture
    def hub_plugins(self, hub_settings: Settings) -> Plugins:
        return load(hub_settings)

    async def test_committed_events_are_written(self, hub: Hub, tmp_path: Path) -> None:
        """What is committed is written."""
        accepted = await hub.emit("test.happened", {"name": "Анна"})
        file = trio.Path(tmp_path / "events.jsonl")

        async def text() -> str:
            return await file.read_text() if await file.exists() else ""

        line = json.loads(await wait_until_async(text))
        assert (line["id"], line["payload"]) == (accepted.id, {"name": "Анна"})


def test_entry_point() -> None:
    """The hub finds the plugin by its entry point."""
    (found,) = entry_points(group="hookhub", name="log")
    assert found.load() is hookhub_log


async def test_wrong_setting(tmp_path: Path) -> None:
    """A misspelt key stops the start: what it was meant to do would not be done."""
    settings = settings_of(tmp_path, log={"fil": "events.jsonl"})
    with pytest.raises(ConfigError, match=r"\[plugins.log\] fil:"):
        async with open_hub(settings, load(settings)):
            pytest.fail("the hub started")
