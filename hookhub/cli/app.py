"""The group ``hookhub`` and its commands."""

from __future__ import annotations

import click

from hookhub import __version__
from hookhub.cli.audit import audit
from hookhub.cli.check import check
from hookhub.cli.completion import completion
from hookhub.cli.delivery import delivery
from hookhub.cli.demo import demo
from hookhub.cli.event_types import event_types
from hookhub.cli.group import HookhubGroup
from hookhub.cli.init import init
from hookhub.cli.login import login, profile
from hookhub.cli.migrate import migrate
from hookhub.cli.plugins import plugins
from hookhub.cli.reencrypt import reencrypt
from hookhub.cli.replay import replay
from hookhub.cli.send import send
from hookhub.cli.serve import serve
from hookhub.cli.tail import tail
from hookhub.cli.token import token
from hookhub.cli.verify import verify

SECTIONS = {
    "Running a hub": ("init", "check", "serve", "demo", "migrate", "audit", "reencrypt"),
    "What is installed, and who may": ("plugins", "event-types", "token"),
    "Speaking to a hub": (
        *("login", "profile", "send", "tail", "webhook", "delivery", "replay"),
        *("listen", "verify", "completion"),
    ),
}
"""In the help. Names of commands that a plugin brings stand here too, and are shown if it does."""


@click.group(
    cls=HookhubGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="hookhub")
def main() -> None:
    """Events in, a live feed and signed webhooks out, everything a plugin.

    Start with 'hookhub demo' to see it move, or 'hookhub serve' for a hub of your own.
    """
    from hookhub.cli.options import quiet_logging

    quiet_logging()


for command in (
    *(init, check, serve, demo, migrate, reencrypt, audit),
    *(token, plugins, event_types),
    *(login, profile, send, tail, delivery, replay),
    *(verify, completion),
):
    main.add_command(command)
