"""Which hub a command speaks to: ``--url`` and ``--token``, the environment, or a profile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from hookhub.cli.shared.profiles import Profiles, load_profiles
from hookhub.contracts.errors import ConfigError

if TYPE_CHECKING:
    from hookhub.client import Client
    from hookhub.client.management import Management

F = TypeVar("F", bound=Callable[..., Any])

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


def remote_options(command: F) -> F:
    """``--url``, ``--token`` and ``--profile``; the command gets ``remote``, a :class:`Remote`."""

    @functools.wraps(command)
    def with_remote(*args: Any, **kwargs: Any) -> Any:
        return command(*args, remote=resolve(*pop_given(kwargs)), **kwargs)

    return hub_options(with_remote)  # type: ignore[return-value]


def hub_options(command: F) -> F:
    """The three options alone; see :func:`pop_given`.

    Their own names begin with ``hub_``: a command may have a ``url`` of its own.
    """
    for option in (
        click.option(
            "--profile",
            "hub_profile",
            envvar="HOOKHUB_PROFILE",
            metavar="NAME",
            help="A hub that 'hookhub login' remembers (or HOOKHUB_PROFILE).",
        ),
        click.option(
            "--token",
            "hub_token",
            envvar="HOOKHUB_TOKEN",
            metavar="TOKEN",
            help="A token (better: HOOKHUB_TOKEN, or 'hookhub login').",
        ),
        click.option(
            "--url",
            "hub_url",
            envvar="HOOKHUB_URL",
            metavar="URL",
            help=f"The hub's address (or HOOKHUB_URL, or a profile's; else {DEFAULT_URL}).",
        ),
    ):
        command = option(command)
    return command


def pop_given(kwargs: dict[str, Any]) -> tuple[Given, Given]:
    """Take the values of :func:`hub_options` out: what the command line says, and the environment.

    Only while a command runs.
    """
    ctx = click.get_current_context()
    given = {name: kwargs.pop(f"hub_{name}") for name in ("url", "token", "profile")}
    return _from(ctx, given, line=True), _from(ctx, given, line=False)


def _from(ctx: click.Context, given: dict[str, str | None], *, line: bool) -> Given:
    """What of it the command line says, or what the environment does."""
    source = ParameterSource.COMMANDLINE if line else ParameterSource.ENVIRONMENT
    found = {
        name: text
        for name, text in given.items()
        if ctx.get_parameter_source(f"hub_{name}") is source
    }
    return Given(**found)


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
