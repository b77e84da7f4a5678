"""Fixtures for tests of hookhub and of plugins.

In the top ``conftest.py``::

    pytest_plugins = ["hookhub.testing.fixtures"]

Override ``hub_database``, ``hub_settings`` or ``hub_plugins`` to have another hub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import Started
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.postgres import PostgresCluster, running_cluster
from hookhub.testing.serving import client_of, serving, settings_for_tests, sqlite_url

# Their asserts stand outside test modules and shall explain themselves all the same.
pytest.register_assert_rewrite("hookhub.testing.conformance")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known where no settings name it, and keep tracebacks plain."""
    config.addinivalue_line("markers", "postgres: needs a PostgreSQL server")
    # What structlog prints of an error unasked walks through all local values, which other
    # threads change meanwhile.
    processors = structlog.get_config()["processors"][:-1]
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*processors, plain])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses PostgreSQL, so that ``-m postgres`` finds it."""
    for item in items:
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)


# -- databases -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """One PostgreSQL server of our own for the whole run."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database; it is dropped at the end."""
    url = postgres_cluster.new_database()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database: the test runs once for each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


# -- a hub in this process -------------------------------------------------------------------


@pytest.fixture
def hub_database(tmp_path: Path) -> str:
    """The URL of the hub's database: SQLite, unless overridden."""
    return sqlite_url(tmp_path)


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """The hub's settings: a free port, an admin token, the loopback interface may be called."""
    return Settings.model_validate(settings_for_tests(hub_database))


@pytest.fixture
def hub_plugins() -> Plugins | None:
    """The hub's plugins; None for all that are installed."""
    return None


@pytest.fixture
async def hub_server(hub_settings: Settings, hub_plugins: Plugins | None) -> AsyncIterator[Started]:
    """A hub that serves HTTP on a free port, in the test's own Trio run."""
    async with serving(hub_settings, hub_plugins) as started:
        yield started


@pytest.fixture
async def hub(hub_server: Started) -> Hub:
    """The hub itself."""
    return hub_server.hub


@pytest.fixture
async def api(hub_server: Started) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of that hub with an admin token."""
    async with client_of(hub_server) as client:
        yield client


# -- a hub in a process of its own -----------------------------------------------------------

StartHub = Callable[..., HubProcess]


@pytest.fixture
def start_hub(tmp_path: Path) -> Iterator[StartHub]:
    """``start_hub(settings=None, env=None)``: a started :class:`HubProcess`, killed at the end."""
    with ExitStack() as stack:

        def start(
            settings: Mapping[str, Mapping[str, Any]] | None = None,
            env: Mapping[str, str] | None = None,
        ) -> HubProcess:
            return stack.enter_context(HubProcess(tmp_path, settings, env=env))

        yield start


@pytest.fixture
def hub_process(start_hub: StartHub, hub_database: str) -> HubProcess:
    """A started hub in a process of its own."""
    return start_hub({"database": {"url": hub_database}})
