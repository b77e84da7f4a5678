"""What attempts mean for their endpoints: warnings, disabling, and the hub's own events.

Everything is written in the transaction that records the attempts, so that an endpoint is never
off without the event that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from hookhub.config import DeliverySettings
from hookhub.contracts.deliveries import Endpoint
from hookhub.contracts.events import OWN, Draft, format_timestamp
from hookhub.store import Transaction
from hookhub.store.units.deliveries import AttemptReport, Recorded, record_all
from hookhub.store.units.endpoints import disable_endpoint, find_endpoint, mark_warned

log = structlog.get_logger("hookhub.delivery")

MakeDraft = Callable[[str, Mapping[str, Any]], Draft]


class Verdicts:
    """Records attempts and judges endpoints.

    Args:
        draft: makes one of the hub's own events; None makes none.
    """

    def __init__(self, settings: DeliverySettings, draft: MakeDraft | None = None) -> None:
        self._warn_after = round(settings.warn_after * 1_000_000)
        self._disable_after = round(settings.disable_after * 1_000_000)
        self._draft = draft

    def record(self, tx: Transaction, items: Sequence[AttemptReport]) -> list[Recorded]:
        """Write attempts down within a transaction, with all that follows from them."""
        recorded = record_all(tx, items)
        failed = {
            item.claim.endpoint_id: position
            for position, item in enumerate(items)
            if item.status != "success"
        }
        for item, result in zip(items, recorded, strict=True):
            if item.status == "failed" and result.taken:
                self._announce_failed(tx, item)
        gone = {item.claim.endpoint_id: item for item in items if item.gone}
        for endpoint_id, position in failed.items():
            reason = self._judge(tx, endpoint_id, items[position], gone.get(endpoint_id))
            if reason is not None:
                recorded[position] = replace(recorded[position], disabled=True)
        return recorded

    def _judge(
        self, tx: Transaction, endpoint_id: int, item: AttemptReport, gone: AttemptReport | None
    ) -> str | None:
        """Warn or disable an endpoint that fails; returns why it was disabled."""
        endpoint = find_endpoint(tx, endpoint_id)
        if endpoint is None or not endpoint.is_active:
            return None
        if gone is not None:
            return self._disable(tx, endpoint, gone.error_message or "The receiver is gone.", gone)
        since = endpoint.failing_since
        if since is None:
            return None
        failing = tx.now - since
        if failing >= self._disable_after:
            days = failing / 86_400_000_000
            reason = f"Nothing but failures for {days:.1f} days; the last: {item.error_message}"
            return self._disable(tx, endpoint, reason, item)
        if failing >= self._warn_after and mark_warned(tx, endpoint_id):
            self._announce(
                tx,
                item,
                f"{endpoint.sink}.failing",
                {
                    **_about(endpoint),
                    "failing_since": format_timestamp(since),
                    "error": item.error_message,
                },
            )
        return None

    def _disable(
        self, tx: Transaction, endpoint: Endpoint, reason: str, item: AttemptReport
    ) -> str:
        disable_endpoint(tx, endpoint.id, reason)
        about = {**_about(endpoint), "reason": reason}
        self._announce(tx, item, f"{endpoint.sink}.disabled", about)
        return reason

    def _announce_failed(self, tx: Transaction, item: AttemptReport) -> None:
        claim = item.claim
        self._announce(
            tx,
            item,
            "delivery.failed",
            {
                "delivery_id": claim.id,
                "endpoint_id": claim.endpoint_id,
                "event_id": claim.event.id,
                "event_type": claim.event.type,
                "attempts": claim.attempts + 1,
                "response_status": item.response_status,
                "error": item.error,
                "error_message": item.error_message,
            },
        )

    # What happens to the deliveries of the hub's own events makes no more of them: a receiver that
    # cannot take the news of its own failure must not make news for ever.
    def _announce(
        self, tx: Transaction, item: AttemptReport, event_type: str, payload: Mapping[str, Any]
    ) -> None:
        if self._draft is None or item.claim.event.source == OWN:
            return
        try:
            draft = self._draft(event_type, payload)
        except Exception:
            # What was done must be written down, whether it can be told of or not.
            log.exception("delivery.announcement_failed", type=event_type)
        else:
            tx.append(draft)


def _about(endpoint: Endpoint) -> dict[str, Any]:
    return {"id": endpoint.id, "name": endpoint.name}
