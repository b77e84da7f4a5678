"""The hub that would run here, for commands that look at what its plugins bring."""

from __future__ import annotations

from hookhub.cli.shared.options import without_required
from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.store import Store
from hookhub.web.assembly import assemble


async def assembled(settings: Settings, store: Store | None = None) -> Hub:
    """A hub that does not run, as ``hookhub serve`` would put it together.

    Required plugins that are missing or broken are left to the caller to tell.

    Args:
        store: None for one that is not opened.
    """
    lenient = settings.model_copy(update={"plugins": without_required(settings.plugins)})
    plugins = Plugins.load(lenient.plugins)
    return assemble(lenient, store or Store(settings.database), plugins)
