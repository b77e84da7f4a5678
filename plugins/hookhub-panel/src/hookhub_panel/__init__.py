"""The browser panel of a hub, at ``/admin/``: plain ES modules over the hub's own API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import Source, hookimpl

if TYPE_CHECKING:
    from hookhub.hub import Hub


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    # Not at the top: 'hookhub --help' asks every plugin for commands, and need not wait for this.
    from hookhub_panel.panel import Panel

    return [Panel()]
