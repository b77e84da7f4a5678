"""Which hub a command speaks to: ``--url`` and ``--token``, the environment, or a profile."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hookhub.cli.shared.options import gathered, together
from hookhub.contracts.errors import ConfigError

if TYPE_CHECKING:
    from hookhub.client import Client
    from hookhub.client.management import Management


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


DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT = 10.0
"""Seconds that a person waits for an answer; they may simply ask again."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A hub to speak to; commands with ``remote_options`` get one."""

    url: str
    token: str = field(repr=False)

    def client(self, *, timeout: float = TIMEOUT, retries: int = 1) -> Client:
        """A client for it; close it.

        Args:
            timeout: seconds that a call may take in all.
            retries: how many tries may follow the first one.
        """
        from hookhub.client import Client

        return Client(self.url, self.token, timeout=timeout, retries=retries)

    @contextmanager
    def management(self) -> Iterator[Management]:
        """The core's operations, by a :meth:`client` that is closed at the end of the block."""
        from hookhub.client.management import Management

        with self.client() as client:
            yield Management(client)


@dataclass(frozen=True, slots=True)
class Given:
    """One way of saying which hub: the command line, the environment or nothing."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    profile: str | None = None


hub_options = together(
    click.option(
        "--url",
        "hub_url",
        envvar="HOOKHUB_URL",
        metavar="URL",
        help=f"The hub's address (or HOOKHUB_URL, or a profile's; else {DEFAULT_URL}).",
    ),
    click.option(
        "--token",
        "hub_token",
        envvar="HOOKHUB_TOKEN",
        metavar="TOKEN",
        help="A token (better: HOOKHUB_TOKEN, or 'hookhub login').",
    ),
    click.option(
        "--profile",
        "hub_profile",
        envvar="HOOKHUB_PROFILE",
        metavar="NAME",
        help="A hub that 'hookhub login' remembers (or HOOKHUB_PROFILE).",
    ),
)
"""Their own names begin with ``hub_``: a command may have a ``url`` of its own."""


def pop_given(kwargs: dict[str, Any]) -> tuple[Given, Given]:
    """Take the values of :func:`hub_options` out: what the command line says, and the environment.

    Only while a command runs.
    """
    ctx = click.get_current_context()
    given = {name: kwargs.pop(f"hub_{name}") for name in ("url", "token", "profile")}

    def of(source: ParameterSource) -> Given:
        return Given(
            **{n: v for n, v in given.items() if ctx.get_parameter_source(f"hub_{n}") is source}
        )

    return of(ParameterSource.COMMANDLINE), of(ParameterSource.ENVIRONMENT)


def resolve(line: Given, environ: Given, load: Callable[[], Profiles] = load_profiles) -> Remote:
    """The hub that is meant: what is nearer to the command counts first.

    A profile's token goes to that profile's hub and to no other, whatever ``--url`` says.

    Args:
        load: reads the profiles, if one is needed.

    Raises:
        ConfigError: no such profile, no token, or an address that is none; says what to do.
    """
    from hookhub.client.address import hub_address

    named = line.profile or (None if line.url else environ.profile)
    url, token = line.url, line.token
    if named is None:
        url, token = url or environ.url, token or environ.token
    url = url and hub_address(url)
    if url is not None and token is not None:
        return Remote(url, token)
    profiles = load()
    profile = profiles.items.get(profiles.current) if named is None else profiles.get(named)
    if profile is not None and url in (None, kept := hub_address(profile.url)):
        return Remote(kept, token or profile.token)
    url = url or DEFAULT_URL
    if token is None:
        raise ConfigError(
            f"There is no token for {url}. Run 'hookhub login {url}' once, set HOOKHUB_TOKEN, or "
            "give --token; 'hookhub token create' makes one."
        )
    return Remote(url, token)


remote_options = gathered(hub_options, "remote", lambda given: resolve(*pop_given(given)))
"""``--url``, ``--token`` and ``--profile``; the command gets ``remote``, a :class:`Remote`."""
