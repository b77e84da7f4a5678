"""``hookhub token create|list|revoke``."""

from __future__ import annotations

import click

from hookhub.cli.running.tokens import token_book
from hookhub.cli.shared import moments
from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import cell, note, print_json, print_table, say
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options
from hookhub.contracts.routes import SCOPES


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
    callback=moments.future_time,
    metavar="TIME|SPAN",
    help="When it ends: 30d, 12h, or 2030-01-31T12:00:00Z.",
)
@where_options
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    description: str | None,
    expires: int | None,
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
    made = token_book(where).create(name, unique, description, expires)
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
    items = token_book(where).list()
    if as_json:
        print_json({"items": items, "total": len(items)})
        return
    if not items:
        note("There is none. 'hookhub token create --name NAME --scope SCOPE' makes one.")
        return
    columns = ("id", "name", "prefix", "scopes", "state", "expires_at", "last_used_at")
    rows = [[cell(item[column]) for column in columns] for item in items]
    print_table([column.removesuffix("_at").replace("_", " ").upper() for column in columns], rows)


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
    revoked = token_book(where).revoke(name_or_id)
    if as_json:
        print_json(revoked)
    else:
        say(f"Token {revoked['name']!r} (id {revoked['id']}){_at(where)} is revoked.")


def _at(where: Here | Remote) -> str:
    return f" at {where.url}" if isinstance(where, Remote) else ""
