"""A click group that tells hookhub's errors as sentences, and takes in plugins' commands."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared.output import printable
from hookhub.contracts.errors import ConfigError, HookhubError

if TYPE_CHECKING:
    from hookhub.cli.shared.plugin_commands import PluginCommands

_TOLD = (KeyboardInterrupt, BrokenPipeError, click.ClickException, click.exceptions.Exit)
"""What click tells a person itself, or keeps quiet about: ``| head`` has read enough."""
_FULL = {errno.ENOSPC, errno.EDQUOT}

_META = "hookhub.cli.shared.plugin_commands"


class Failure(click.ClickException):
    """An error of hookhub for a person at a terminal: exit status 1, no traceback."""

    def __init__(self, error: HookhubError) -> None:
        lines = [error.detail]
        if not isinstance(error, ConfigError):  # Its text names them already.
            # A single mistake is often the sentence itself.
            told = error.detail.casefold()
            lines += [
                f"  {_place(item['loc'])}: {item['msg']}"
                for item in error.errors
                if item["msg"].rstrip(".").casefold() not in told
            ]
        super().__init__(printable("\n".join(lines)))


def _place(loc: list[str | int]) -> str:
    return ".".join(map(str, loc))


class HookhubGroup(click.Group):
    """The top of the program: plugins' commands stand beside its own.

    Args:
        sections: heading in the help to names of commands; what is in none comes last.
        places: name of a command to ``module:attribute``, imported when somebody asks for it.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Sequence[str]] | None = None,
        places: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections or {}
        self._places = places or {}

    def own_names(self) -> set[str]:
        """The names of hookhub's own commands."""
        return {*self.commands, *self._places}

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        # --help and --version print already here.
        with _telling():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _telling():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.own_names(), *_plugin_commands(ctx, self).commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is None and cmd_name in self._places:
            own = self._load(cmd_name)
        return own or _plugin_commands(ctx, self).commands.get(cmd_name)

    def _load(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        self.add_command(found, name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: item for name, item in found.items() if item is not None and not item.hidden}
        placed = {name for names in self._sections.values() for name in names}
        rest = [name for name in shown if name not in placed]
        width = formatter.width - 6 - max(map(len, shown), default=0)
        for heading, names in (*self._sections.items(), ("More commands", rest)):
            rows = [
                (name, shown[name].get_short_help_str(width)) for name in names if name in shown
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            broken = _plugin_commands(ctx, self).broken
            if not broken:
                raise
            hint = f"broken plugins: {', '.join(broken)}; see 'hookhub plugins'"
            raise click.UsageError(f"{error.format_message()} ({hint})", ctx) from None


def _plugin_commands(ctx: click.Context, group: HookhubGroup) -> PluginCommands:
    found: PluginCommands | None = ctx.meta.get(_META)
    if found is None:
        from hookhub.cli.shared.plugin_commands import load_plugin_commands

        found = ctx.meta[_META] = load_plugin_commands(group.own_names())
    return found


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        told = _told(error)
        if told is None or told is error:
            raise
        raise told from None


def _told(error: BaseException) -> BaseException | None:
    """What a person is told instead of a traceback; None for what nobody foresaw."""
    # What leaves a nursery is wrapped, however single it is.
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, HookhubError):
        return Failure(error)
    if isinstance(error, OSError) and error.errno in _FULL:
        _drop_output()
        return click.ClickException(f"What it prints cannot be written: {error.strerror}.")
    return error if isinstance(error, _TOLD) else None


def _drop_output() -> None:
    """What is left in the buffer would fail once more at exit, and be shown with a traceback."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
