"""Which hub is meant: options, the environment, profiles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from hookhub.cli.shared.remote import (
    DEFAULT_URL,
    Given,
    Profile,
    Profiles,
    Remote,
    load_profiles,
    profiles_path,
    resolve,
    save_profiles,
)
from hookhub.contracts.errors import ConfigError
from hookhub.testing.hub_process import HubProcess

Run = Callable[..., Result]

HOME, WORK = "http://home:1", "https://work"
PROFILES = Profiles(
    {
        "home": Profile(HOME, "h"),
        "work": Profile(WORK, "w"),
        "pasted": Profile(f"{HOME}/admin/", "p"),
    },
    current="home",
)


@pytest.mark.parametrize(
    ("line", "environ", "expected"),
    [
        (Given(), Given(), (HOME, "h")),
        (Given(profile="work"), Given(), (WORK, "w")),
        (Given(), Given(profile="work"), (WORK, "w")),
        (Given("http://x", "t"), Given(), ("http://x", "t")),
        (Given(), Given("http://x", "t"), ("http://x", "t")),
        (Given("http://x"), Given("http://y", "t"), ("http://x", "t")),
        (Given(profile="work"), Given("http://x", "t"), (WORK, "w")),
        (Given("http://x", "t"), Given(profile="work"), ("http://x", "t")),
        (Given(token="t"), Given(), (HOME, "t")),
        (Given(f"{HOME}/"), Given(), (HOME, "h")),
        (Given(f"{HOME}/admin/"), Given(), (HOME, "h")),
        (Given("http://x/admin/", "t"), Given(), ("http://x", "t")),
        (Given(), Given("ws://x/ws", "t"), ("http://x", "t")),
        (Given(profile="pasted"), Given(), (HOME, "p")),
        (Given(token="t", profile="work"), Given(), (WORK, "t")),
    ],
)
def test_what_is_nearer_counts(line: Given, environ: Given, expected: tuple[str, str]) -> None:
    """Command line before environment before profile; a named profile before the usual one."""
    assert resolve(line, environ, lambda: PROFILES) == Remote(*expected)


@pytest.mark.parametrize("line", [Given("http://elsewhere"), Given("http://home:2")])
def test_a_profiles_token_goes_to_its_hub_only(line: Given) -> None:
    """Another address needs a token of its own."""
    with pytest.raises(ConfigError, match="There is no token for http://"):
        resolve(line, Given(), lambda: PROFILES)


def test_without_anything_it_is_the_hub_of_this_machine() -> None:
    """The usual address; a token is needed in any case."""
    assert resolve(Given(token="t"), Given(), Profiles) == Remote(DEFAULT_URL, "t")
    with pytest.raises(ConfigError, match="hookhub login"):
        resolve(Given(), Given(), Profiles)
    with pytest.raises(ConfigError, match=r"no profile 'x' \(there are: home, pasted, work\)"):
        resolve(Given(profile="x"), Given(), lambda: PROFILES)


def test_tokens_are_not_in_representations() -> None:
    """What is logged or shown by mistake has no token in it."""
    assert "secret" not in repr(Remote("u", "secret"))
    assert "secret" not in repr(Profile("u", "secret"))
    assert "secret" not in repr(Given(token="secret"))


def test_an_address_that_is_none_goes_nowhere() -> None:
    """Whoever misspells it is told so before anything is sent."""
    for line in (Given("hub.example.org", "t"), Given("hub.example.org", profile="work")):
        with pytest.raises(ConfigError, match=r"write it like http://hub\.example\.org or"):
            resolve(line, Given(), lambda: PROFILES)


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """What was saved is loaded, whatever the names; nobody else may read it."""
    path = tmp_path / "deep" / "profiles.toml"
    saved = Profiles({'a "b"\n': Profile("u", "t\\"), "x.y": Profile("v", "w")}, current="x.y")
    assert save_profiles(saved, path) == path
    assert load_profiles(path) == saved
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert load_profiles(tmp_path / "absent") == Profiles()
    path.write_text("not TOML")
    with pytest.raises(ConfigError, match="is not a file of profiles any more"):
        load_profiles(path)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


def test_login_makes_commands_short(run: Run, hub: HubProcess) -> None:
    """After it, commands need neither address nor token."""
    pytest.importorskip("hookhub_users")
    result = run("login", hub.url, input=f"{hub.token}\n")
    assert result.exit_code == 0, result.output
    assert hub.token not in result.output
    assert profiles_path().stat().st_mode & 0o777 == 0o600
    assert run("send", "user.created", "user_id=1").exit_code == 0
    pasted = run("login", f"{hub.url}/admin/#/live", "--profile", "other", input=hub.token)
    assert pasted.stdout.startswith(f"Logged in to {hub.url} as profile 'other'")
    items = json.loads(run("profile", "list", "--json").stdout)["items"]
    assert [(item["name"], item["current"]) for item in items] == [
        ("default", False),
        ("other", True),
    ]
    assert hub.token not in run("profile", "list").output
    assert run("profile", "use", "default").exit_code == 0
    assert run("profile", "delete", "other").exit_code == 0
    assert list(load_profiles().items) == ["default"]
    assert run("profile", "use", "other").exit_code == 1


def test_login_refuses_a_wrong_token(run: Run, hub: HubProcess) -> None:
    """The hub is asked; nothing is kept that does not work."""
    result = run("login", hub.url, input="hh_wrong\n")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert not profiles_path().exists()
    assert run("login", "not an address", input="t").exit_code == 1
