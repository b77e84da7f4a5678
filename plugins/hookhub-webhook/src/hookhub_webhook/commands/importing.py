"""``hookhub webhook import``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.kit import (
    Remote,
    count,
    json_option,
    note,
    print_json,
    print_table,
    progress_bar,
    read_file,
    remote_options,
)
from hookhub.contracts.errors import FieldError, Forbidden, HookhubError
from hookhub_webhook.commands.client import WebhookClient

if TYPE_CHECKING:
    from hookhub.client import Client
    from hookhub_webhook.commands.import_rows import ImportRow

REFUSALS = frozenset((400, 404, 409, 413, 422))
"""Answers about the one webhook; after others (no scope, no hub) no further one would go better."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How the command was asked to go about it."""

    dry_run: bool
    update: bool
    inactive: bool


@dataclass(slots=True)
class Done:
    """What came of one row."""

    row: ImportRow
    result: str
    """``created``, ``updated``, ``unchanged``, ``differs`` or ``error``."""
    webhook_id: int | None = None
    changes: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` shows it; never a secret."""
        return {
            "place": self.row.place,
            "name": self.row.name,
            "result": self.result,
            "id": self.webhook_id,
            "was": self.row.was,
            "changes": list(self.changes),
            "errors": list(self.errors),
        }


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option(
    "--update",
    is_flag=True,
    help="Change webhooks that are there to what the file says, secrets included.",
)
@click.option("--inactive", is_flag=True, help="Make new ones switched off, whatever it says.")
@click.option("--rename", is_flag=True, help="Put a number behind a name that comes again.")
@click.option(
    "--leave-out", multiple=True, metavar="NAME", help="A column or member to leave out; several."
)
@remote_options
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    dry_run: bool,
    update: bool,
    inactive: bool,
    rename: bool,
    leave_out: tuple[str, ...],
    remote: Remote,
    as_json: bool,
) -> None:
    """Make webhooks of a table that another program has: CSV, JSON, or an object a line.

    The columns are the REST API's members: name, url, event_type (several with spaces between),
    secret, description, is_active ...; those that only count or date (id, created_at,
    success_count ...) are left out by themselves. A webhook of the same name is the same (where
    several have it, the one with the same URL and event types): what is there stays as it is unless
    --update is given, so a file can be imported again. What is wrong is named by its line, and the
    rest goes in; the exit status is then 1.

    \b
    Examples:
      hookhub webhook import webhooks.csv --dry-run
      psql mydb -c 'COPY webhooks TO STDOUT (FORMAT csv, HEADER)' | hookhub webhook import -
      hookhub webhook import webhooks.csv --inactive    # and, when the day has come,
      hookhub webhook import webhooks.csv --update
    """
    # Not at the top: they need what checks webhooks, and other commands need not wait for that.
    from hookhub_webhook.commands.import_checks import check_rows
    from hookhub_webhook.commands.import_rows import read_rows

    rows = read_rows(read_file(file, "FILE"), leave_out)
    with remote.client() as client:
        check_rows(rows, _known_types(client), rename=rename)
        done = _run(client, rows, Wish(dry_run, update, inactive), hidden=as_json)
    _show(done, dry_run=dry_run, as_json=as_json)
    if any(item.result == "error" for item in done):
        ctx.exit(1)


def _known_types(client: Client) -> list[str] | None:
    try:
        return [item["name"] for item in client.event_types()]
    except Forbidden:
        return None  # A token for webhooks alone; the hub checks the types when it gets them.


def _run(client: Client, rows: Sequence[ImportRow], wish: Wish, *, hidden: bool) -> list[Done]:
    from hookhub_webhook.commands.import_checks import match_rows

    hub = WebhookClient(client)
    found = match_rows(rows, hub.list())
    done: list[Done] = []
    with progress_bar("Importing", hidden=hidden or wish.dry_run) as bar:
        for row, there in zip(rows, found, strict=True):
            try:
                done.append(_one(hub, row, there, wish))
            except HookhubError as error:
                if error.status not in REFUSALS:
                    raise _stopped(error, row, done) from None
                errors = error.errors or [{"loc": [], "msg": error.detail}]
                done.append(Done(row, "error", errors=tuple(errors)))
            bar.show(len(done), len(rows))
    return done


def _one(hub: WebhookClient, row: ImportRow, found: Mapping[str, Any] | None, wish: Wish) -> Done:
    from hookhub_webhook.commands.import_checks import differences

    if row.errors:
        return Done(row, "error", errors=tuple(row.errors))
    if found is None:
        members = row.members | ({"is_active": False} if wish.inactive else {})
        made = None if wish.dry_run else hub.create(members)["id"]
        return Done(row, "created", made)
    wanted = dict(row.members)
    if wish.inactive:
        wanted.pop("is_active", None)
    changes = differences(wanted, found, hidden=wish.update)
    result = ("updated" if wish.update else "differs") if changes else "unchanged"
    if result == "updated" and not wish.dry_run:
        hub.update(found["id"], changes)
    return Done(row, result, found["id"], tuple(changes))


def _stopped(error: HookhubError, row: ImportRow, done: Sequence[Done]) -> HookhubError:
    written = sum(item.result in ("created", "updated") for item in done)
    how = f"{count(written, 'webhook')} went in before {row.place}; run it again to go on."
    return type(error)(f"{error.detail} {how}", errors=error.errors)


def _show(done: Sequence[Done], *, dry_run: bool, as_json: bool) -> None:
    results = Counter(item.result for item in done)
    if as_json:
        print_json(
            {"items": [item.to_json() for item in done], "dry_run": dry_run, "results": results}
        )
        return
    if done:
        columns = ("WHERE", "NAME", "WOULD BE" if dry_run else "IS", "ID", "WAS", "")
        print_table(columns, map(_cells, done))
    said = ", ".join(f"{number} {result}" for result, number in results.items())
    note(f"{said or 'There is nothing in it'}.{' Nothing was done: --dry-run.' * dry_run}")
    if results["differs"]:
        note("What differs stays as it is in the hub; --update makes it as the file says.")


def _cells(item: Done) -> tuple[str, ...]:
    number = "-" if item.webhook_id is None else str(item.webhook_id)
    said = "; ".join(_sentences(item)) or ", ".join(item.changes)
    return item.row.place, item.row.name or "-", item.result, number, item.row.was or "-", said


def _sentences(item: Done) -> Iterator[str]:
    for error in item.errors:
        place = ".".join(map(str, error["loc"]))
        yield f"{place}: {error['msg']}" if place else error["msg"]
