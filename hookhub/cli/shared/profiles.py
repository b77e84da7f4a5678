"""Hubs that ``hookhub login`` remembers: a file of the user's own, readable by nobody else."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from hookhub.contracts.errors import ConfigError

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A hub and how to be let in."""

    url: str
    token: str = field(repr=False)


@dataclass(slots=True)
class Profiles:
    """The content of the file."""

    items: dict[str, Profile] = field(default_factory=dict)
    current: str = DEFAULT
    """The one that is taken if none is named."""

    def get(self, name: str) -> Profile:
        """A profile by its name. Raises ConfigError if there is none."""
        if name in self.items:
            return self.items[name]
        known = ", ".join(sorted(self.items)) or "none yet"
        raise ConfigError(
            f"There is no profile {name!r} (there are: {known}); "
            f"'hookhub login URL --profile {name}' makes it."
        )


def profiles_path() -> Path:
    """Where the file is: ``hookhub/profiles.toml`` below ``XDG_CONFIG_HOME`` (``~/.config``)."""
    return Path(click.get_app_dir("hookhub"), "profiles.toml")


def load_profiles(path: Path | None = None) -> Profiles:
    """Read the file; none is like an empty one.

    Raises:
        ConfigError: it cannot be read, or is not what :func:`save_profiles` writes.
    """
    path = path or profiles_path()
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        return _parse(data)
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path} is not a file of profiles any more; mend it, or delete it and log in again."
        ) from None


def _parse(data: Mapping[str, Any]) -> Profiles:
    tables = data.get("profiles", {})
    items = {name: Profile(str(t["url"]), str(t["token"])) for name, t in tables.items()}
    return Profiles(items, str(data.get("current", DEFAULT)))


def save_profiles(profiles: Profiles, path: Path | None = None) -> Path:
    """Write the file: whole or not at all, and readable by its owner only."""
    path = path or profiles_path()
    # JSON's texts are TOML's basic strings, escapes included.
    lines = ["# Written by 'hookhub login'. There are tokens in here.", ""]
    lines.append(f"current = {json.dumps(profiles.current)}")
    for name, profile in sorted(profiles.items.items()):
        lines += ["", f"[profiles.{json.dumps(name)}]"]
        lines += [f"url = {json.dumps(profile.url)}", f"token = {json.dumps(profile.token)}"]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def write_private(path: Path, text: str) -> None:
    """Put a file in place whole, with mode 0600. Raises OSError."""
    # mkstemp makes it with this mode, so that there is no moment with another one.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
