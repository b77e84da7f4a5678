"""Signals: what happens to deliveries right now, for live subscribers who ask for it.

Nothing is made while nobody asks. Signals never hold up an event: each subscriber has a small box
of them, emptied when it has no event to send; what finds the box full is dropped and counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeAlias

import structlog

from hookhub.contracts.events import format_timestamp, type_matcher
from hookhub.contracts.sinks import Signal
from hookhub.feed.selection import Wanted
from hookhub.filters import Filter

FAMILY = "delivery."
"""Only a pattern that begins with this asks for signals: ``*`` means events."""
SIGNAL_TYPES = ("delivery.attempted", "delivery.delivered", "delivery.retry_scheduled")
SIGNAL_SCOPE = "webhooks:read"
BOX = 1_000
"""Signals that may wait for one subscriber."""

Ear: TypeAlias = Callable[[Signal], None]

log = structlog.get_logger("hookhub.feed")


class Signals:
    """Tells signals to those who listen."""

    def __init__(self) -> None:
        self._ears: dict[Ear, None] = {}
        self._sent = 0
        self._dropped = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._ears)

    def add(self, ear: Ear) -> None:
        """Call this with every signal from now on; it must not block or await."""
        self._ears[ear] = None

    def remove(self, ear: Ear) -> None:
        """Do not call it any more."""
        self._ears.pop(ear, None)

    def send(self, type: str, payload: dict[str, Any], timestamp: int) -> None:
        """Tell all who listen.

        Args:
            timestamp: microseconds since 1970.
        """
        text = (
            f'{{"type": "{type}", "payload": {json.dumps(payload)}, '
            f'"timestamp": "{format_timestamp(timestamp)}", "ephemeral": true}}'
        )
        signal = Signal(type, payload, text.encode("ascii"))
        self._sent += 1
        for ear in list(self._ears):
            try:
                ear(signal)
            except (Exception, SystemExit):
                log.exception("signal.failed", type=type)

    def dropped(self) -> None:
        """Count a signal that somebody was too slow for."""
        self._dropped += 1

    def statistics(self) -> dict[str, float]:
        """Counters since start, and who listens now."""
        return {
            "signals_total": self._sent,
            "signals_dropped_total": self._dropped,
            "signal_listeners": len(self._ears),
        }


class SignalBox:
    """The signals that wait for one subscriber.

    Args:
        signals: where they come from.
        wake: called when something is put in.
    """

    def __init__(self, signals: Signals, wake: Callable[[], None]) -> None:
        self._signals = signals
        self._wake = wake
        self._select: Callable[[Signal], bool] | None = None
        # Most subscribers never ask: theirs shall cost no memory.
        self._waiting: deque[Signal] | None = None
        self._dropped = 0

    def choose(self, wanted: Wanted) -> None:
        """Listen for what these patterns ask for; for nothing if they ask for none."""
        self._select = _selector(wanted)
        if self._select is None:
            self.close()
        else:
            self._waiting = self._waiting if self._waiting is not None else deque()
            self._signals.add(self._put)

    def close(self) -> None:
        """Stop listening."""
        self._signals.remove(self._put)
        self._waiting = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, signal: Signal) -> None:
        if self._select is None or self._waiting is None or not self._select(signal):
            return
        if len(self._waiting) >= BOX:
            self._dropped += 1
            self._signals.dropped()
            return
        self._waiting.append(signal)
        self._wake()

    def take(self, most: int) -> tuple[list[Signal], int]:
        """Take out what waits, and how many found no room since this was asked last.

        The dropped ones came after those that are taken.
        """
        waiting = self._waiting
        if not waiting and not self._dropped:
            return [], 0
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))] if waiting else []
        if waiting:
            return taken, 0
        dropped, self._dropped = self._dropped, 0
        return taken, dropped


def needs_scope(patterns: Iterable[str]) -> bool:
    """Whether one of these patterns asks for signals, for which :data:`SIGNAL_SCOPE` is needed."""
    asked = type_matcher([pattern for pattern in patterns if pattern.startswith(FAMILY)])
    return any(asked(name) for name in SIGNAL_TYPES)


def _selector(wanted: Wanted) -> Callable[[Signal], bool] | None:
    family = {name: where for name, where in wanted.items() if name.startswith(FAMILY)}
    if not family:
        return None
    tests: list[tuple[Callable[[str], bool], Filter | None]] = [
        (type_matcher([pattern]), where) for pattern, where in family.items()
    ]

    def select(signal: Signal) -> bool:
        return any(
            applies(signal.type) and (where is None or where.matches(signal.payload))
            for applies, where in tests
        )

    return select
