"""``hookhub send``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from hookhub.cli.options import json_option
from hookhub.cli.output import count, print_json
from hookhub.errors import MalformedRequest
from hookhub.events import parse_json


@click.command("send")
@json_option
@click.argument("type")
@click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--payload", metavar="JSON|@FILE|-", help="The whole payload as JSON; - is stdin.")
@click.option(
    "--url",
    envvar="HOOKHUB_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The hub's address (or HOOKHUB_URL).",
)
@click.option(
    "--token",
    envvar="HOOKHUB_TOKEN",
    required=True,
    help="A token with the scope events:write (better: HOOKHUB_TOKEN).",
)
@click.option("--key", help="Ordering key: events of one key keep their order.")
@click.option("--source", help="Who says so.")
@click.option("--id", "id_", help="An id of your own; a repeat is answered with the first event.")
@click.option("--idempotency-key", help="A repeat with the same key stores nothing new.")
def send(
    as_json: bool,
    type: str,
    fields: tuple[str, ...],
    payload: str | None,
    url: str,
    token: str,
    key: str | None,
    source: str | None,
    id_: str | None,
    idempotency_key: str | None,
) -> None:
    """Send one event to a running hub.

    A VALUE is JSON if it can be read as JSON (5, true, null, "5"), else a text.

    \b
    Examples:
      hookhub send user.created user_id=1 username=ada
      hookhub send payment.completed --payload @payment.json --idempotency-key order-17
      jq .user export.json | hookhub send user.created --payload -
    """
    from hookhub.client import Client

    if fields and payload is not None:
        raise click.UsageError("Give the payload either as KEY=VALUE or by --payload, not both.")
    members = _fields(fields) if payload is None else _payload(payload)
    # A person waits for the answer, and may simply ask again.
    with Client(url, token, timeout=10.0, retries=1) as client:
        accepted = client.send(
            type, members, key=key, source=source, id=id_, idempotency_key=idempotency_key
        )
    if as_json:
        print_json(dataclasses.asdict(accepted))
        return
    repeated = " (this is the first event; nothing new was stored)" if accepted.repeated else ""
    deliveries = count(accepted.deliveries, "delivery")
    click.echo(f"{accepted.id} sequence {accepted.sequence}, {deliveries}{repeated}")


def _fields(fields: tuple[str, ...]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for item in fields:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{item!r} is not KEY=VALUE.")
        if name in members:
            raise click.UsageError(f"{name!r} is given twice.")
        try:
            members[name] = parse_json(text)
        except MalformedRequest:
            members[name] = text
    return members


def _payload(given: str) -> dict[str, Any]:
    if given == "-":
        place, data = "stdin", sys.stdin.buffer.read()
    elif given.startswith("@"):
        place = given[1:]
        try:
            data = Path(place).read_bytes()
        except OSError as error:
            raise click.BadParameter(
                f"{place}: {error.strerror}.", param_hint="--payload"
            ) from None
    else:
        place, data = "--payload", given.encode()
    try:
        members = parse_json(data)
    except MalformedRequest as error:
        raise click.BadParameter(f"{place}: {error.detail}", param_hint="--payload") from None
    if not isinstance(members, dict):
        raise click.BadParameter(f"{place}: a payload is a JSON object.", param_hint="--payload")
    return members
