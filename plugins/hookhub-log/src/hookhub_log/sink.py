"""The sink: a line of JSON for each event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import trio

from hookhub import Entry, QueuedLiveSink
from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import type_matcher
from hookhub_log.output import Output


class LogSink(QueuedLiveSink):
    """Writes the events of some types, one JSON object a line.

    Args:
        output: where to.
        events: type patterns.
    """

    name = "log"

    def __init__(self, output: Output, events: Iterable[str] = ("*",)) -> None:
        super().__init__()
        self._output = output
        self._matches = type_matcher(events)

    def publish(self, entries: Sequence[Entry]) -> None:
        super().publish([entry for entry in entries if self._matches(entry.event.type)])

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            # Before the first event is taken from the queue: while the file cannot be written, the
            # supervisor tries again and events wait, instead of being lost one batch at a time.
            await trio.to_thread.run_sync(self._output.open)
            await super().run(task_status)
        finally:
            self._output.close()

    async def deliver(self, entries: Sequence[Entry]) -> None:
        lines = b"".join(entry.frame + b"\n" for entry in entries)
        try:
            # A thread that hangs is left behind when the hub stops. One that writes to a file is
            # waited for: its descriptor must not be closed under it.
            await trio.to_thread.run_sync(
                self._output.write, lines, abandon_on_cancel=self._output.may_hang
            )
        except PluginError:
            self._dropped += len(entries)
            raise
