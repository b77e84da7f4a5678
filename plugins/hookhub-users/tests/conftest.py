"""The hub that the tests use: this plugin and no other, on every kind of database."""

from __future__ import annotations

import pytest

import hookhub_users
from hookhub.config import Settings
from hookhub.plugins import Plugins


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Tests that use a hub run on SQLite and on PostgreSQL."""
    return any_database


@pytest.fixture
def hub_plugins(hub_settings: Settings) -> Plugins:
    """Nothing else is installed: the plugin needs no other."""
    return Plugins.load(hub_settings.plugins, [("users", hookhub_users)], installed=())
