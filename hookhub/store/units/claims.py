"""Claims: what is due, taken for a while by one who will attempt it. Units of work.

A claim sets ``due_at`` to the end of the lease and ``lease`` to a number of its own. That takes the
delivery out of the index of what is due, which has pages for each endpoint, into the index of what
is leased, which is small however long the backlog is; so its record need not touch the former.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hookhub.contracts.deliveries import Claim
from hookhub.contracts.events import Event
from hookhub.store.database import Reader, marks
from hookhub.store.schema import HELD, IS_PENDING, IS_UNCLAIMED
from hookhub.store.unit import Transaction
from hookhub.store.units.events import event_rows

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
    if not tx.is_sqlite:
        # What leases leave behind is looked at again and again until the next vacuum, unless the
        # scan is a plain one of the index: that marks it as dead. This ends with the transaction.
        tx.sql(
            "SELECT set_config('enable_bitmapscan', 'off', true), "
            "set_config('enable_seqscan', 'off', true)"
        )
    ends = _lease_ends(tx)
    rows = [
        row for endpoint_id, limit in wanted for row in _take(tx, endpoint_id, limit, until, lease)
    ]
    ended = {number: limit for number, limit in wanted if ends.get(number, HELD) <= tx.now}
    if ended:
        rows += _take_ended(tx, ended, until, lease)
        ends = _lease_ends(tx)
    ends.update((row[1], min(ends.get(row[1], until), until)) for row in rows)
    if held:
        rows = _without_held(tx, rows, held)
    events = _events(tx, {row[4] for row in rows})
    claims = [
        Claim(row[0], row[1], row[2], row[3], lease, until, events[row[4]], row[5]) for row in rows
    ]
    due = {endpoint_id: _due_of(tx, endpoint_id, ends) for endpoint_id, _ in wanted}
    return Claimed(sorted(claims), due)


_CLAIM = "UPDATE hookhub_deliveries SET due_at = ?, lease = ? WHERE id "
_CLAIMED = " RETURNING id, endpoint_id, attempts, schedule_from, sequence, created_at"


def _take(
    tx: Transaction, endpoint_id: int, limit: int, until: int, lease: int
) -> list[tuple[Any, ...]]:
    """Claim what is due and nobody's."""
    return tx.sql(
        f"{_CLAIM} IN (SELECT id FROM hookhub_deliveries WHERE endpoint_id = ? AND {IS_UNCLAIMED} "
        f"AND due_at <= ? ORDER BY due_at LIMIT ?{tx.skip_locked}) {_CLAIMED}",
        (until, lease, endpoint_id, tx.now, limit),
    )


def _take_ended(
    tx: Transaction, wanted: Mapping[int, int], until: int, lease: int
) -> list[tuple[Any, ...]]:
    """Claim what was leased by somebody who did not finish it in time."""
    found = tx.sql(
        f"SELECT id, endpoint_id FROM hookhub_deliveries WHERE {IS_PENDING} AND lease > 0 "
        f"AND due_at <= ? ORDER BY due_at{tx.skip_locked}",
        (tx.now,),
    )
    rows: list[tuple[Any, ...]] = []
    room = dict(wanted)
    for delivery_id, endpoint_id in found:
        if room.get(endpoint_id, 0) > 0:
            room[endpoint_id] -= 1
            rows += tx.sql(f"{_CLAIM} = ? {_CLAIMED}", (until, lease, delivery_id))
    return rows


def _lease_ends(reader: Reader) -> dict[int, int]:
    """When the first lease of each endpoint ends that has any."""
    rows = reader.sql(
        # All leases are positive, and the sum is no column: so neither database takes another index
        # than that of the leased ones, however many others are pending.
        "SELECT endpoint_id + 0, MIN(due_at) FROM hookhub_deliveries "
        f"WHERE {IS_PENDING} AND lease > 0 GROUP BY endpoint_id + 0"
    )
    return {row[0]: row[1] for row in rows}


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


def next_due(reader: Reader) -> dict[int, int]:
    """When the next pending delivery of each endpoint is due that has any, microseconds.

    One that is leased is due when its lease ends.
    """
    found = dict(_lease_ends(reader))
    for endpoint_id, due_at in reader.sql(FIRST_DUE):
        found[endpoint_id] = min(due_at, found.get(endpoint_id, HELD))
    return {endpoint_id: due_at for endpoint_id, due_at in found.items() if due_at < HELD}


_UNCLAIMED = f"FROM hookhub_deliveries WHERE {IS_UNCLAIMED}"
# The whole order of the index of what is due, so that no other one is taken.
_FIRST = "ORDER BY endpoint_id, due_at LIMIT 1"
FIRST_DUE = (
    "WITH RECURSIVE waiting (id) AS (SELECT CAST(0 AS BIGINT) UNION ALL "
    f"SELECT (SELECT endpoint_id {_UNCLAIMED} AND endpoint_id > waiting.id {_FIRST}) "
    "FROM waiting WHERE id IS NOT NULL) "
    f"SELECT id, (SELECT due_at {_UNCLAIMED} AND endpoint_id = waiting.id {_FIRST}) "
    "FROM waiting WHERE id > 0"
)
"""Steps from one endpoint to the next in the index of what is due: it costs as much as there are
endpoints for which something waits, however much that is and however many others there are."""


def due_of(reader: Reader, endpoint_id: int) -> int | None:
    """When the next pending delivery of one endpoint is due; None if it has none."""
    return _due_of(reader, endpoint_id, _lease_ends(reader))


def _due_of(reader: Reader, endpoint_id: int, ends: Mapping[int, int]) -> int | None:
    rows = reader.sql(f"SELECT due_at {_UNCLAIMED} AND endpoint_id = ? {_FIRST}", (endpoint_id,))
    first = min(rows[0][0] if rows else HELD, ends.get(endpoint_id, HELD))
    return first if first < HELD else None


def _events(reader: Reader, sequences: set[int]) -> dict[int, Event]:
    if not sequences:
        return {}
    wanted = sorted(sequences)
    found = event_rows(reader, f"WHERE sequence IN ({marks(wanted)})", wanted)
    return {event.sequence: event for event in found}
