"""The group ``hookhub`` and its commands."""

from __future__ import annotations

import click

from hookhub import __version__
from hookhub.cli.audit import audit
from hookhub.cli.demo import demo
from hookhub.cli.event_types import event_types
from hookhub.cli.group import HookhubGroup
from hookhub.cli.migrate import migrate
from hookhub.cli.plugins import plugins
from hookhub.cli.reencrypt import reencrypt
from hookhub.cli.send import send
from hookhub.cli.serve import serve
from hookhub.cli.token import token


@click.group(cls=HookhubGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hookhub")
def main() -> None:
    """Events in, a live feed and signed webhooks out, everything a plugin.

    Start with 'hookhub demo' to see it move, or 'hookhub serve' for a hub of your own.
    """
    from hookhub.cli.options import quiet_logging

    quiet_logging()


for command in (serve, demo, migrate, reencrypt, token, plugins, event_types, send, audit):
    main.add_command(command)
