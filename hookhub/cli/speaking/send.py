"""``hookhub send``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import count, print_json, say
from hookhub.cli.shared.payload import read_fields, read_object
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.speaking.complete import complete_event_type
from hookhub.cli.speaking.send_bulk import BATCH, send_bulk


@click.command("send")
@click.argument("type", required=False, shell_complete=complete_event_type)
@click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--payload", metavar="JSON|@FILE|-", help="The whole payload as JSON; - is stdin.")
@click.option(
    "--ndjson",
    metavar="FILE|-",
    type=click.Path(allow_dash=True, dir_okay=False, path_type=Path),
    help="Send many: an event on each line; with TYPE, a payload on each line.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=BATCH,
    show_default=True,
    help="With --ndjson: events that are stored at once, all or none.",
)
@click.option(
    "--from-line",
    type=click.IntRange(1),
    default=1,
    help="With --ndjson: leave out the lines before; to go on after a mistake.",
)
@click.option("--key", help="Ordering key: events of one key keep their order.")
@click.option("--source", help="Who says so.")
@click.option("--id", "id_", help="An id of your own; a repeat is answered with the first event.")
@click.option("--idempotency-key", help="A repeat with the same key stores nothing new.")
@remote_options
@json_option
@click.pass_context
def send(
    ctx: click.Context,
    type: str | None,
    fields: tuple[str, ...],
    payload: str | None,
    ndjson: Path | None,
    batch: int,
    from_line: int,
    key: str | None,
    source: str | None,
    id_: str | None,
    idempotency_key: str | None,
    remote: Remote,
    as_json: bool,
) -> None:
    """Send one event to a running hub, or many.

    A VALUE is JSON if it can be read as JSON (5, true, null, "5"), else a text.

    \b
    Examples:
      hookhub send user.created user_id=1 username=ada
      hookhub send payment.completed --payload @payment.json --idempotency-key order-17
      jq .user export.json | hookhub send user.created --payload -
      hookhub send --ndjson events.ndjson
      jq -c '.users[]' export.json | hookhub send user.created --ndjson -
    """
    if ndjson is not None:
        if fields or payload is not None or id_ is not None:
            raise click.UsageError("With --ndjson, payloads and ids come from the lines.")
        defaults = {"type": type, "key": key, "source": source}
        send_bulk(remote, ndjson, defaults, batch, from_line, idempotency_key, as_json=as_json)
        return
    if type is None:
        raise click.UsageError("Missing argument 'TYPE'; 'hookhub event-types' lists them.", ctx)
    if fields and payload is not None:
        raise click.UsageError("Give the payload either as KEY=VALUE or by --payload, not both.")
    members = read_fields(fields) if payload is None else read_object(payload, "--payload")
    with remote.client() as client:
        accepted = client.send(
            type, members, key=key, source=source, id=id_, idempotency_key=idempotency_key
        )
    if as_json:
        print_json(dataclasses.asdict(accepted))
        return
    repeated = " (this is the first event; nothing new was stored)" if accepted.repeated else ""
    deliveries = count(accepted.deliveries, "delivery")
    say(f"{accepted.id} sequence {accepted.sequence}, {deliveries}{repeated}")
