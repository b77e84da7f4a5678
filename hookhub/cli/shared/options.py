"""Options that several commands have, and what comes of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hookhub.config import PluginsSettings, Settings

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """``--config FILE``."""
    return click.option(
        "--config",
        "config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        envvar="HOOKHUB_CONFIG",
        help="Settings (default: hookhub.toml of the working directory, if there is one; "
        "or HOOKHUB_CONFIG).",
    )(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def bind_option(command: F) -> F:
    """``--bind ADDRESS``."""
    return click.option(
        "--bind",
        metavar="ADDRESS",
        callback=_check_bind,
        help="Where to listen: host:port, [v6]:port or unix:/path; port 0 takes a free one.",
    )(command)


def _check_bind(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from hookhub.config.checks import check_bind

    try:
        return None if value is None else check_bind(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}.") from None


def settings_from(config: Path | None) -> Settings:
    """The settings of this command. Raises ConfigError."""
    from hookhub.config import load_settings

    return load_settings(config, os.environ)


def without_required(settings: PluginsSettings) -> PluginsSettings:
    """For commands that show plugins, the missing ones too, instead of refusing to run."""
    return settings.model_copy(update={"required": []})


def quiet_logging() -> None:
    """For commands that print results: only warnings, on stderr."""
    from hookhub.config import LogSettings
    from hookhub.logs.structured import configure_logging

    configure_logging(LogSettings(level="warning"), sys.stderr)
