"""``hookhub token``: in the database here, or of a hub elsewhere; the same answers from both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click
import trio

from hookhub.cli.shared import values
from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import (
    note,
    print_json,
    print_list,
    print_result,
    say,
)
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options
from hookhub.contracts.errors import NotFound
from hookhub.contracts.events import format_timestamp, parse_timestamp
from hookhub.contracts.routes import SCOPES
from hookhub.contracts.strict_json import Json

if TYPE_CHECKING:
    from hookhub.access import Token, Tokens

T = TypeVar("T")


@click.group("token")
def token() -> None:
    """Make, list and revoke API tokens.

    Of the hub here, they work on the database itself, beside a running hub or without one. With
    --url, --profile or the like, on that hub, with a token that has the scope admin. Changes count
    at once.
    """


@token.command("create")
@click.option("--name", required=True, help="What it is for; unique.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; may be given several times.",
)
@click.option("--description", help="More about what it is for.")
@click.option(
    "--expires",
    callback=values.future_time,
    metavar="TIME|SPAN",
    help="When it ends: 30d, 12h, or 2030-01-31T12:00:00Z.",
)
@where_options
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    description: str | None,
    expires: str | None,
    where: Here | Remote,
    as_json: bool,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    \b
    Examples:
      hookhub token create --name deploy --scope events:write --expires 90d
      TOKEN=$(hookhub token create --name shop --scope events:write --scope events:read)
    """
    unique = list(dict.fromkeys(scopes))
    new = {"name": name, "scopes": unique, "description": description, "expires_at": expires}
    made = _create(where, new)
    if as_json:
        print_json(made)
        return
    may = f"may {', '.join(made['scopes'])}"
    note(f"Token {made['name']!r} (id {made['id']}){_at(where)} {may}. Shown once; keep it:")
    say(made["token"])


@token.command("list")
@where_options
@json_option
def list_(where: Here | Remote, as_json: bool) -> None:
    """List all tokens, without their secrets.

    \b
    Example:
      hookhub token list
    """
    items = _list(where)
    members = ("id", "name", "prefix", "scopes", "state", "expires_at", "last_used_at")
    columns = {name.removesuffix("_at").replace("_", " ").upper(): name for name in members}
    nothing = "There is none. 'hookhub token create --name NAME --scope SCOPE' makes one."
    print_list(items, columns, as_json=as_json, nothing=nothing)


@token.command("revoke")
@click.argument("name_or_id")
@where_options
@json_option
def revoke(name_or_id: str, where: Here | Remote, as_json: bool) -> None:
    """Make a token useless at once, everywhere; live connections with it are closed.

    \b
    Examples:
      hookhub token revoke deploy
      hookhub token revoke 3
    """
    revoked = _revoke(where, name_or_id)
    told = f"Token {revoked['name']!r} (id {revoked['id']}){_at(where)} is revoked."
    print_result(revoked, told, as_json=as_json)


def _at(where: Here | Remote) -> str:
    return f" at {where.url}" if isinstance(where, Remote) else ""


def _list(where: Here | Remote) -> list[Json]:
    if isinstance(where, Remote):
        with where.client() as client:
            return [_with_state(item) for item in client.items("/tokens")]

    async def look() -> list[Json]:
        from hookhub.access import Tokens
        from hookhub.cli.shared.local import existing_store

        async with existing_store(where.settings().database) as store:
            return [_shown(item) for item in await Tokens(store).list()]

    return trio.run(look)


def _create(where: Here | Remote, new: Json) -> Json:
    """A new token; the member ``token`` is its secret. Raises Conflict."""
    if isinstance(where, Remote):
        with where.client() as client:
            return _with_state(client.call("POST", "/tokens", body=new))

    async def create(tokens: Tokens) -> Json:
        expires = values.microseconds(new["expires_at"])
        made, secret = await tokens.create(
            new["name"], new["scopes"], description=new["description"], expires_at=expires
        )
        return {**_shown(made), "token": secret}

    return _change(where, create)


def _revoke(where: Here | Remote, name_or_id: str) -> Json:
    """Make it useless. Raises NotFound."""
    if isinstance(where, Remote):
        found = _find(_list(where), name_or_id)
        with where.client() as client:
            return _with_state(client.call("POST", f"/tokens/{found['id']}/revoke"))

    from hookhub.cli.shared.local import require_database

    async def revoke(tokens: Tokens) -> Json:
        items = [_shown(item) for item in await tokens.list()]
        return _shown(await tokens.revoke(_find(items, name_or_id)["id"]))

    require_database(where.settings().database)
    return _change(where, revoke)


def _change(here: Here, change: Callable[[Tokens], Awaitable[T]]) -> T:
    """Do something to the tokens in the database here, beside a running hub or without one."""

    async def run() -> T:
        from hookhub.access import Tokens
        from hookhub.store import open_store

        async with open_store(here.settings().database) as store:
            return await change(Tokens(store))

    return trio.run(run)


def _find(items: Sequence[Json], name_or_id: str) -> Json:
    """By its name, or else by its id."""
    found = [item for item in items if item["name"] == name_or_id]
    found += [item for item in items if str(item["id"]) == name_or_id]
    if not found:
        raise NotFound(f"There is no token {name_or_id!r}; 'hookhub token list' shows all.")
    return found[0]


def _shown(item: Token) -> Json:
    """As the REST API shows it, and with ``state``."""
    names = ("id", "name", "prefix", "description")
    times = ("created_at", "expires_at", "last_used_at", "revoked_at")
    shown = {name: getattr(item, name) for name in names} | {"scopes": list(item.scopes)}
    return _with_state(shown | {name: format_timestamp(getattr(item, name)) for name in times})


def _with_state(item: Json) -> Json:
    ends = item["expires_at"]
    expired = ends is not None and parse_timestamp(ends) <= values.now()
    state = "revoked" if item["revoked_at"] is not None else "expired" if expired else "active"
    return {**item, "state": state}
