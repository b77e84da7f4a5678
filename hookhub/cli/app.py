"""The group ``hookhub`` and its commands."""

from __future__ import annotations

import click

from hookhub import __version__
from hookhub.cli.group import HookhubGroup

SECTIONS = {
    "Running a hub": ("init", "check", "serve", "demo", "migrate", "audit", "reencrypt"),
    "What is installed, and who may": ("plugins", "event-types", "token"),
    "Speaking to a hub": (
        *("login", "profile", "send", "tail", "webhook", "delivery", "replay"),
        *("listen", "verify", "completion"),
    ),
}
"""In the help. Names of commands that a plugin brings stand here too, and are shown if it does."""

COMMANDS = {
    "audit": "hookhub.cli.audit:audit",
    "check": "hookhub.cli.check:check",
    "completion": "hookhub.cli.completion:completion",
    "delivery": "hookhub.cli.delivery:delivery",
    "event-types": "hookhub.cli.event_types:event_types",
    "init": "hookhub.cli.init:init",
    "login": "hookhub.cli.login:login",
    "migrate": "hookhub.cli.migrate:migrate",
    "plugins": "hookhub.cli.plugins:plugins",
    "profile": "hookhub.cli.login:profile",
    "reencrypt": "hookhub.cli.reencrypt:reencrypt",
    "replay": "hookhub.cli.replay:replay",
    "send": "hookhub.cli.send:send",
    "serve": "hookhub.cli.serve:serve",
    "tail": "hookhub.cli.tail:tail",
    "token": "hookhub.cli.token:token",
    "verify": "hookhub.cli.verify:verify",
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
    from hookhub.cli.options import quiet_logging

    quiet_logging()
