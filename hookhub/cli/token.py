"""``hookhub token create|list|revoke``."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from hookhub.cli.options import config_option, json_option, settings_from
from hookhub.cli.output import note, print_json, print_table
from hookhub.config import Settings
from hookhub.errors import NotFound
from hookhub.events import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from hookhub.tokens import Token, Tokens

SCOPES = ("events:write", "events:read", "webhooks:read", "webhooks:write", "admin")

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """``30d``, ``12h`` … or a time, as microseconds since 1970."""
    if value is None:
        return None
    now = time.time_ns() // 1000
    span = re.fullmatch(r"(\d{1,6})([mhdw])", value)
    try:
        if span is not None:
            moment = now + int(span[1]) * _SECONDS[span[2]] * 1_000_000
        else:
            moment = parse_timestamp(value)
        format_timestamp(moment)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a span (30d, 12h) nor a time (2030-01-31T12:00:00Z)."
        ) from None
    if moment <= now:
        raise click.BadParameter(f"{value!r} is over already.")
    return moment


@click.group("token")
def token() -> None:
    """Make, list and revoke API tokens.

    Works on the database itself, beside a running hub or without one; changes count at once.
    """


@token.command("create")
@config_option
@json_option
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
    callback=_moment,
    metavar="TIME",
    help="When it ends: 30d, 12h, or 2030-01-31T12:00:00Z.",
)
def create(
    config: Path | None,
    as_json: bool,
    name: str,
    scopes: tuple[str, ...],
    description: str | None,
    expires: int | None,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    \b
    Examples:
      hookhub token create --name deploy --scope events:write --expires 90d
      TOKEN=$(hookhub token create --name shop --scope events:write --scope events:read)
    """
    settings = settings_from(config)
    made, secret = trio.run(_create, settings, name, scopes, description, expires)
    if as_json:
        print_json({**_shown(made), "token": secret})
        return
    note(f"Token {made.name!r} (id {made.id}) may {', '.join(made.scopes)}. Shown once; keep it:")
    click.echo(secret)


@token.command("list")
@config_option
@json_option
def list_(config: Path | None, as_json: bool) -> None:
    """List all tokens, without their secrets.

    \b
    Example:
      hookhub token list
    """
    items = [_shown(item) for item in trio.run(_list, settings_from(config))]
    if as_json:
        print_json({"items": items})
        return
    columns = ("id", "name", "prefix", "scopes", "state", "expires_at", "last_used_at")
    rows = [[_cell(item[column]) for column in columns] for item in items]
    print_table([column.removesuffix("_at").replace("_", " ").upper() for column in columns], rows)


@token.command("revoke")
@config_option
@json_option
@click.argument("name_or_id")
def revoke(config: Path | None, as_json: bool, name_or_id: str) -> None:
    """Make a token useless at once, everywhere; live connections with it are closed.

    \b
    Examples:
      hookhub token revoke deploy
      hookhub token revoke 3
    """
    revoked = trio.run(_revoke, settings_from(config), name_or_id)
    if as_json:
        print_json(_shown(revoked))
    else:
        click.echo(f"Token {revoked.name!r} (id {revoked.id}) is revoked.")


@asynccontextmanager
async def _tokens(settings: Settings) -> AsyncIterator[Tokens]:
    from hookhub.store import open_store
    from hookhub.tokens import Tokens

    async with open_store(settings.database) as store:
        yield Tokens(store)


async def _create(
    settings: Settings,
    name: str,
    scopes: tuple[str, ...],
    description: str | None,
    expires: int | None,
) -> tuple[Token, str]:
    async with _tokens(settings) as tokens:
        unique = list(dict.fromkeys(scopes))
        return await tokens.create(name, unique, description=description, expires_at=expires)


async def _list(settings: Settings) -> list[Token]:
    from hookhub.cli.local import existing_store
    from hookhub.tokens import Tokens

    async with existing_store(settings.database) as store:
        return await Tokens(store).list()


async def _revoke(settings: Settings, name_or_id: str) -> Token:
    from hookhub.cli.local import require_database

    require_database(settings.database)
    async with _tokens(settings) as tokens:
        found = await tokens.list()
        wanted = [item for item in found if item.name == name_or_id]
        wanted += [item for item in found if str(item.id) == name_or_id]
        if not wanted:
            raise NotFound(f"There is no token {name_or_id!r}; 'hookhub token list' shows all.")
        return await tokens.revoke(wanted[0].id)


def _shown(item: Token) -> dict[str, Any]:
    now = time.time_ns() // 1000
    expired = item.expires_at is not None and item.expires_at <= now
    return {
        "id": item.id,
        "name": item.name,
        "prefix": item.prefix,
        "description": item.description,
        "scopes": list(item.scopes),
        "state": "revoked" if item.revoked_at is not None else "expired" if expired else "active",
        "created_at": _time(item.created_at),
        "expires_at": _time(item.expires_at),
        "last_used_at": _time(item.last_used_at),
        "revoked_at": _time(item.revoked_at),
    }


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)
