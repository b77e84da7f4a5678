"""The life of deliveries as live subscribers may watch it: each attempt, and what came of it.

An attempt is told as ``delivery.attempted`` and then, once it is recorded, as
``delivery.delivered``, ``delivery.retry_scheduled`` or ``delivery.failed``. The last one is an
event like any other, committed with the record, so here it is only told where no event is made:
for deliveries of the hub's own events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hookhub.contracts.deliveries import Endpoint
from hookhub.contracts.events import OWN, format_timestamp
from hookhub.feed.signals import Signals
from hookhub.statistics.samples import Tally
from hookhub.store.units.deliveries import AttemptReport, Recorded


class DeliveryLife:
    """What the engine tells of every attempt; nothing is made while nobody listens.

    Args:
        signals: where it is told.
        clock: microseconds since 1970.
        tally: counts them.
    """

    def __init__(self, signals: Signals, clock: Callable[[], int], tally: Tally) -> None:
        self._signals = signals
        self._clock = clock
        self._tally = tally

    def attempted(self, endpoint: Endpoint, item: AttemptReport) -> None:
        """An attempt was made, and is about to be recorded."""
        self._tally.attempted()
        if self._signals.wanted:
            self._send("delivery.attempted", endpoint, item)

    def recorded(self, endpoint: Endpoint, item: AttemptReport, recorded: Recorded | None) -> None:
        """It was recorded; None: it was not, and will be made again."""
        if recorded is None or not recorded.taken:
            return
        self._count(item)
        if not self._signals.wanted:
            return
        if item.status == "success":
            self._send("delivery.delivered", endpoint, item)
        elif item.status == "pending":
            self._send("delivery.retry_scheduled", endpoint, item)
        elif item.claim.event.source == OWN:
            self._send("delivery.failed", endpoint, item)

    def _count(self, item: AttemptReport) -> None:
        if item.status == "success":
            # What waited for a person says nothing about how fast deliveries are.
            by_hand = item.claim.schedule_from > 0
            answered_at = item.started_at + round(item.duration * 1_000_000)
            self._tally.delivered(None if by_hand else item.claim.created_at, answered_at)
        elif item.status == "failed":
            self._tally.failed()

    def _send(self, type: str, endpoint: Endpoint, item: AttemptReport) -> None:
        self._signals.send(type, _payload(endpoint, item), self._clock())


def _payload(endpoint: Endpoint, item: AttemptReport) -> dict[str, Any]:
    event = item.claim.event
    return {
        "delivery_id": item.claim.id,
        "sink": endpoint.sink,
        "endpoint_id": endpoint.id,
        "endpoint_name": endpoint.name,
        "event_id": event.id,
        "event_type": event.type,
        "attempt_number": item.claim.attempts + 1,
        "status": item.status,
        "response_status": item.response_status,
        "error": item.error,
        "error_message": item.error_message,
        "duration_ms": round(item.duration * 1000, 1),
        "next_retry_at": format_timestamp(item.due_at),
    }
