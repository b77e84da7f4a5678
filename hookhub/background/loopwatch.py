"""Tells who holds the event loop: as long as somebody does, nothing else in the hub goes on.

A thread asks the loop for a sign of life. It costs some microseconds a few times a second, and
nothing for each step of a task, as an instrument of Trio's would.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from types import FrameType

import structlog
import trio

from hookhub.contracts.components import Component

LIMIT = 1.0
"""Seconds without a turn of the loop from where on its holder is told."""
PAUSE = 0.25
"""Seconds between a sign of life and the next question."""
log = structlog.get_logger("hookhub.loop")


class LoopWatch:
    """Watches one event loop.

    Args:
        limit: seconds.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = limit
        self._held = 0
        self._seconds = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the loop that this is called in for as long as the block runs."""
        ended = threading.Event()
        arguments = (trio.lowlevel.current_trio_token(), threading.get_ident(), ended)
        threading.Thread(target=self._watch, args=arguments, name="loop-watch", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _watch(self, token: trio.lowlevel.TrioToken, thread: int, ended: threading.Event) -> None:
        turned = threading.Event()
        with suppress(trio.RunFinishedError):
            while not ended.wait(PAUSE):
                turned.clear()
                began, worked = time.monotonic(), time.process_time()
                token.run_sync_soon(turned.set)
                if turned.wait(self.limit):
                    continue
                waited, worked = time.monotonic() - began, time.process_time() - worked
                if not was_stopped(waited, worked, self.limit):
                    self._tell(thread, began, turned, ended)

    def _tell(
        self, thread: int, began: float, turned: threading.Event, ended: threading.Event
    ) -> None:
        frame = sys._current_frames()[thread]
        component = holder(frame)
        self._held += 1
        log.error("loop.held", component=component, seconds=self.limit, stack=_shown(frame))
        while not turned.wait(self.limit) and not ended.is_set():
            pass
        seconds = time.monotonic() - began
        self._seconds += seconds
        log.warning("loop.released", component=component, seconds=round(seconds, 1))

    def statistics(self) -> Mapping[str, float]:
        """Counters since start."""
        return {"held_total": self._held, "held_seconds_total": self._seconds}


def was_stopped(waited: float, worked: float, limit: float) -> bool:
    """Whether the whole process, the watch too, did not run (a signal, a suspended machine).

    Args:
        waited: seconds that the watch waited for ``limit``.
        worked: seconds of processor time that the process had meanwhile: much, if it was a
            computation that let no thread run.
    """
    return waited > 2 * limit and worked < waited / 2


def holder(frame: FrameType | None) -> str | None:
    """The name of the component in whose call this frame is: the innermost ``self`` that is one,
    or what the hub calls a component's method with."""
    while frame is not None:
        code = frame.f_code
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(first, Component):
            return first.name
        frame = frame.f_back
    return None


def _shown(frame: FrameType) -> str:
    """The calls of the task that runs, the innermost last."""
    inner = takewhile(
        lambda item: item[0].f_globals.get("__name__") != "trio._core._run",
        traceback.walk_stack(frame),
    )
    return "".join(traceback.StackSummary.extract(reversed(list(inner))).format()).rstrip()
