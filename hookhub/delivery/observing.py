"""What the engine tells of attempts, and to whom."""

from __future__ import annotations

from typing import Protocol

from hookhub.contracts.deliveries import Endpoint
from hookhub.store.units.deliveries import AttemptReport, Recorded


class Observer(Protocol):
    """Is told of every attempt, in the Trio thread; must not wait or raise."""

    def attempted(self, endpoint: Endpoint, item: AttemptReport) -> None:
        """An attempt was made, and is about to be recorded."""

    def recorded(self, endpoint: Endpoint, item: AttemptReport, recorded: Recorded | None) -> None:
        """It was recorded; None: it was not, and will be made again."""
