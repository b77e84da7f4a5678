"""``hookhub serve``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.running.banner import print_banner
from hookhub.cli.shared.options import bind_option, config_option, settings_from

if TYPE_CHECKING:
    from hookhub.plugins import Plugins
    from hookhub.server import Started


@click.command("serve")
@config_option
@bind_option
def serve(config: Path | None, bind: str | None) -> None:
    """Run a hub until SIGTERM or Ctrl-C; the same signal again ends it at once.

    Needs no settings: it keeps everything in hookhub.db of the working directory and listens on
    127.0.0.1:8080. The first start without any token prints one.

    \b
    Examples:
      hookhub serve
      hookhub serve --config /etc/hookhub/hookhub.toml
      HOOKHUB_DATABASE__URL=postgresql://me@db/hub hookhub serve --bind 0.0.0.0:8080
    """
    from hookhub import server
    from hookhub.cli.running.crash import crash_logged
    from hookhub.logs.structured import configure_logging
    from hookhub.plugins import Plugins

    settings = settings_from(config)
    if bind is not None:
        chosen = settings.server.model_copy(update={"bind": bind})
        settings = settings.model_copy(update={"server": chosen})
    secrets = [settings.auth.bootstrap_token or "", *settings.auth.secret_keys()]
    configure_logging(settings.log, sys.stderr, secrets)
    plugins = Plugins.load(settings.plugins)
    running: list[Started] = []

    def started(hub: Started) -> None:
        running.append(hub)
        _started(plugins, settings.server.public_url, hub)

    with crash_logged(settings.log, lambda: bool(running)):
        trio.run(partial(server.serve, settings, started=started, plugins=plugins))


def _started(plugins: Plugins, public_url: str | None, started: Started) -> None:
    log_plugins(plugins)
    print_banner(started, public_url)


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
