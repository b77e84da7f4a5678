"""Commands that work on the database here, or on a hub elsewhere: which of the two is meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hookhub.cli.shared.options import config_option, gathered, settings_from, together
from hookhub.cli.shared.remote import (
    Given,
    Profiles,
    Remote,
    hub_options,
    load_profiles,
    pop_given,
    resolve,
)

if TYPE_CHECKING:
    from hookhub.config import Settings


@dataclass(frozen=True, slots=True)
class Here:
    """This machine: the plugins that are installed, the database that the settings name."""

    config: Path | None = None

    def settings(self) -> Settings:
        """The settings. Raises ConfigError."""
        return settings_from(self.config)


def choose(
    config: Path | None,
    named: bool,
    line: Given,
    environ: Given,
    load: Callable[[], Profiles] = load_profiles,
) -> Here | Remote:
    """What the command line says counts first, then the environment, then what is here.

    A hub that ``hookhub login`` remembers is meant only where no hub's configuration or database
    is: who looks after a hub means that one.

    Args:
        config: the settings' file, from the command line or the environment.
        named: whether the command line names it.
        load: reads the profiles, if they are needed.

    Raises:
        UsageError: the command line says both.
        ConfigError: as :func:`resolve`.
    """
    nothing = Given()
    if named:
        if line != nothing:
            raise click.UsageError(
                "--config means the database here; --url, --token and --profile mean a running "
                "hub. Give one or the other."
            )
        return Here(config)
    if line != nothing or environ != nothing:
        return resolve(line, environ, load)
    if config is None and not _is_here():
        profiles = load()
        if profiles.current in profiles.items:
            return resolve(line, environ, lambda: profiles)
    return Here(config)


def _is_here() -> bool:
    """Whether the working directory, or the environment, has a hub's configuration or database."""
    from hookhub.config import DEFAULT_FILE, DatabaseSettings
    from hookhub.store.database import sqlite_path

    set_up = any(name.startswith("HOOKHUB_") and "__" in name for name in os.environ)
    return set_up or Path(DEFAULT_FILE).exists() or sqlite_path(DatabaseSettings().url).exists()


def _meant(given: dict[str, Any]) -> Here | Remote:
    source = click.get_current_context().get_parameter_source("config")
    return choose(given.pop("config"), source is ParameterSource.COMMANDLINE, *pop_given(given))


where_options = gathered(together(config_option, hub_options), "where", _meant)
"""``--config`` and the options of :data:`remote_options`; the command gets ``where``, a
:class:`Here` or a :class:`Remote`."""
