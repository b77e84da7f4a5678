"""What a person sees when a hub has started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub import __version__
from hookhub.cli.shared.output import say

if TYPE_CHECKING:
    from hookhub.server import Started


def print_banner(started: Started, public_url: str | None = None) -> None:
    """Print where the hub is, and the first token, the only time it can be seen.

    On stdout and not through the log: logs are kept and sent around, a token must not be.
    """
    addresses = [public_url] if public_url else [reachable(item) for item in started.addresses]
    say(f"hookhub {__version__} runs at {', '.join(addresses)}")
    if "://" in addresses[0]:  # Not a Unix socket: no browser opens one.
        if has_panel(started):
            say(f"  Panel         {addresses[0]}/admin/")
        say(f"  API and docs  {addresses[0]}/docs")
    if started.first_token is not None:
        say(f"  Admin token   {started.first_token}")
        say("                shown this once, keep it; 'hookhub token create' makes others")


def has_panel(started: Started) -> bool:
    """Whether a plugin serves a panel."""
    return any(route.path == "/admin/" for route in started.hub.components.routes())


def reachable(address: str) -> str:
    """The address as a program on this machine calls it: ``0.0.0.0`` cannot be called."""
    return address.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")
