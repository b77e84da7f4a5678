"""``hookhub demo``: a hub with something going on, and a receiver that checks signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def hookhub_commands(cli: click.Group) -> None:
    from hookhub_demo.command import demo

    cli.add_command(demo)
