"""A hookhub live sink that writes a JSON line for each event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import LiveSink, hookimpl

if TYPE_CHECKING:
    from hookhub.hub import Hub


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[LiveSink]:
    # Not at the top: 'hookhub --help' asks every plugin for commands, and need not wait for these.
    from hookhub_log.output import FileOutput, StandardOutput
    from hookhub_log.settings import LogSinkSettings
    from hookhub_log.sink import LogSink

    settings = hub.settings.plugins.read("log", LogSinkSettings)
    output = StandardOutput() if settings.file is None else FileOutput(settings.file)
    return [LogSink(output, settings.events)]
