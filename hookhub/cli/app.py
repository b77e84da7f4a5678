"""The group ``hookhub`` and its commands."""

from __future__ import annotations

import click

from hookhub import __version__
from hookhub.cli.shared.group import HookhubGroup

SECTIONS = {
    "Running a hub": ("init", "check", "serve", "demo", "migrate", "audit", "reencrypt"),
    "What is installed, and who may": ("plugins", "event-types", "token"),
    "Speaking to a hub": (
        *("login", "profile", "send", "tail", "webhook", "delivery", "replay"),
        *("listen", "verify", "nodes", "completion"),
    ),
}
"""In the help. Names of commands that a plugin brings stand here too, and are shown if it does."""

COMMANDS = {
    "audit": "hookhub.cli.server.database:audit",
    "check": "hookhub.cli.check.command:check",
    "completion": "hookhub.cli.client.completion:completion",
    "delivery": "hookhub.cli.client.deliveries:delivery",
    "event-types": "hookhub.cli.server.installed:event_types",
    "init": "hookhub.cli.server.init:init",
    "login": "hookhub.cli.client.login:login",
    "migrate": "hookhub.cli.server.database:migrate",
    "nodes": "hookhub.cli.client.nodes:nodes",
    "plugins": "hookhub.cli.server.installed:plugins",
    "profile": "hookhub.cli.client.login:profile",
    "reencrypt": "hookhub.cli.server.database:reencrypt",
    "replay": "hookhub.cli.client.replays:replay",
    "send": "hookhub.cli.client.send:send",
    "serve": "hookhub.cli.server.serve:serve",
    "tail": "hookhub.cli.client.tail:tail",
    "token": "hookhub.cli.server.tokens:token",
}
"""Where each is; a module is imported when its command is looked at."""


@click.group(
    cls=HookhubGroup,
    sections=SECTIONS,
    places=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="hookhub")
def main() -> None:
    """Events in, a live feed and signed webhooks out, everything a plugin.

    Start with 'hookhub demo' to see it move, or 'hookhub serve' for a hub of your own.
    """
    from hookhub.cli.shared.options import quiet_logging

    quiet_logging()
