"""Bodies made by transforms: beside the loop, since they compute, and each transform by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import trio

from hookhub.contracts.events import Event
from hookhub.contracts.transforms import TransformError, TransformResult
from hookhub.plugins import TransformRegistry

THREADS = 2
"""Threads for each transform. They compute in turn, so more would not be faster; a second one lets
the others go on beside a plugin's transform that waits for something."""
RENDER_TIMEOUT = 5.0
"""Seconds for one body, the wait for a thread included."""


class Rendering:
    """Makes bodies in worker threads.

    A transform that does not return keeps its threads, and fails for whoever needs one of them;
    the other transforms have their own.
    """

    def __init__(self, transforms: TransformRegistry, timeout: float = RENDER_TIMEOUT) -> None:
        self._transforms = transforms
        self._limiters: defaultdict[str, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(THREADS)
        )
        self.timeout = timeout

    async def make(self, name: str, config: Mapping[str, Any], event: Event) -> TransformResult:
        """The body that this transform makes of an event.

        Raises:
            TransformError: it cannot be made, or not in time.
        """
        with trio.move_on_after(self.timeout):
            return await trio.to_thread.run_sync(
                self._transforms.apply,
                name,
                config,
                event,
                abandon_on_cancel=True,
                limiter=self._limiters[name],
            )
        raise TransformError(
            f"The transform {name!r} made no body within {self.timeout:g} seconds."
        )
