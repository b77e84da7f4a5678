"""Commands that look at the settings, the plugins and the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
Install = Callable[[str, str], None]


def test_wrong_settings_stop_a_command(run: Run) -> None:
    """The mistake is told with its place; the exit status is 1."""
    Path("hub.toml").write_text("[server]\nbnid = 1\n")
    result = run("migrate", "--config", "hub.toml")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: hub.toml, line 2: [server] bnid is unknown; did you mean 'bind'?\n"
    )
    result = run("migrate", env={"HOOKHUB_CONFIG": "missing.toml"})
    assert "There is no configuration file 'missing.toml'" in result.stderr


def test_event_types(run: Run, greet: None) -> None:
    """A line for each type; with --json also its schema and example."""
    result = run("event-types")
    assert "demo.greeting" in result.stdout
    assert "Somebody says hello." in result.stdout
    data = json.loads(run("event-types", "--json").stdout)
    [item] = [item for item in data["items"] if item["name"] == "demo.greeting"]
    assert data["total"] == len(data["items"])
    assert item["plugin"] == "greet"
    assert item["example"] == {"text": "hello"}
    assert item["schema"]["properties"]["text"] == {"title": "Text", "type": "string"}


def test_plugins(run: Run, greet: None) -> None:
    """Name, version, distribution and contributions of every plugin."""
    line = next(line for line in run("plugins").stdout.splitlines() if "greet" in line)
    assert line.split()[:3] == ["greet", "1.5", "cli-test-greet"]
    assert line.split()[4] == "ms"
    items = json.loads(run("plugins", "--json").stdout)["items"]
    [item] = [item for item in items if item["name"] == "greet"]
    assert 0 < item.pop("load_seconds") < 20
    assert item == {
        "name": "greet",
        "version": "1.5",
        "distribution": "cli-test-greet",
        "contributes": {"commands": ["greet"], "event_types": ["demo.greeting"]},
        "error": None,
        "traceback": None,
        "disabled": False,
    }
    assert not list(Path().iterdir()), "looking at plugins opens no database"


def test_plugins_shows_what_is_wrong(run: Run, greet: None, install: Install) -> None:
    """A broken plugin is named with its error; --traceback shows where it comes from."""
    install("broken", "import nothing_of_that_name\n")
    Path("hookhub.toml").write_text("[plugins]\ndisabled = ['greet', 'greeet']\n")
    result = run("plugins", "--traceback")
    assert result.exit_code == 0
    assert "ERROR: ModuleNotFoundError: No module named 'nothing_of_that_name'" in result.stdout
    assert "(disabled)" in result.stdout
    assert "Plugin 'broken' is broken and left out: ModuleNotFoundError" in result.stderr
    assert "Traceback (most recent call last)" in result.stderr
    assert "disabled names the plugin 'greeet', which is not installed" in result.stderr
    assert "Traceback" not in run("plugins").stderr


@pytest.mark.parametrize("name", ["broken", "absent"])
def test_plugins_fails_without_a_required_one(run: Run, install: Install, name: str) -> None:
    """All plugins are shown; then the exit status says that a hub would not start."""
    install("broken", "import nothing_of_that_name\n")
    result = run("plugins", env={"HOOKHUB_PLUGINS__REQUIRED": f'["{name}"]'})
    assert result.exit_code == 1
    assert "broken" in result.stdout
    assert f"The required plugin '{name}' is " in result.stderr


def test_migrate(run: Run, install: Install) -> None:
    """The tables of the core and of every plugin's components; a second time does nothing."""
    install(
        "tabled",
        "from hookhub import Migration, Source, hookimpl\n"
        "class Tabled(Source):\n"
        "    name = 'tabled'\n"
        "    def migrations(self):\n"
        "        return [Migration(1, 'first', ('CREATE TABLE tabled (id {pk})',))]\n"
        "@hookimpl\n"
        "def hookhub_sources(hub): return [Tabled()]\n",
    )
    items = json.loads(run("migrate", "--json").stdout)["items"]
    assert items[0]["component"] == "hookhub"
    assert {"component": "tabled", "version": 1, "name": "first"} in items
    again = run("migrate")
    assert again.exit_code == 0
    assert again.stdout == "All is up to date.\n"


def test_migrate_refuses_what_is_no_database(run: Run) -> None:
    """A file that is something else is left as it is, and named."""
    Path("notes.txt").write_text("Buy milk. " * 1000)
    result = run("migrate", env={"HOOKHUB_DATABASE__URL": "sqlite:///notes.txt"})
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "notes.txt" in result.stderr
    assert Path("notes.txt").read_text() == "Buy milk. " * 1000


def test_a_token_is_made_shown_once_and_revoked(run: Run) -> None:
    """stdout is the token alone, for scripts; lists show only its beginning."""
    made = run("token", "create", "--name", "ci", "--scope", "events:write", "--expires", "30d")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("hh_")
    assert "Token 'ci' (id 1) may events:write." in made.stderr
    [item] = json.loads(run("token", "list", "--json").stdout)["items"]
    assert item["name"] == "ci"
    assert item["state"] == "active"
    assert item["scopes"] == ["events:write"]
    assert item["expires_at"] > item["created_at"]
    assert secret not in run("token", "list", "--json").stdout
    assert secret.startswith(item["prefix"])
    assert run("token", "revoke", "ci").stdout == "Token 'ci' (id 1) is revoked.\n"
    line = run("token", "list").stdout.splitlines()[1]
    assert line.split()[:5] == ["1", "ci", item["prefix"], "events:write", "revoked"]


def test_a_token_as_json(run: Run) -> None:
    """--json has the token among its properties, and scopes given twice once."""
    scopes = ("--scope", "admin", "--scope", "events:read", "--scope", "admin")
    made = json.loads(run("token", "create", "--json", "--name", "x", *scopes).stdout)
    assert made["token"].startswith("hh_")
    assert made["scopes"] == ["admin", "events:read"]
    revoked = json.loads(run("token", "revoke", str(made["id"]), "--json").stdout)
    assert revoked["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("create", "--name", "x"), 2, "Missing option '--scope'"),
        (("create", "--name", "x", "--scope", "root"), 2, "'root' is not one of"),
        (("create", "--name", "x", "--scope", "admin", "--expires", "soon"), 2, "neither a span"),
        (("create", "--name", "x", "--scope", "admin", "--expires", "2020-01-01"), 2, "is over"),
        (("create", "--name", "x", "--scope", "admin", "--expires", "999999w"), 2, "neither a"),
        (("revoke", "nobody"), 1, "There is no token 'nobody'"),
        (("create", "--name", "taken", "--scope", "admin"), 1, "'taken' exists already"),
    ],
)
def test_a_wrong_token_command_is_explained(
    run: Run, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    """Wrong usage is 2, what the hub refuses is 1; nothing is printed on stdout."""
    run("token", "create", "--name", "taken", "--scope", "admin")
    result = run("token", *arguments)
    assert result.exit_code == status
    assert expected in result.stderr
    assert result.stdout == ""
