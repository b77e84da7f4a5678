"""Options that several commands have, and what comes of them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hookhub.config import PluginsSettings, Settings

F = TypeVar("F", bound=Callable[..., Any])


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator; the help has them in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def gathered(
    options: Callable[[Any], Any], name: str, gather: Callable[[dict[str, Any]], Any]
) -> Callable[[F], F]:
    """The options as a decorator that gives the command one argument in place of theirs.

    Args:
        name: of the argument.
        gather: takes the values of the options out of all arguments, and makes it of them.
    """

    def add(command: F) -> F:
        @functools.wraps(command)
        def with_it(*args: Any, **kwargs: Any) -> Any:
            it = gather(kwargs)
            return command(*args, **{name: it}, **kwargs)

        decorated: F = options(with_it)
        return decorated

    return add


def checked(check: Callable[[str], str], *, shown: bool = False) -> Callable[..., Any]:
    """An option's callback that lets a check of the settings speak.

    Args:
        check: returns the value, or raises ValueError.
        shown: whether the value is repeated: it may hold a password.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(check(item) for item in value)
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} {error}." if shown else f"{error}.") from None

    return callback


def _check_bind(value: str) -> str:
    from hookhub.config import check_bind

    return check_bind(value)


config_option = click.option(
    "--config",
    "config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="HOOKHUB_CONFIG",
    help="Settings (default: hookhub.toml of the working directory, if there is one; "
    "or HOOKHUB_CONFIG).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
bind_option = click.option(
    "--bind",
    metavar="ADDRESS",
    callback=checked(_check_bind, shown=True),
    help="Where to listen: host:port, [v6]:port or unix:/path; port 0 takes a free one.",
)


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
    from hookhub.logs import configure_logging

    configure_logging(LogSettings(level="warning"), sys.stderr)
