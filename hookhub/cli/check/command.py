"""The command: look at one thing after another, and print what there is to say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.options import config_option, json_option, settings_from
from hookhub.cli.shared.output import count, mark, print_json, say
from hookhub.config import DEFAULT_FILE, Settings
from hookhub.contracts.errors import ConfigError, HookhubError

if TYPE_CHECKING:
    from hookhub.hub import Hub


@click.command("check")
@config_option
@json_option
@click.pass_context
def check(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Look whether a hub would run well here, and say what to do if not.

    Looks at the configuration, the address, the database, the plugins, what webhooks may call, and
    the clock; changes nothing, and works beside a running hub or without one. The exit status is 1
    if there is an error; warnings leave it at 0.

    \b
    Examples:
      hookhub check
      hookhub check --config /etc/hookhub/hookhub.toml
      hookhub check --json | jq '.items[] | select(.state != "ok")'
    """
    try:
        settings = settings_from(config)
    except ConfigError as error:
        found = [Finding("configuration", "error", error.detail)]
    else:
        found = [*_configuration(config, settings), *trio.run(_everything, settings)]
    bad = [item for item in found if item.state == "error"]
    if as_json:
        print_json({"ok": not bad, "items": [dataclasses.asdict(item) for item in found]})
    else:
        _print(found)
    if bad:
        ctx.exit(1)


async def _everything(settings: Settings) -> list[Finding]:
    from hookhub.cli.check.database import check_database
    from hookhub.cli.check.egress import check_egress
    from hookhub.cli.check.machine import check_clock, check_server
    from hookhub.cli.shared.local import assembled

    hub = await assembled(settings)
    return [
        *await check_server(settings),
        *await check_database(settings, hub),
        *check_plugins(settings, hub),
        *await check_egress(settings, hub),
        *await check_clock(settings),
    ]


def _configuration(config: Path | None, settings: Settings) -> Iterator[Finding]:
    path = config or Path(DEFAULT_FILE)
    names = sorted(name for name in os.environ if name.startswith("HOOKHUB_") and "__" in name)
    where = str(path.absolute()) if path.exists() else "no file, every setting has its default"
    over = f"; {', '.join(names)} override it" if names else ""
    yield Finding("configuration", "ok", f"{where}{over}")
    secret = [settings.auth.bootstrap_token, *settings.auth.secret_keys()]
    if not path.exists() or not any(secret) or os.name != "posix":
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            "configuration",
            "warning",
            f"{path} holds secrets, and others on this machine may read it (mode {mode:o}).",
            f"chmod 600 {path}",
        )


def _print(found: list[Finding]) -> None:
    width = max(len(item.check) for item in found)
    for item in found:
        lines = item.message.splitlines()
        say(mark(item.state, bold=True), f"{item.check.ljust(width)}  {lines[0]}")
        for line in lines[1:]:
            say(f"  {' ' * width}  {line}")
        if item.advice is not None:
            say(f"  {' ' * width}  → {item.advice}")
    counts = {state: sum(item.state == state for item in found) for state in ("error", "warning")}
    said = ", ".join(count(number, state) for state, number in counts.items() if number)
    say(f"{said}." if said else "All is well.")


def check_plugins(settings: Settings, hub: Hub) -> Iterator[Finding]:
    """What is broken, missing or misspelt; and whether there is anything to work with."""
    reports = hub.plugins.report()
    works = [item for item in reports if item.error is None and not item.disabled]
    good = [f"{item.name} {item.version}".strip() for item in works]
    yield Finding("plugins", "ok" if good else "warning", ", ".join(good) or "There are none.")
    for report in reports:
        if report.error is not None:
            yield Finding(
                "plugins",
                "error" if report.name in settings.plugins.required else "warning",
                f"{report.name} is broken and left out: {report.error}",
                "'hookhub plugins --traceback' shows where it comes from.",
            )
    for notice in hub.plugins.notices():
        yield Finding("plugins", "warning", f"{notice}.")
    try:
        hub.plugins.check_required(settings.plugins.required)
    except HookhubError as error:
        yield Finding("plugins", "error", error.detail, "A hub does not start without it.")
    if not list(hub.registry):
        yield Finding(
            "plugins",
            "warning",
            "No plugin declares an event type, so no event can be sent.",
            "Install one (hookhub-users), or write one: docs, 'Writing a plugin'.",
        )
