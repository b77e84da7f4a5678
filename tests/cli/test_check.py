"""``hookhub check``: each thing it looks at, well and unwell."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import Result

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft
from hookhub.secretbox import SecretBox
from hookhub.store import Transaction, open_store
from hookhub.store.units.endpoints import insert_endpoint
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port

Run = Callable[..., Result]
Install = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else listens on this machine."""
    monkeypatch.setenv("HOOKHUB_SERVER__BIND", f"127.0.0.1:{free_port()}")


def write(unit: Callable[[Transaction], object], *keys: str) -> None:
    """Change the database."""

    async def main() -> None:
        async with open_store(DatabaseSettings(), box=SecretBox(keys)) as store:
            await store.write(unit)

    trio.run(main)


def found(run: Run, **env: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and findings that are not well."""
    result = run("check", "--json", env=env)
    data = json.loads(result.stdout)
    assert data["ok"] == (result.exit_code == 0)
    return result.exit_code, [item for item in data["items"] if item["state"] not in ("ok", "info")]


def messages(items: list[dict[str, Any]], check: str, state: str) -> str:
    """What was said about one thing, and what to do."""
    return " ".join(
        f"{item['message']} {item['advice']}"
        for item in items
        if (item["check"], item["state"]) == (check, state)
    )


def test_an_empty_directory_is_fine(run: Run) -> None:
    """One line for each thing; everything can start there, and nothing is made."""
    result = run("check")
    assert result.exit_code == 0, result.output
    for name in ("configuration", "server", "database", "plugins", "egress", "clock"):
        assert any(line[2:].startswith(name) for line in result.stdout.splitlines())
    assert "hookhub.db will be made at the first start" in result.stdout
    assert not list(Path().iterdir())


def test_a_wrong_configuration(run: Run) -> None:
    """Its mistakes are the finding; nothing else can be looked at."""
    Path("hookhub.toml").write_text("[server]\nbnid = 1\n")
    status, items = found(run)
    assert status == 1
    assert "did you mean 'bind'?" in messages(items, "configuration", "error")


def test_secrets_that_others_may_read(run: Run) -> None:
    """A file with a key in it is its owner's alone."""
    Path("hookhub.toml").write_text(f"[auth]\nsecret_key = '{'k' * 32}'\n")
    Path("hookhub.toml").chmod(0o644)
    status, items = found(run)
    assert status == 0
    assert "chmod 600 hookhub.toml" in messages(items, "configuration", "warning")


def test_an_address_in_use(run: Run) -> None:
    """Named, with what finds the program that has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # It takes connections and says nothing: no hub answers like that.
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, items = found(run, HOOKHUB_SERVER__BIND=address)
    assert status == 1
    assert f"A hub cannot listen on {address}" in messages(items, "server", "error")


def test_a_running_hub_is_recognised(tmp_path: Path) -> None:
    """Its address is not in use by somebody else, and it says whether it is ready."""
    with HubProcess(tmp_path) as hub:
        result = hub.run("check")
    assert result.returncode == 0, result.stdout
    assert f"A hub runs at 127.0.0.1:{hub.port} and is ready." in result.stdout


def test_a_file_that_is_no_database(run: Run) -> None:
    """What it is instead, and what to do."""
    Path("hookhub.db").write_text("Buy milk. " * 1000)
    status, items = found(run)
    assert status == 1
    assert "not an SQLite database" in messages(items, "database", "error")


def test_a_directory_that_is_missing(run: Run) -> None:
    """The command that makes it."""
    status, items = found(run, HOOKHUB_DATABASE__URL="sqlite:///data/hookhub.db")
    assert status == 1
    assert "mkdir -p" in messages(items, "database", "error")


def test_secrets_that_no_key_opens(run: Run) -> None:
    """A hub would not start; which setting it is about is said."""
    new = NewEndpoint("one", ("*",), {}, secret="the-secret-of-a-webhook")
    write(lambda tx: insert_endpoint(tx, "webhook", new), "k" * 32)
    status, items = found(run)
    assert status == 1
    assert "[auth] secret_key is not set" in messages(items, "database", "error")


def test_a_database_without_a_token(run: Run) -> None:
    """Nobody could use the hub; what makes one is said."""
    write(lambda tx: None)
    status, items = found(run)
    assert status == 0
    assert "hookhub token create" in messages(items, "database", "warning")


def test_plugins_that_are_broken_or_missing(run: Run, install: Install) -> None:
    """A warning, or an error if the configuration requires it."""
    install("broken", "import nothing_of_that_name\n")
    status, items = found(run)
    assert status == 0
    assert "broken is broken and left out" in messages(items, "plugins", "warning")
    status, items = found(run, HOOKHUB_PLUGINS__REQUIRED='["broken", "absent"]')
    assert status == 1
    assert "broken is broken" in messages(items, "plugins", "error")


def test_webhooks_that_may_no_longer_be_called(run: Run) -> None:
    """Networks can be taken away after a webhook was made: it is named, with the setting."""
    pytest.importorskip("hookhub_webhook")
    config = {"url": "http://127.0.0.1:9/", "format": "payload", "headers": {}}
    write(lambda tx: insert_endpoint(tx, "webhook", NewEndpoint("local", ("*",), config)))
    write(lambda tx: insert_endpoint(tx, "pigeon", NewEndpoint("far", ("*",), {})))
    _, items = found(run)
    text = messages(items, "egress", "warning")
    assert "webhook 1 (local): 127.0.0.1 is a loopback address" in text
    assert "pigeon 2 (far): no plugin brings the sink 'pigeon'" in text
    _, items = found(run, HOOKHUB_EGRESS__ALLOW='["127.0.0.0/8"]')
    assert "loopback" not in messages(items, "egress", "warning")


def test_a_guard_that_guards_nothing(run: Run) -> None:
    """Every network allowed is worth a warning."""
    _, items = found(run, HOOKHUB_EGRESS__ALLOW='["0.0.0.0/0"]')
    assert "[egress] allow has 0.0.0.0/0" in messages(items, "egress", "warning")


def test_a_clock_that_was_set_back(run: Run) -> None:
    """Events of the future tell of it."""
    ahead = time.time_ns() // 1000 + 3_600_000_000
    write(lambda tx: tx.append(Draft("e1", "a.b", "{}", ahead)))
    _, items = found(run)
    said = messages(items, "clock", "warning")
    assert re.search(r"The newest event is 3[56]\d\d s in the future", said)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_rights(run: Run) -> None:
    """The hub could not make its database."""
    Path("data").mkdir(mode=0o500)
    status, items = found(run, HOOKHUB_DATABASE__URL="sqlite:///data/hookhub.db")
    assert status == 1
    assert "no right to make it" in messages(items, "database", "error")


def test_on_postgresql(run: Run, postgres_url: str) -> None:
    """Empty tables are told; once migrated, all is well but for a token."""
    env = {"HOOKHUB_DATABASE__URL": postgres_url}
    status, items = found(run, **env)
    assert status == 0
    assert "There are no tables of a hub" in messages(items, "database", "warning")
    assert run("migrate", env=env).exit_code == 0
    status, items = found(run, **env)
    assert status == 0
    assert "There is no token that is good." in messages(items, "database", "warning")
