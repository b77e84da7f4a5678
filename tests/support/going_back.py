"""What a restored backup does to a database, as far as the history goes."""

from __future__ import annotations

from hookhub.store import Transaction


def go_back(tx: Transaction, to: int) -> None:
    """Make the database what it was when this sequence was the last.

    From outside, as it were: ``store.write(partial(go_back, to=6), locks=False)``.
    """
    for table in ("hookhub_events", "hookhub_deliveries"):
        tx.sql(f"DELETE FROM {table} WHERE sequence > ?", (to,))
    tx.sql(
        "UPDATE hookhub_state SET last_sequence = ?, "
        "last_delivery = (SELECT COALESCE(MAX(id), 0) FROM hookhub_deliveries)",
        (to,),
    )
