"""The outbox: events that other programs put into ``hookhub_outbox`` in their own transactions."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from hookhub.contracts.errors import HookhubError, ValidationFailed
from hookhub.contracts.events import Draft, parse_json
from hookhub.store import Store
from hookhub.store.units.events import OutboxItem, outbox_waiting, relay_outbox

BATCH = 500

log = structlog.get_logger("hookhub.background.outbox")


class OutboxRelay:
    """Turns rows into events. A row that cannot become one stays, with the reason in ``error``;
    set that to NULL (after mending the row) to have it tried again.

    Args:
        draft: :meth:`hookhub.hub.Hub.draft`.
        interval: seconds between looks.
    """

    def __init__(self, store: Store, draft: Callable[..., Draft], interval: float) -> None:
        self._store = store
        self._draft = draft
        self._interval = interval
        self._relayed = 0
        self._rejected = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look into the table for as long as the hub runs."""
        task_status.started()
        while True:
            try:
                if await self._store.read(outbox_waiting):
                    await self.relay()
                    continue
            except HookhubError as error:
                log.warning("outbox.failed", error=error.detail)
            except Exception:
                # Nothing that another program wrote may end the hub.
                log.exception("outbox.failed")
            await trio.sleep(self._interval)

    async def relay(self) -> int:
        """Take what waits now; returns how many became events."""
        relayed, rejected = await self._store.write(
            lambda tx: relay_outbox(tx, self._make_draft, BATCH)
        )
        self._relayed += relayed
        self._rejected += len(rejected)
        for row_id, reason in rejected:
            log.error("outbox.rejected", row=row_id, reason=reason)
        return relayed

    def _make_draft(self, row: OutboxItem) -> Draft:
        payload = parse_json(row.payload)
        if not isinstance(payload, dict):
            raise ValidationFailed("The payload is not a JSON object.")
        return self._draft(row.type, payload, key=row.key, source=row.source, id=row.event_id)

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {"relayed_total": self._relayed, "rejected_total": self._rejected}
