"""The command: look at one thing after another, and print what there is to say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import click
import trio

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.options import config_option, json_option, settings_from
from hookhub.cli.shared.output import painted, print_json, say
from hookhub.config import DEFAULT_FILE, Settings
from hookhub.contracts.errors import ConfigError

MARKS = {"ok": "✓", "info": "·", "warning": "!", "error": "✗"}
COLOURS = {"ok": "green", "info": None, "warning": "yellow", "error": "red"}


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
    from hookhub.cli.check.clock import check_clock
    from hookhub.cli.check.database import check_database
    from hookhub.cli.check.egress import check_egress
    from hookhub.cli.check.plugins import check_plugins
    from hookhub.cli.check.server import check_server
    from hookhub.cli.shared.assembled import assembled

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
        mark = painted(MARKS[item.state], fg=COLOURS[item.state], bold=True)
        lines = item.message.splitlines()
        say(mark, f"{item.check.ljust(width)}  {lines[0]}")
        for line in lines[1:]:
            say(f"  {' ' * width}  {line}")
        if item.advice is not None:
            say(f"  {' ' * width}  → {item.advice}")
    counts = {s: sum(item.state == s for item in found) for s in ("error", "warning")}
    if not any(counts.values()):
        say("All is well.")
        return
    say(", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in counts.items() if n) + ".")
