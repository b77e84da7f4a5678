"""``hookhub login`` and ``hookhub profile``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import note, print_json, print_result, print_table
from hookhub.cli.shared.remote import (
    DEFAULT,
    DEFAULT_URL,
    TIMEOUT,
    Profile,
    Profiles,
    load_profiles,
    profiles_path,
    save_profiles,
)
from hookhub.contracts.errors import Forbidden

if TYPE_CHECKING:
    from hookhub.client import Client


@click.command("login")
@click.argument("url", default=DEFAULT_URL)
@click.option(
    "--profile", "name", default=DEFAULT, show_default=True, help="Under which name to remember it."
)
@json_option
def login(url: str, name: str, as_json: bool) -> None:
    """Remember a hub's address and token, so that commands need neither.

    Asks for the token, or reads it from stdin if that is no terminal. The hub must take it; then
    it is kept in a file that only you can read. The profile is the one that commands use from now
    on.

    \b
    Examples:
      hookhub login
      hookhub login https://hub.example.org --profile work
      hookhub token create --name me --scope admin | hookhub login
    """
    from hookhub.client import Client
    from hookhub.client.address import hub_address

    url = hub_address(url)
    if sys.stdin.isatty():
        token = click.prompt(f"Token for {url}", hide_input=True, err=True)
    else:
        token = sys.stdin.readline()
    token = token.strip()
    with Client(url, token, timeout=TIMEOUT, retries=1) as client:
        _try(client)
        kept = Profile(client.url, token)
    profiles = load_profiles()
    profiles.items[name] = kept
    profiles.current = name
    path = save_profiles(profiles)
    told = f"Logged in to {kept.url} as profile {name!r}, kept in {path}."
    print_result({**_shown(profiles, name), "path": str(path)}, told, as_json=as_json)


def _try(client: Client) -> None:
    """Raises Unauthorized if the hub does not know the token."""
    try:
        client.call("GET", "/event-types")
    except Forbidden:
        note("The token is good, but it may not read events (scope events:read).")


@click.group("profile")
def profile() -> None:
    """List, choose and forget the hubs that 'hookhub login' remembers."""


@profile.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the profiles, without their tokens; * is the one that commands use.

    \b
    Example:
      hookhub profile list
    """
    profiles = load_profiles()
    items = [_shown(profiles, name) for name in sorted(profiles.items)]
    if as_json:
        print_json({"items": items, "path": str(profiles_path())})
        return
    if not items:
        note("There is no profile yet; 'hookhub login URL' makes one.")
        return
    print_table(
        ("", "NAME", "URL"),
        [("*" if item["current"] else "", item["name"], item["url"]) for item in items],
    )


@profile.command("use")
@click.argument("name")
@json_option
def use(name: str, as_json: bool) -> None:
    """Let commands use this profile from now on.

    \b
    Example:
      hookhub profile use work
    """
    profiles = load_profiles()
    chosen = profiles.get(name)
    profiles.current = name
    save_profiles(profiles)
    told = f"Commands now go to {chosen.url} ({name})."
    print_result(_shown(profiles, name), told, as_json=as_json)


@profile.command("delete")
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> None:
    """Forget a profile; its token stays good, 'hookhub token revoke' ends it.

    \b
    Example:
      hookhub profile delete work
    """
    profiles = load_profiles()
    profiles.get(name)
    forgotten = _shown(profiles, name)
    del profiles.items[name]
    save_profiles(profiles)
    told = f"Profile {name!r} is forgotten."
    print_result({**forgotten, "current": False}, told, as_json=as_json)


def _shown(profiles: Profiles, name: str) -> dict[str, Any]:
    return {"name": name, "url": profiles.items[name].url, "current": name == profiles.current}
