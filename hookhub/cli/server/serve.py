"""``hookhub serve``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub import __version__
from hookhub.cli.shared.options import bind_option, config_option, settings_from
from hookhub.cli.shared.output import say
from hookhub.config import LogSettings
from hookhub.contracts.errors import HookhubError
from hookhub.logs import message_of, place_of

if TYPE_CHECKING:
    from hookhub.config import Settings
    from hookhub.plugins import Plugins
    from hookhub.server import Started


@click.command("serve")
@config_option
@bind_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that share the port and the work, on PostgreSQL (one a core).",
)
@click.option("--worker", hidden=True, help="What the supervisor gives to each of them.")
def serve(config: Path | None, bind: str | None, workers: int | None, worker: str | None) -> None:
    """Run a hub until SIGTERM or Ctrl-C; the same signal again ends it at once.

    Needs no settings: it keeps everything in hookhub.db of the working directory and listens on
    127.0.0.1:8080. The first start without any token prints one.

    \b
    Examples:
      hookhub serve
      hookhub serve --config /etc/hookhub/hookhub.toml
      HOOKHUB_DATABASE__URL=postgresql://me@db/hub hookhub serve --workers 4
    """
    from hookhub import server
    from hookhub.http.listeners import Worker
    from hookhub.logs import configure_logging
    from hookhub.plugins import Plugins

    settings = settings_from(config)
    if bind is not None:
        chosen = settings.server.model_copy(update={"bind": bind})
        settings = settings.model_copy(update={"server": chosen})
    secrets = [settings.auth.bootstrap_token or "", *settings.auth.secret_keys()]
    configure_logging(settings.log, sys.stderr, secrets)
    count = workers or settings.server.workers
    if worker is None and count > 1:
        raise click.exceptions.Exit(_supervise(settings, count, sys.argv))
    given = None if worker is None else Worker.parse(worker)
    if given is not None:
        settings = named(settings, given.number)
    plugins = Plugins.load(settings.plugins)
    running: list[Started] = []

    def started(hub: Started) -> None:
        running.append(hub)
        if given is None or given.number == 1 or hub.first_token:
            log_plugins(plugins)
            print_banner(hub, settings.server.public_url)

    with crash_logged(settings.log, lambda: bool(running)):
        trio.run(partial(server.serve, settings, started=started, plugins=plugins, worker=given))


def named(settings: Settings, number: int) -> Settings:
    """The settings of one of several workers: each has a name of its own."""
    name = f"{settings.server.name or platform.node() or 'localhost'}-{number}"
    server = settings.server.model_copy(update={"name": name})
    return settings.model_copy(update={"server": server})


def _supervise(settings: Settings, workers: int, arguments: Sequence[str]) -> int:
    from hookhub.supervisor import supervise

    # As this process was started, so that the workers find the same settings.
    command = [sys.executable, "-m", "hookhub", *arguments[1:]]
    return trio.run(supervise, settings, command, workers)


def log_plugins(plugins: Plugins) -> None:
    """Say what is wrong with plugins, and which of them delay the start."""
    import structlog

    from hookhub.plugins import SLOW

    log = structlog.get_logger("hookhub.plugins")
    for report in plugins.report():
        if report.error is not None:
            trace = {"exception": report.traceback} if report.traceback else {}
            log.error("plugin.broken", plugin=report.name, error=report.error, **trace)
        if report.load_seconds > SLOW:
            log.warning("plugin.slow", plugin=report.name, seconds=round(report.load_seconds, 1))
    for notice in plugins.notices():
        log.warning("plugin.notice", notice=notice)


def print_banner(started: Started, public_url: str | None = None) -> None:
    """Print where the hub is, and the first token, the only time it can be seen.

    On stdout and not through the log: logs are kept and sent around, a token must not be.
    """
    addresses = [public_url] if public_url else [reachable(item) for item in started.addresses]
    say(f"hookhub {__version__} runs at {', '.join(addresses)}")
    if "://" in addresses[0]:  # Not a Unix socket: no browser opens one.
        if has_panel(started):
            say(f"  Panel         {addresses[0]}/admin/")
        say(f"  API and docs  {addresses[0]}/docs")
    if started.first_token is not None:
        say(f"  Admin token   {started.first_token}")
        say("                shown this once, keep it; 'hookhub token create' makes others")


def has_panel(started: Started) -> bool:
    """Whether a plugin serves a panel."""
    return any(route.path == "/admin/" for route in started.hub.components.routes())


def reachable(address: str) -> str:
    """The address as a program on this machine calls it: ``0.0.0.0`` cannot be called."""
    return address.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")


@contextmanager
def crash_logged(settings: LogSettings, running: Callable[[], bool]) -> Iterator[None]:
    """Turn whatever leaves the block into one line ``hub.crashed`` and exit status 1.

    Except hookhub's own errors before the hub ran: those say why it does not start, to a person.

    Args:
        settings: as JSON the line has the traceback; on a console only at level debug.
        running: whether the hub had started.
    """
    try:
        yield
    except Exception as error:
        shown: BaseException = error
        while isinstance(shown, BaseExceptionGroup) and len(shown.exceptions) == 1:
            shown = shown.exceptions[0]
        if isinstance(shown, HookhubError) and not running():
            raise
        if isinstance(shown, click.ClickException | click.exceptions.Exit):
            raise
        # Not at the top: 'hookhub --help' needs no log.
        import structlog

        traced = settings.format == "json" or settings.level == "debug"
        structlog.get_logger("hookhub").critical(
            "hub.crashed",
            error=message_of(shown),
            where=place_of(shown),
            **({"exc_info": error} if traced else {}),
        )
        raise click.exceptions.Exit(1) from None
