"""The parts of hookhub.testing that are not suites."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookhub.hub import Hub
from hookhub.testing.hub_process import HubFailed, HubProcess, to_toml
from hookhub.testing.machine import VARIABLE, find_program, missing
from hookhub.testing.postgres import PostgresCluster
from hookhub.testing.waiting import wait_until, wait_until_async


def test_settings_survive_toml() -> None:
    """Whatever settings hold reads back equal."""
    settings: dict[str, Any] = {
        "top": True,
        "server": {"bind": "127.0.0.1:0", "text": 'quote " slash \\ é 🙂 \n', "none": None},
        "delivery": {"retry_schedule": [0.1, 5, 1e22], "x": {"deep": {"er": []}}},
        "plugins": {"disabled": ["a", "b"], "log": {"stream": "stdout"}, "odd name": {"a.b": 1}},
    }
    del (expected := {**settings, "server": dict(settings["server"])})["server"]["none"]
    assert tomllib.loads(to_toml(settings)) == expected


def test_a_missing_service_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable a missing service skips; with it, it fails."""
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(pytest.skip.Exception, match="node is missing"):
        find_program("node", "no-such-program-as-this")
    monkeypatch.setenv(VARIABLE, "postgres, node")
    with pytest.raises(pytest.fail.Exception, match="Get it"):
        missing("node", "Get it.")


def test_waiting_ends_with_the_last_result() -> None:
    """What never became true is shown as it last was."""
    assert wait_until(lambda: 5, 0) == 5
    with pytest.raises(AssertionError, match=r"after 0\.05 s.*\[\]"):
        wait_until(list, 0.05)


async def test_waiting_in_trio(autojump_clock: Any) -> None:
    """The asynchronous form goes by Trio's clock."""

    async def never() -> str:
        return ""

    with pytest.raises(AssertionError, match="after 60 s"):
        await wait_until_async(never, 60)


def test_a_hub_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A failed start raises with what the hub printed, and leaves no process."""
    hub = HubProcess(tmp_path, {"server": {"bnd": "x"}})
    with pytest.raises(HubFailed, match=r"(?s)ended with status 1.*bnd"):
        hub.start()
    with pytest.raises(AssertionError, match="not running"):
        _ = hub.pid


def test_a_hub_starts_stops_and_restarts(tmp_path: Path) -> None:
    """The same address answers after each start; a stop is orderly and leaves nothing."""
    with HubProcess(tmp_path) as hub:
        for _ in range(2):
            with hub.client() as http:
                assert http.get("/health/live").status_code == 200
            assert "hub.started" in hub.wait_line("hub.started")
            hub.restart()
        assert hub.terminate() == 0
        with hub.client() as http, pytest.raises(httpx.ConnectError):
            http.get("/health/live")


@pytest.mark.postgres
def test_a_postgres_of_our_own(postgres_cluster: PostgresCluster, postgres_url: str) -> None:
    """Databases are new and apart from each other, and one that is dropped is gone."""
    import psycopg

    other = postgres_cluster.new_database()
    assert other != postgres_url
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE here (id INTEGER)")
    with psycopg.connect(other) as connection:
        found = connection.execute("SELECT to_regclass('here')").fetchone()
        assert found == (None,)
    postgres_cluster.drop_database(other)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(other)


async def test_the_hub_fixtures_are_one_hub(hub: Hub, api: httpx.AsyncClient) -> None:
    """What is emitted in Python is seen over HTTP: both fixtures hold the same, real hub."""
    accepted = await hub.emit("user.created", {"user_id": 1})
    response = await api.get(f"/events/{accepted.id}")
    assert response.status_code == 200, response.text
    assert response.json()["payload"] == {"user_id": 1}
