"""The command: an own database, an own token, a receiver, and traffic until it is stopped."""

from __future__ import annotations

import os
import random
import secrets
import sys
from contextlib import suppress
from pathlib import Path

import click

from hookhub.cli.kit import bind_option, crash_logged
from hookhub.config import (
    AuthSettings,
    DatabaseSettings,
    EgressSettings,
    LogSettings,
    PluginsSettings,
    ServerSettings,
    Settings,
)


@click.command("demo")
@bind_option
@click.option(
    "--database",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("demo.db"),
    show_default=True,
    help="An SQLite file of the demo's own; the next demo goes on with it.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1000, min_open=True),
    default=1.0,
    show_default=True,
    help="Events per second.",
)
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
def demo(bind: str | None, database: Path, rate: float, count: int | None) -> None:
    """Run a hub with a trickle of users, payments and tickets, and watch it deliver.

    The demo brings a receiver of its own: each webhook it gets is verified, by both signatures,
    and printed as one line. Ctrl-C stops it; the next demo goes on with the same database and
    token.

    \b
    Examples:
      hookhub demo
      hookhub demo --rate 20 --bind 127.0.0.1:9000
      hookhub demo --count 100 --rate 50
    """
    import trio

    from hookhub.logs import configure_logging
    from hookhub_demo.play import Play, run

    if bind is None:
        # The one setting of the environment that the demo goes by, as its error messages say.
        bind = os.environ.get("HOOKHUB_SERVER__BIND")
    if bind is not None and bind.startswith("unix:"):
        raise click.BadParameter("the demo speaks TCP; give host:port.", param_hint="--bind")
    token = keep_token(Path(f"{database}-token"))
    settings = demo_settings(bind, database, token)
    configure_logging(settings.log, sys.stderr, [token])
    play = Play(token, rate, count, random.Random())  # noqa: S311 - variety, not secrecy
    with crash_logged(settings.log, lambda: play.running):
        trio.run(run, settings, play)
    if play.bad:
        raise click.ClickException(f"{play.bad} of {play.bad + play.good} signatures were wrong.")


def keep_token(path: Path) -> str:
    """The demo's token: made once, kept beside its database, readable by its owner only."""
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(made, "w", encoding="ascii") as file:
            file.write(f"hh_{secrets.token_urlsafe(32)}\n")
    return path.read_text("ascii").strip()


def demo_settings(bind: str | None, database: Path, token: str) -> Settings:
    """Defaults, but for a database and a token of the demo's own and a receiver on loopback."""
    return Settings(
        server=ServerSettings(bind=bind) if bind is not None else ServerSettings(),
        database=DatabaseSettings(url=f"sqlite:///{database}"),
        auth=AuthSettings(bootstrap_token=token),
        egress=EgressSettings(allow=["127.0.0.1/32"]),
        log=LogSettings(level="warning"),
        # The receiver prints a line per event; the log sink would print a second one.
        plugins=PluginsSettings(disabled=["log"]),
    )
