"""``hookhub migrate``, ``hookhub reencrypt``, ``hookhub audit``: the database and what is in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from hookhub.cli.shared import values
from hookhub.cli.shared.options import config_option, json_option, settings_from
from hookhub.cli.shared.output import count, note, note_broken, print_json, print_result, say
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here, where_options
from hookhub.contracts.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from hookhub.config import Settings
    from hookhub.store.units.secrets import Resealed


@click.command("migrate")
@config_option
@json_option
@click.option(
    "--force",
    is_flag=True,
    help="Also where hubs that run on the database are too old to go on: they stop.",
)
def migrate(config: Path | None, as_json: bool, force: bool) -> None:
    """Bring the database's tables up to date: the core's, and those of every plugin.

    A hub does the same when it starts; this is for doing it beforehand. Forward only.

    \b
    Examples:
      hookhub migrate
      HOOKHUB_DATABASE__URL=postgresql://me@db/hub hookhub migrate
    """
    steps = trio.run(_migrate, settings_from(config), force)
    told = [f"{step['component']} {step['version']}: {step['name']}" for step in steps]
    told.append(f"{count(len(steps), 'migration')} run." if steps else "All is up to date.")
    print_result({"items": steps}, "\n".join(told), as_json=as_json)


async def _migrate(settings: Settings, force: bool) -> list[dict[str, Any]]:
    from hookhub.plugins import Plugins
    from hookhub.store import Store
    from hookhub.web.assembly import assemble

    store = Store(settings.database)
    hub = assemble(settings, store, Plugins.load(settings.plugins))
    done = [("hookhub", step) for step in await store.migrate(insist=force)]
    for name, brought in hub.components.brought.items():
        if brought.migrations:
            done += [(name, step) for step in await store.migrate(name, brought.migrations)]
    note_broken(hub.plugins.report())
    return [
        {"component": component, "version": step.version, "name": step.name}
        for component, step in done
    ]


@click.command("reencrypt")
@config_option
@json_option
@click.option(
    "--replace-lost",
    is_flag=True,
    help="Put new random secrets in the place of those that no key opens, and switch off what has "
    "lost its URL.",
)
def reencrypt(config: Path | None, as_json: bool, replace_lost: bool) -> None:
    """Encrypt every secret in the database, and all URLs and headers, under [auth] secret_key.

    What is plain is encrypted, and what is under one of [auth] old_secret_keys is encrypted anew;
    after that no old key is needed. Works beside a running hub that has the same settings.

    \b
    Examples:
      hookhub reencrypt
      hookhub reencrypt --replace-lost
    """
    from hookhub.cli.shared.local import require_database

    settings = settings_from(config)
    if settings.auth.secret_key is None:
        raise ConfigError(
            "[auth] secret_key is not set; make one with: openssl rand -base64 32, set it, and "
            "restart the hub with it first."
        )
    require_database(settings.database)
    done = trio.run(_reencrypt, settings, replace_lost)
    if as_json:
        found = {"encrypted": done.sealed, "replaced": done.replaced, "emptied": done.emptied}
        print_json(found)
        return
    for row in done.replaced:
        note(f"{row}: no key opens its secret; it has a new one. Rotate it to have it shown.")
    for row in done.emptied:
        note(f"{row}: no key opens its URL and headers; it is off until it is given them again.")
    say(f"{count(done.sealed, 'secret')} encrypted under [auth] secret_key.")


async def _reencrypt(settings: Settings, replace_lost: bool) -> Resealed:
    from hookhub.secretbox import SecretBox
    from hookhub.store import open_store
    from hookhub.store.units.secrets import COLUMNS, Resealed, reseal_step

    total = Resealed()
    box = SecretBox(settings.auth.secret_keys())
    async with open_store(settings.database, box=box) as store:
        for column in COLUMNS:
            after: int | None = 0
            while after is not None:
                step = partial(reseal_step, column=column, after=after, replace_lost=replace_lost)
                after, done = await store.write(step)
                total += done
    return total


PATIENCE = 900.0
"""Seconds that a hub may take in all: some for each million deliveries, behind other audits."""


@click.command("audit")
@click.option(
    "--since",
    callback=values.past_time,
    metavar="TIME|SPAN",
    help="Only events of this time (2026-01-31T12:00:00Z, 2h, 1d) and later.",
)
@click.option(
    "--until",
    callback=values.past_time,
    metavar="TIME|SPAN",
    help="Only events before this time.",
)
@where_options
@json_option
@click.pass_context
def audit(
    ctx: click.Context, since: str | None, until: str | None, where: Here | Remote, as_json: bool
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
    print_result(found, _print, as_json=as_json)
    if not found["ok"]:
        ctx.exit(1)


def _there(remote: Remote, since: str | None, until: str | None) -> dict[str, Any]:
    params = {"since": since, "until": until}
    with remote.client(timeout=PATIENCE) as client:
        found: dict[str, Any] = client.call("GET", "/audit", params=params)
    return found


def _here(where: Here, since: str | None, until: str | None) -> dict[str, Any]:
    import trio

    return trio.run(_audit, where.settings(), since, until)


async def _audit(settings: Settings, since: str | None, until: str | None) -> dict[str, Any]:
    from hookhub.cli.shared.local import assembled, existing_store
    from hookhub.store.units.audit import audit

    async with existing_store(settings.database) as store:
        if not await store.read(lambda reader: reader.sql("SELECT 1 FROM hookhub_state")):
            raise StoreError(
                "No hub has run on this database yet, so there is nothing to audit; "
                "'hookhub serve' starts one."
            )
        sinks = set((await assembled(settings, store)).components.durable_sinks)
        since_at, until_at = values.microseconds(since), values.microseconds(until)
        found = await audit(store, since=since_at, until=until_at, sinks=sinks)
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
