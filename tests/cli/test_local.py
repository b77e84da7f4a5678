"""Commands that only look: they make nothing, and say what to do where there is nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from click.testing import Result

from hookhub.config import DatabaseSettings
from hookhub.store import open_store

Run = Callable[..., Result]


@pytest.mark.parametrize(
    "command", ["audit", "token list", "token revoke x", "event-types", "plugins", "check"]
)
def test_reading_makes_no_database(run: Run, command: str) -> None:
    """An empty directory is empty afterwards."""
    run(*command.split())
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", ["audit", "token list", "token revoke x"])
def test_a_missing_database_is_told(run: Run, command: str) -> None:
    """What is missing, and what makes it; exit status 1."""
    result = run(*command.split())
    assert result.exit_code == 1
    assert "There is no database hookhub.db. 'hookhub serve' makes it" in result.stderr


def test_reencrypt_makes_no_database(run: Run) -> None:
    """A key alone is no reason to make one."""
    result = run("reencrypt", env={"HOOKHUB_AUTH__SECRET_KEY": "k" * 32})
    assert result.exit_code == 1
    assert "There is no database hookhub.db" in result.stderr
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", ["audit", "token list"])
def test_reading_migrates_nothing(run: Run, command: str) -> None:
    """An older database stays as it is; the command says what brings it up to date."""
    make = DatabaseSettings()

    async def older() -> None:
        async with open_store(make) as store:
            await store.write(lambda tx: tx.sql("DELETE FROM hookhub_migrations"))

    trio.run(older)
    result = run(*command.split())
    assert result.exit_code == 1
    assert "There are no tables of a hub in sqlite:///hookhub.db yet" in result.stderr

    async def newer() -> None:
        async with open_store(make) as store:
            await store.write(
                lambda tx: tx.sql(
                    "INSERT INTO hookhub_migrations (component, version, name, applied_at) "
                    "VALUES ('hookhub', 99, 'x', 0)"
                )
            )

    Path("hookhub.db").unlink()
    trio.run(newer)
    result = run(*command.split())
    assert result.exit_code == 1
    assert "need a program that knows version 99" in result.stderr


def test_event_types_has_the_hubs_own(run: Run) -> None:
    """The same list as GET /event-types: what the hub itself tells is among it."""
    pytest.importorskip("hookhub_webhook")
    items = json.loads(run("event-types", "--json").stdout)["items"]
    own = {item["name"] for item in items if item["plugin"] == "hookhub"}
    assert {"delivery.failed", "webhook.failing", "webhook.disabled"} <= own
