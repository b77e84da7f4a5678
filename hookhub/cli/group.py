"""A click group that tells hookhub's errors as sentences, and takes in plugins' commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hookhub.errors import ConfigError, HookhubError

if TYPE_CHECKING:
    from hookhub.cli.plugin_commands import PluginCommands

_META = "hookhub.cli.plugin_commands"


class Failure(click.ClickException):
    """An error of hookhub for a person at a terminal: exit status 1, no traceback."""

    def __init__(self, error: HookhubError) -> None:
        lines = [error.detail]
        if not isinstance(error, ConfigError):  # Its text names them already.
            lines += [f"  {_place(item['loc'])}: {item['msg']}" for item in error.errors]
        super().__init__("\n".join(lines))


def _place(loc: list[str | int]) -> str:
    return ".".join(map(str, loc))


class HookhubGroup(click.Group):
    """The top of the program: plugins' commands stand beside its own.

    Args:
        sections: heading in the help to names of commands; what is in none comes last.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections or {}

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HookhubError as error:
            raise Failure(error) from None
        except BaseExceptionGroup as group:
            # What leaves a nursery is wrapped, however single it is.
            single = _single(group)
            if isinstance(single, HookhubError):
                raise Failure(single) from None
            if isinstance(single, KeyboardInterrupt | click.ClickException | click.exceptions.Exit):
                raise single from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_plugin_commands(ctx, self).commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        return own or _plugin_commands(ctx, self).commands.get(cmd_name)

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


def _plugin_commands(ctx: click.Context, group: click.Group) -> PluginCommands:
    found: PluginCommands | None = ctx.meta.get(_META)
    if found is None:
        from hookhub.cli.plugin_commands import load_plugin_commands

        found = ctx.meta[_META] = load_plugin_commands(set(group.commands))
    return found


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
