"""Claims: what is due, taken for a while by one who will attempt it. Units of work.

A claim sets ``due_at`` to the end of the lease and ``lease`` to a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hookhub.delivery.model import Claim
from hookhub.events import Event
from hookhub.store.append import Transaction
from hookhub.store.database import Reader
from hookhub.store.schema import HELD

NOTHING_HELD: Mapping[int, Claim] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a round of claiming found."""

    claims: list[Claim]
    due: dict[int, int | None]
    """Endpoint to when its next unclaimed delivery is due; None if it has none."""


def claim_due(
    tx: Transaction,
    wanted: Sequence[tuple[int, int]],
    *,
    lease: int,
    until: int,
    held: Mapping[int, Claim] = NOTHING_HELD,
) -> Claimed:
    """Claim deliveries that are due, oldest first.

    Args:
        wanted: endpoints, and how many to claim for each at most.
        lease: the number of this claim.
        until: when the lease ends, microseconds.
        held: what the claimer has in its hands. Of that, nothing is claimed a second time; a lease
            that has run out meanwhile is renewed.
    """
    locking = "" if tx.is_sqlite else "FOR UPDATE SKIP LOCKED"
    rows: list[tuple[Any, ...]] = []
    for endpoint_id, limit in wanted:
        rows += tx.sql(
            "UPDATE hookhub_deliveries SET due_at = ?, lease = ? WHERE id IN ("
            "SELECT id FROM hookhub_deliveries "
            "WHERE endpoint_id = ? AND status = 0 AND due_at <= ? "
            f"ORDER BY due_at LIMIT ? {locking}) "
            "RETURNING id, endpoint_id, attempts, schedule_from, sequence, created_at",
            (until, lease, endpoint_id, tx.now, limit),
        )
    if held:
        rows = _without_held(tx, rows, held)
    events = _events(tx, {row[4] for row in rows})
    claims = [
        Claim(row[0], row[1], row[2], row[3], lease, until, events[row[4]], row[5]) for row in rows
    ]
    return Claimed(sorted(claims), next_due(tx, [item[0] for item in wanted]))


def _without_held(
    tx: Transaction, rows: Sequence[tuple[Any, ...]], held: Mapping[int, Claim]
) -> list[tuple[Any, ...]]:
    """Give what is held its old lease again; returns the other rows.

    One with more attempts than the held one is another: its record is written, and not heard of.
    """
    fresh: list[tuple[Any, ...]] = []
    again: list[tuple[int, int]] = []
    for row in rows:
        mine = held.get(row[0])
        if mine is None or mine.attempts != row[2]:
            fresh.append(row)
        else:
            again.append((mine.lease, mine.id))
    if again:
        tx.many("UPDATE hookhub_deliveries SET lease = ? WHERE id = ?", again)
    return fresh


def next_due(reader: Reader, endpoints: Iterable[int]) -> dict[int, int | None]:
    """When the next pending delivery of each endpoint is due, microseconds."""
    found: dict[int, int | None] = {}
    for endpoint_id in endpoints:
        rows = reader.sql(
            "SELECT due_at FROM hookhub_deliveries WHERE endpoint_id = ? AND status = 0 "
            "ORDER BY due_at LIMIT 1",
            (endpoint_id,),
        )
        found[endpoint_id] = rows[0][0] if rows and rows[0][0] < HELD else None
    return found


def _events(reader: Reader, sequences: set[int]) -> dict[int, Event]:
    if not sequences:
        return {}
    wanted = sorted(sequences)
    rows = reader.sql(
        "SELECT sequence, id, type, payload, timestamp, key, source FROM hookhub_events "
        f"WHERE sequence IN ({', '.join('?' * len(wanted))})",
        wanted,
    )
    return {row[0]: Event(*row) for row in rows}
