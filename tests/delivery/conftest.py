"""The store that the engine under test has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hookhub.config import DatabaseSettings
from hookhub.store import Store, open_store


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened
