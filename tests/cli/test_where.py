"""Commands of the database here and of a hub elsewhere: which is meant, and that both do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from hookhub.cli.shared.remote import Given, Profile, Profiles, Remote, save_profiles
from hookhub.cli.shared.where import Here, choose
from hookhub.testing.hub_process import HubProcess

Run = Callable[..., Result]

WORK = "https://work"
REMEMBERED = Profiles({"work": Profile(WORK, "w")}, current="work")
FILE = Path("some.toml")


@pytest.mark.parametrize(
    ("config", "named", "line", "environ", "expected"),
    [
        (None, False, Given("http://x", "t"), Given(), Remote("http://x", "t")),
        (None, False, Given(), Given("http://x", "t"), Remote("http://x", "t")),
        (None, False, Given(profile="work"), Given(), Remote(WORK, "w")),
        (None, False, Given(), Given(), Remote(WORK, "w")),
        (FILE, True, Given(), Given("http://x", "t"), Here(FILE)),
        (FILE, False, Given(), Given("http://x", "t"), Remote("http://x", "t")),
        (FILE, False, Given(), Given(), Here(FILE)),
    ],
)
def test_what_is_nearer_counts(
    config: Path | None, named: bool, line: Given, environ: Given, expected: Here | Remote
) -> None:
    """Command line, then environment, then what is here, then what `login` remembers."""
    assert choose(config, named, line, environ, lambda: REMEMBERED) == expected


@pytest.mark.parametrize("name", ["hookhub.toml", "hookhub.db"])
def test_a_hub_that_is_here_comes_before_a_remembered_one(name: str) -> None:
    """Who looks after a hub means that one; a profile that is asked for counts all the same."""
    Path(name).touch()
    assert choose(None, False, Given(), Given(), lambda: REMEMBERED) == Here()
    named = Given(profile="work")
    assert choose(None, False, named, Given(), lambda: REMEMBERED) == Remote(WORK, "w")


def test_settings_in_the_environment_are_a_hub_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is configured by its environment alone."""
    monkeypatch.setenv("HOOKHUB_DATABASE__URL", "sqlite:///elsewhere.db")
    assert choose(None, False, Given(), Given(), lambda: REMEMBERED) == Here()


def test_without_anything_it_is_here() -> None:
    """No profile, no configuration: the defaults."""
    assert choose(None, False, Given(), Given(), Profiles) == Here()


def test_both_at_once_is_refused(run: Run) -> None:
    """--config and --url contradict each other; exit status 2."""
    with pytest.raises(click.UsageError, match="Give one or the other"):
        choose(FILE, True, Given(token="t"), Given())
    assert run("token", "list", "--config", "x.toml", "--url", "http://x").exit_code == 2


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for this module."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


@pytest.fixture
def ask(run: Run, hub: HubProcess) -> Run:
    """``ask("token", "list")``: that command to the hub, by a profile that is remembered."""
    save_profiles(Profiles({"default": Profile(hub.url, hub.token)}))
    return run


def test_tokens_of_a_hub_elsewhere(ask: Run, run: Run, hub: HubProcess) -> None:
    """Made, listed, revoked by name over REST; nothing is made in the working directory."""
    made = ask("token", "create", "--name", "far", "--scope", "events:read", "--expires", "1d")
    assert made.exit_code == 0, made.output
    assert f"at {hub.url} may events:read" in made.stderr
    secret = made.stdout.strip()
    items = json.loads(ask("token", "list", "--json").stdout)["items"]
    [item] = [item for item in items if item["name"] == "far"]
    assert item["state"] == "active"
    assert secret.startswith(item["prefix"])
    assert secret not in ask("token", "list").output
    refused = run("token", "list", "--url", hub.url, "--token", secret)
    assert refused.exit_code == 1
    assert "admin" in refused.stderr
    revoked = ask("token", "revoke", "far")
    assert revoked.stdout == f"Token 'far' (id {item['id']}) at {hub.url} is revoked.\n"
    assert run("event-types", "--url", hub.url, "--token", secret).exit_code == 1
    assert "There is no token 'nobody'" in ask("token", "revoke", "nobody").stderr
    again = ask("token", "create", "--name", "far", "--scope", "admin")
    assert (again.exit_code, again.stdout) == (1, "")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", ["token list", "audit", "plugins", "event-types"])
def test_both_ways_answer_alike(ask: Run, hub: HubProcess, command: str) -> None:
    """The same members, whether the database is looked at or the hub is asked."""
    there = json.loads(ask(*command.split(), "--json").stdout)
    here = json.loads(hub.run(*command.split(), "--json").stdout)
    assert there.keys() == here.keys()
    if "items" in there:
        keys = [sorted(item.keys() - {"traceback"}) for item in here["items"]]
        assert [sorted(item) for item in there["items"]] == keys
        names = [[item["name"] for item in found["items"]] for found in (there, here)]
        assert names[0] == names[1]
    assert ask(*command.split()).stdout.splitlines()[0]


def test_an_audit_of_a_period(ask: Run) -> None:
    """The period goes to the hub: a span back from now, or a time."""
    found = json.loads(ask("audit", "--json", "--since", "0s").stdout)
    assert (found["ok"], found["events"]) == (True, 0)


def test_a_hub_that_is_away_is_told(run: Run) -> None:
    """Where it asked; no traceback, no database made instead."""
    result = run("audit", "--url", "http://127.0.0.1:9", "--token", "t")
    assert result.exit_code == 1
    assert "No answer from http://127.0.0.1:9 to GET /audit" in result.stderr
    assert not list(Path().iterdir())
