"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hookhub.config import DatabaseSettings
from hookhub.store import Store, open_store


@pytest.fixture
def settings(any_database: str) -> DatabaseSettings:
    """An empty database."""
    return DatabaseSettings(url=any_database)


@pytest.fixture
async def store(settings: DatabaseSettings) -> AsyncIterator[Store]:
    """An open store."""
    async with open_store(settings) as opened:
        yield opened
