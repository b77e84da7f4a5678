"""``hookhub audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared import moments
from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import note, print_json, say
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options
from hookhub.contracts.errors import StoreError
from hookhub.contracts.events import format_timestamp

if TYPE_CHECKING:
    from hookhub.config import Settings

PATIENCE = 900.0
"""Seconds that a hub may take in all: some for each million deliveries, behind other audits."""


@click.command("audit")
@click.option(
    "--since",
    callback=moments.past_time,
    metavar="TIME|SPAN",
    help="Only events of this time (2026-01-31T12:00:00Z, 2h, 1d) and later.",
)
@click.option(
    "--until",
    callback=moments.past_time,
    metavar="TIME|SPAN",
    help="Only events before this time.",
)
@where_options
@json_option
@click.pass_context
def audit(
    ctx: click.Context, since: int | None, until: int | None, where: Here | Remote, as_json: bool
) -> None:
    """Check that the database holds what was promised: no event and no delivery is lost.

    Of the hub here, it works on the database itself, beside a running hub or without one. With
    --url, --profile or the like, it asks that hub (scope webhooks:read). It changes nothing. The
    exit status is 1 when something does not add up; the rows are named.

    \b
    Examples:
      hookhub audit
      hookhub audit --since 2026-01-01T00:00:00Z --json
    """
    found = _there(where, since, until) if isinstance(where, Remote) else _here(where, since, until)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if not found["ok"]:
        ctx.exit(1)


def _there(remote: Remote, since: int | None, until: int | None) -> dict[str, Any]:
    period = {"since": since, "until": until}
    params = {name: format_timestamp(at) for name, at in period.items() if at is not None}
    with remote.client(timeout=PATIENCE) as client:
        found: dict[str, Any] = client.call("GET", "/audit", params=params)
    return found


def _here(where: Here, since: int | None, until: int | None) -> dict[str, Any]:
    import trio

    return trio.run(_audit, where.settings(), since, until)


async def _audit(settings: Settings, since: int | None, until: int | None) -> dict[str, Any]:
    from hookhub.cli.shared.assembled import assembled
    from hookhub.cli.shared.local import existing_store
    from hookhub.store.units.audit import audit

    async with existing_store(settings.database) as store:
        if not await store.read(lambda reader: reader.sql("SELECT 1 FROM hookhub_state")):
            raise StoreError(
                "No hub has run on this database yet, so there is nothing to audit; "
                "'hookhub serve' starts one."
            )
        sinks = set((await assembled(settings, store)).components.durable_sinks)
        found = await audit(store, since=since, until=until, sinks=sinks)
    return found.members()


def _print(found: dict[str, Any]) -> None:
    skipped = "".join(f", {count} {reason}" for reason, count in sorted(found["skipped"].items()))
    say("Sequences {first} to {last}".format_map(found))
    say("Events     {events} ({expired} older than the history)".format_map(found))
    say("Promised   {matched} deliveries, {replayed} more by replays".format_map(found))
    ended = "{delivered} delivered, {pending} pending, {failed} failed".format_map(found)
    say(f"Found      {ended}{skipped}, {found['removed']} removed by retention")
    for item in found["differences"]:
        rows = ", ".join(map(str, item["rows"]))
        more = " …" if item["count"] > len(item["rows"]) else ""
        note(f"{item['check']}: {item['count']} {item['message']}: {rows}{more}")
    say("Everything adds up." if found["ok"] else "Something does not add up.")
