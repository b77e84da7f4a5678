"""``hookhub audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.options import config_option, json_option, settings_from, without_required
from hookhub.cli.output import note, print_json
from hookhub.config import Settings
from hookhub.events import parse_timestamp

if TYPE_CHECKING:
    from hookhub.store.audit import Audit


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_timestamp(value.upper())
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a time; write 2026-01-31T12:00:00Z.") from None


@click.command("audit")
@config_option
@json_option
@click.option(
    "--since", callback=_moment, metavar="TIME", help="Only events of this time and later."
)
@click.option("--until", callback=_moment, metavar="TIME", help="Only events before this time.")
@click.pass_context
def audit(
    ctx: click.Context, config: Path | None, as_json: bool, since: int | None, until: int | None
) -> None:
    """Check that the database holds what was promised: no event and no delivery is lost.

    Works on the database itself, beside a running hub or without one, and changes nothing. The
    exit status is 1 when something does not add up; the rows are named.

    \b
    Examples:
      hookhub audit
      hookhub audit --since 2026-01-01T00:00:00Z --json
    """
    found = trio.run(_audit, settings_from(config), since, until)
    if as_json:
        print_json(found.members())
    else:
        _print(found)
    if not found.ok:
        ctx.exit(1)


async def _audit(settings: Settings, since: int | None, until: int | None) -> Audit:
    from hookhub.cli.local import existing_store
    from hookhub.hub import Hub
    from hookhub.plugins import Plugins
    from hookhub.store.audit import audit

    plugins = Plugins.load(without_required(settings.plugins))
    async with existing_store(settings.database) as store:
        sinks = set(Hub(settings, store, plugins).components.durable_sinks)
        return await audit(store, since=since, until=until, sinks=sinks)


def _print(found: Audit) -> None:
    skipped = "".join(f", {count} {reason}" for reason, count in sorted(found.skipped.items()))
    click.echo(f"Sequences {found.first} to {found.last}")
    click.echo(f"Events     {found.events} ({found.expired} older than the history)")
    click.echo(f"Promised   {found.matched} deliveries, {found.replayed} more by replays")
    click.echo(
        f"Found      {found.delivered} delivered, {found.pending} pending, {found.failed} failed"
        f"{skipped}, {found.removed} removed by retention"
    )
    for item in found.differences.values():
        rows = ", ".join(map(str, item.rows)) + (" …" if item.count > len(item.rows) else "")
        note(f"{item.check}: {item.count} {item.message}: {rows}")
    click.echo("Everything adds up." if found.ok else "Something does not add up.")
