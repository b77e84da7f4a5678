"""The engine under test stands in a module of its own beside the tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookhub.config import DatabaseSettings
from hookhub.store import Store, open_store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened
