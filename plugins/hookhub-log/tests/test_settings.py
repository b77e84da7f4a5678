"""The table ``[plugins.log]``."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.config import PluginsSettings
from hookhub.contracts.errors import ConfigError
from hookhub_log.settings import LogSinkSettings


def test_nothing_is_needed() -> None:
    """Without settings, every event goes to the standard output."""
    settings = LogSinkSettings()
    assert settings.file is None
    assert settings.events == ["*"]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"fil": "events.jsonl"}, "fil"),
        ({"file": 1}, "file"),
        ({"file": ""}, "file"),
        ({"events": "user.*"}, "events"),
        ({"events": []}, "events"),
        ({"events": ["user.*", "User"]}, "events.1"),
    ],
)
def test_wrong_settings(table: dict[str, Any], key: str) -> None:
    """A wrong setting is named, with what is allowed."""
    with pytest.raises(ConfigError) as refused:
        PluginsSettings(log=table).read("log", LogSinkSettings)
    assert refused.value.detail.startswith(f"[plugins.log] {key}: ")
    assert "file (a path" in refused.value.detail
    assert refused.value.errors[0]["loc"][:2] == ["plugins", "log"]


def test_every_wrong_setting_is_named() -> None:
    """All mistakes are told at once."""
    with pytest.raises(ConfigError, match=r"file: .*; stream: "):
        PluginsSettings(log={"file": 1, "stream": "stdout"}).read("log", LogSinkSettings)
