"""``hookhub send``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from hookhub.cli.client.completion import complete_event_type
from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import count, print_result, progress_bar
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.shared.values import read_fields, read_object
from hookhub.contracts.errors import (
    FieldError,
    HookhubError,
    MalformedRequest,
    Unavailable,
    ValidationFailed,
)
from hookhub.contracts.events import parse_json

if TYPE_CHECKING:
    from hookhub.client import Client


BATCH = 500
TIMEOUT, RETRIES = 60.0, 5
"""Seconds, and further tries, for a batch: a long run outlives a restart of the hub."""

MEMBERS = {"type", "payload", "key", "source", "id"}


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
    repeated = " (this is the first event; nothing new was stored)" if accepted.repeated else ""
    deliveries = count(accepted.deliveries, "delivery")
    told = f"{accepted.id} sequence {accepted.sequence}, {deliveries}{repeated}"
    print_result(dataclasses.asdict(accepted), told, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    event: dict[str, Any]
    end: int
    """Bytes of the file up to its end."""


def send_bulk(
    remote: Remote,
    path: Path,
    defaults: Mapping[str, str | None],
    batch: int,
    from_line: int,
    idempotency_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Send the lines of a file (``-``: stdin) in batches, each all or nothing.

    Args:
        defaults: ``type``, ``key`` and ``source`` of events that say nothing about them. With a
            type, each line is a payload, else a whole event.
        batch: events in one transaction of the hub.
        from_line: the first line to send; counted from 1.
        idempotency_key: each batch gets it with the number of its first line added.

    Raises:
        HookhubError: the hub refuses a batch, or a line cannot be read; says how to go on.
    """
    done = deliveries = 0
    reached = from_line
    with remote.client(timeout=TIMEOUT, retries=RETRIES) as client, _opened(path) as file:
        total = None if file is sys.stdin.buffer else path.stat().st_size
        lines = _lines(file, {k: v for k, v in defaults.items() if v is not None}, from_line)
        with progress_bar("Sending", hidden=as_json) as bar:
            try:
                while chunk := list(islice(lines, batch)):
                    deliveries += _send(client, chunk, idempotency_key)
                    done += len(chunk)
                    reached = chunk[-1].number + 1
                    bar.show(done if total is None else chunk[-1].end, total)
            except HookhubError as error:
                raise _stopped(error, done, reached) from None
    told = f"{count(done, 'event')} sent, {count(deliveries, 'delivery')}."
    print_result({"events": done, "deliveries": deliveries}, told, as_json=as_json)


def _opened(path: Path) -> BinaryIO:
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        return path.open("rb")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}.", param_hint="--ndjson") from None


def _lines(file: BinaryIO, defaults: dict[str, str], from_line: int) -> Iterator[_Line]:
    end = 0
    for number, text in enumerate(file, 1):
        end += len(text)
        if number >= from_line and text.strip():
            yield _Line(number, _event(text, number, defaults), end)


def _event(text: bytes, number: int, defaults: dict[str, str]) -> dict[str, Any]:
    try:
        value = parse_json(text, "It", one_line=True)
    except MalformedRequest as error:
        raise MalformedRequest(f"Line {number}: {error.detail}") from None
    if not isinstance(value, dict):
        raise ValidationFailed(f"Line {number} is not a JSON object.")
    if "type" in defaults:
        return {**defaults, "payload": value}
    event = {**defaults, **value}
    strange = sorted(set(value) - MEMBERS)
    if strange or not {"type", "payload"} <= set(event):
        raise ValidationFailed(
            f"Line {number} is not an event: it needs 'type' and 'payload', and may have 'key', "
            "'source' and 'id'. If it is a payload alone, name the type: "
            "hookhub send TYPE --ndjson FILE."
        )
    return event


def _send(client: Client, chunk: list[_Line], key: str | None) -> int:
    """Send one batch; returns its deliveries."""
    batch_key = None if key is None else f"{key}-{chunk[0].number}"
    try:
        accepted = client.send_many([line.event for line in chunk], idempotency_key=batch_key)
    except ValidationFailed as error:
        wrong = [_by_line(item, chunk) for item in error.errors]
        detail = f"{count(len(wrong), 'mistake')}." if wrong else error.detail
        raise ValidationFailed(detail, errors=wrong) from None
    return sum(item.deliveries for item in accepted)


def _by_line(error: FieldError, chunk: list[_Line]) -> FieldError:
    """The place of a mistake as the file has it, not the batch."""
    first, *rest = error["loc"] or [""]
    if not isinstance(first, int) or first >= len(chunk):
        return error
    return {"loc": [f"line {chunk[first].number}", *rest], "msg": error["msg"]}


def _stopped(error: HookhubError, done: int, reached: int) -> HookhubError:
    """The error, with how far it came and how to go on."""
    before = f"{count(done, 'event')} sent before"
    if error.status == Unavailable.status:
        how = (
            f"{before}. Go on with --from-line {reached}; the batch that begins there may have "
            "been stored (with --idempotency-key from the start on, that does no harm)."
        )
    elif done:
        how = (
            f"{before}; nothing from line {reached} on was stored. Mend it, and go on with "
            f"--from-line {reached}."
        )
    else:
        how = "Nothing was stored."
    return type(error)(f"{error.detail} {how}", errors=error.errors)
