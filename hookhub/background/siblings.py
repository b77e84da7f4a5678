"""The workers behind one port, as far as numbers go: each tells the others what it has counted.

Whoever is asked for the metrics asks the others, and keeps what they said: what a worker had
counted that is gone by now still counts, so no sum ever goes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import trio

from hookhub.statistics.histogram import Histogram

PATIENCE = 1.0
"""Seconds that another worker may take to answer; then what it said last counts."""

_HIGHEST = (
    *("_max", "_seconds", "last_sequence", "epoch", "nodes", "listening"),
    *("endpoints_unreadable", "breakers_open"),
)
"""Endings of gauges that several workers see of one thing: the highest counts, not the sum."""

Numbers = Mapping[str, Mapping[str, float]]


class Snapshot(NamedTuple):
    """What a process counts, at a moment."""

    numbers: Numbers
    """Component to name to number."""
    latency: Histogram

    def text(self) -> str:
        """As others read it."""
        members = [self.numbers, self.latency.counts, self.latency.total]
        return json.dumps(members)

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """The opposite of :meth:`text`. Raises ValueError."""
        numbers, counts, total = json.loads(text)
        return cls(numbers, Histogram(counts, total))

    def counters(self) -> Snapshot:
        """What is left of a process that is gone."""
        kept = {
            component: {name: value for name, value in numbers.items() if is_counter(name)}
            for component, numbers in self.numbers.items()
        }
        return self._replace(numbers=kept)

    def __add__(self, other: Any) -> Snapshot:
        """The two as one process. Pure."""
        both = {component: dict(numbers) for component, numbers in self.numbers.items()}
        for component, numbers in other.numbers.items():
            found = both.setdefault(component, {})
            for name, value in numbers.items():
                highest = not is_counter(name) and name.endswith(_HIGHEST)
                here = found.get(name, 0.0)
                found[name] = max(here, value) if highest else here + value
        return Snapshot(both, self.latency + other.latency)


def is_counter(name: str) -> bool:
    """Whether a number only grows."""
    return name.endswith("_total")


class Siblings:
    """This worker among those of its supervisor.

    Args:
        directory: where they find each other: a socket of each, and what it said last.
        own_id: names this one.
        snapshot: what it counts.
    """

    def __init__(self, directory: Path, own_id: str, snapshot: Callable[[], Snapshot]) -> None:
        self._directory = directory
        self._own_id = own_id
        self._snapshot = snapshot

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer the others until cancelled; leave what was counted."""
        path = self._directory / f"{self._own_id}.sock"
        listening = trio.socket.socket(trio.socket.AF_UNIX)
        await listening.bind(str(path))
        listening.listen()
        try:
            task_status.started()
            await trio.serve_listeners(self._answer, [trio.SocketListener(listening)])
        finally:
            self._keep(self._own_id, self._snapshot().text())
            self._forget(path)

    async def _answer(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async with stream:
                await stream.send_all(self._snapshot().text().encode())

    async def all(self) -> Snapshot:
        """What all workers have counted, together."""
        own = self._snapshot()
        self._keep(self._own_id, own.text())
        async with trio.open_nursery() as nursery:
            for path in self._directory.glob("*.sock"):
                if path.stem != self._own_id:
                    nursery.start_soon(self._ask, path)
        for other in self._kept():
            own += other
        return own

    async def _ask(self, path: Path) -> None:
        text = b""
        with trio.move_on_after(PATIENCE) as waiting:
            try:
                async with await trio.open_unix_socket(str(path)) as stream:
                    async for part in stream:
                        text += part
            except OSError:
                self._forget(path)
                return
        if not waiting.cancelled_caught:
            self._keep(path.stem, text.decode())

    def _kept(self) -> Iterator[Snapshot]:
        """What the others have said last."""
        for path in self._directory.glob("*.json"):
            if path.stem != self._own_id:
                with suppress(OSError, ValueError):
                    said = Snapshot.parse(path.read_text())
                    yield said if path.with_suffix(".sock").exists() else said.counters()

    def _forget(self, path: Path) -> None:
        """Nobody is there any more."""
        path.unlink(missing_ok=True)

    def _keep(self, name: str, text: str) -> None:
        # Another worker may read it at any moment.
        fresh = self._directory / f"{name}.{self._own_id}"
        with suppress(OSError):
            fresh.write_text(text)
            fresh.replace(self._directory / f"{name}.json")
