"""``--json``: on every command, and what it prints is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import Result

from hookhub.cli import main
from hookhub.testing.hub_process import HubProcess

Run = Callable[..., Result]

WITHOUT = {
    "hookhub completion": "prints what a shell reads",
    "hookhub demo": "plays for a person, until it is ended",
    "hookhub serve": "prints its log, as [log] format says",
}


def commands(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    ctx = click.Context(command, parent, name)
    for child in command.list_commands(ctx):
        found = command.get_command(ctx, child)
        assert found is not None
        yield from commands(found, f"{name} {child}", ctx)


def test_every_command_has_it() -> None:
    """But for those that have nothing to say to a program."""
    found = dict(commands(main, "hookhub"))
    assert len(found) > len(WITHOUT)
    without = {
        name
        for name, command in found.items()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without == set(WITHOUT)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


def test_profiles(run: Run, hub: HubProcess) -> None:
    """What was kept, chosen, forgotten; never the token."""
    made = run("login", hub.url, "--profile", "a", "--json", input=hub.token)
    found = json.loads(made.stdout)
    assert found.pop("path").endswith("profiles.toml")
    assert found == {"name": "a", "url": hub.url, "current": True}
    run("login", hub.url, "--profile", "b", input=hub.token)
    assert json.loads(run("profile", "use", "a", "--json").stdout) == found
    gone = json.loads(run("profile", "delete", "a", "--json").stdout)
    assert gone == {"name": "a", "url": hub.url, "current": False}


def test_a_webhook_that_is_deleted(run: Run, hub: HubProcess) -> None:
    """It is printed as it was, without its secret."""
    pytest.importorskip("hookhub_webhook")
    env = {"HOOKHUB_URL": hub.url, "HOOKHUB_TOKEN": hub.token}
    new = ("webhook", "create", "shop", "http://127.0.0.1:9/", "--events", "*", "--json")
    secret = json.loads(run(*new, env=env).stdout)["secret"]
    gone = run("webhook", "delete", "shop", "--yes", "--json", env=env)
    assert json.loads(gone.stdout)["name"] == "shop"
    assert secret not in gone.output
    assert json.loads(run("webhook", "list", "--json", env=env).stdout)["total"] == 0
