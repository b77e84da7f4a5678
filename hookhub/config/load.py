"""Read the settings: file first, environment over it, every problem told at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hookhub.config.environment import apply_environment
from hookhub.config.models import Settings
from hookhub.config.problems import SettingsSource, WrongSetting, problems_of, refuse
from hookhub.contracts.errors import ConfigError

DEFAULT_FILE = "hookhub.toml"

_TOML_PLACE = re.compile(r"\(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a hub.

    Args:
        path: the file; None takes ``hookhub.toml`` of the working directory if there is one.
        environ: ``HOOKHUB_<TABLE>__<KEY>`` in it overrides the file.

    Raises:
        ConfigError: names every wrong key, its place, what is wrong and what is allowed.
    """
    source = _read(path)
    problems = apply_environment(environ, source)
    try:
        settings = Settings.model_validate(source.data)
    except ValidationError as error:
        problems += problems_of(error, source)
    else:
        problems += _missing_files(settings, source)
    if problems:
        raise refuse(problems)
    return settings


def _read(path: Path | None) -> SettingsSource:
    chosen = path or Path(DEFAULT_FILE)
    try:
        text = chosen.read_bytes().decode("utf-8")
    except FileNotFoundError:
        if path is None:
            return SettingsSource(str(chosen), "", {}, {})
        raise ConfigError(
            f"There is no configuration file {str(chosen)!r}; check --config (or HOOKHUB_CONFIG), "
            "or leave it out: every setting has a default."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{chosen} is not UTF-8 (byte {error.start}); save it as UTF-8, as TOML demands."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{chosen} cannot be read: {error.strerror}; check that it is a file and its rights."
        ) from None
    return SettingsSource(str(chosen), text, _parse(str(chosen), text), {})


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = place["line"] if place and place["line"] else str(max(1, len(text.splitlines())))
        wrong = _TOML_PLACE.sub("", message).strip()
        raise ConfigError(f"{name}, line {line}: this is not TOML: {wrong}.") from None


def _missing_files(settings: Settings, source: SettingsSource) -> list[WrongSetting]:
    problems = []
    for key in ("certfile", "keyfile"):
        name = getattr(settings.server, key)
        if name is not None and not Path(name).is_file():
            place = source.place(("server", key))
            message = f"is {name!r}, but there is no such file"
            problems.append(WrongSetting(("server", key), place, message))
    return problems
