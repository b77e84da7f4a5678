"""What waits for the writer: units of work in the order they came, and what they hold in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import outcome
import trio

from hookhub.contracts.errors import StoreUnavailable

if TYPE_CHECKING:
    from hookhub.store.lookups import Appends
    from hookhub.store.unit import Transaction


class Unit:
    """One function to run in a transaction, and who waits for it.

    Args:
        function: what to run.
        locks: whether it needs the state row.
        size: bytes that it holds in memory, about.
        task: who waits.
        appends: what it will append, if that is known beforehand.
    """

    __slots__ = ("appends", "function", "locks", "result", "since", "size", "task")

    def __init__(
        self,
        function: Callable[[Transaction], Any],
        locks: bool,
        size: int,
        task: trio.lowlevel.Task,
        appends: Appends | None = None,
    ) -> None:
        self.function = function
        self.appends = appends
        self.locks = locks
        self.size = size
        self.task = task
        self.since = time.monotonic()
        self.result: outcome.Outcome[Any] | None = None


class Units:
    """The line before the writer: Trio's thread puts and withdraws, the writer's takes.

    Args:
        most: bytes that all units together may hold, those that run included.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: dict[Unit, None] = {}
        self._running: Sequence[Unit] = ()
        self._closed = False
        self._held = 0
        self._refused = 0

    def put(self, unit: Unit) -> None:
        """Let a unit wait for its turn.

        Raises:
            StoreUnavailable: too much waits, or the hub is stopping.
        """
        with self._changed:
            if self._closed:
                raise StoreUnavailable("The hub is stopping; nothing was stored, try again later.")
            # One that is too large by itself goes when it is alone.
            if unit.size and self._held and self._held + unit.size > self._most:
                self._refused += 1
                raise StoreUnavailable(
                    f"{self._held:,} bytes wait for the database, and no more than "
                    f"{self._most:,} may ([database] max_waiting). Nothing was stored; "
                    "try again later.",
                    headers={"Retry-After": "1"},
                )
            self._waiting[unit] = None
            self._held += unit.size
            self._changed.notify()

    def withdraw(self, unit: Unit) -> bool:
        """Take a unit back, with all it holds; False if it runs already."""
        with self._changed:
            if unit not in self._waiting:
                return False
            del self._waiting[unit]
            self._held -= unit.size
            return True

    def take(self, most: int, patience: float | None = None) -> Sequence[Unit] | None:
        """Take those that wait, the oldest first; waits for one.

        Args:
            most: how many at most.
            patience: seconds to wait; None: for ever.

        Returns:
            no units: closed; None: nothing came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._closed, patience):
                return None
            self._running = list(islice(self._waiting, most))
            for unit in self._running:
                del self._waiting[unit]
            return self._running

    def finish(self, units: Sequence[Unit]) -> None:
        """Some of the units taken last are over, and what they held is free."""
        over = set(units)
        with self._changed:
            self._held -= sum(unit.size for unit in units)
            self._running = [unit for unit in self._running if unit not in over]

    def close(self) -> None:
        """Nothing more comes: :meth:`take` gives what is left, and then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def age(self) -> float:
        """Seconds since the oldest that runs or waits was put; 0 if there is none."""
        with self._changed:
            oldest = next(iter(self._running or self._waiting), None)
            return 0.0 if oldest is None else time.monotonic() - oldest.since

    def statistics(self) -> dict[str, float]:
        """Gauges, and a counter since start."""
        return {
            "queued": len(self._waiting),
            "queued_bytes": self._held,
            "refused_total": self._refused,
        }
