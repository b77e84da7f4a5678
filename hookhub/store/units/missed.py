"""What endpoints have missed while they were set aside: units of work.

``missed_after`` of an endpoint is set with the first event that a node left out for it, since it
could not read what the endpoint wants (:class:`hookhub.store.subscriptions.Subscriptions`). Who can
read it makes up for that with a replay of what was never sent to it, through its filter.
"""

from __future__ import annotations

import json

from hookhub.store.database import Reader
from hookhub.store.subscriptions import is_readable
from hookhub.store.unit import Transaction
from hookhub.store.units.replays import WantedReplay, insert_replay

_MISSED = (
    "SELECT id, event_types, options, missed_after FROM hookhub_endpoints "
    "WHERE missed_after IS NOT NULL AND deleted_at IS NULL AND is_active"
)


def to_catch_up(reader: Reader) -> list[int]:
    """Endpoints that have missed events and can be read here."""
    return [row[0] for row in reader.sql(_MISSED) if is_readable(*row[:3])]


def catch_up(tx: Transaction, endpoint_id: int) -> int | None:
    """Begin to replay what an endpoint has missed; returns the replay's id, None for nothing."""
    # Nodes that had set it aside shall look again.
    tx.endpoints_changed(endpoint_id)
    for _, event_types, _, after in tx.sql(f"{_MISSED} AND id = ?", (endpoint_id,)):
        tx.change("UPDATE hookhub_endpoints SET missed_after = NULL WHERE id = ?", (endpoint_id,))
        start, last = tx.sql("SELECT events_from, last_sequence FROM hookhub_state")[0]
        wanted = WantedReplay(
            endpoint_id, tuple(json.loads(event_types)), "never_sent", after, last
        )
        return insert_replay(tx, wanted, gap=start > after + 1).id
    return None
