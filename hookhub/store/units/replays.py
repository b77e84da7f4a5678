"""Replays: units of work.

A replay walks over a range of sequences. What it has done is one number, ``position``, written in
the transaction that makes the deliveries; a step that does not find the position it left is not
its turn any more. So an event is replayed exactly once, whatever is killed when.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from hookhub.contracts.deliveries import Page, Replay, ReplayChoice, ReplayState
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.contracts.events import OWN
from hookhub.filters import Filter
from hookhub.store.database import Reader, marks
from hookhub.store.schema import FAILED, IS_PENDING, IS_RUNNING, RUNNING
from hookhub.store.subscriptions import load_subscription
from hookhub.store.unit import Transaction

PAGE = 100
"""Payloads that are in memory at once when a filter looks into them."""


@dataclass(frozen=True, slots=True)
class WantedReplay:
    """Which events, to which endpoint."""

    endpoint_id: int
    events: tuple[str, ...]
    """Type patterns, within those of the endpoint."""
    only: ReplayChoice
    after: int
    last: int
    since: int | None = None
    until: int | None = None


class PastEvent(NamedTuple):
    """An event to replay."""

    sequence: int
    key: str | None


class Condition(NamedTuple):
    """SQL about ``hookhub_events e``, and its parameters."""

    text: str
    params: tuple[Any, ...]


def condition(reader: Reader, wanted: WantedReplay, after: int, to: int) -> Condition:
    """What an event must be like to be replayed, in a part of the range."""
    endpoint = wanted.endpoint_id
    rows = reader.sql(
        "SELECT event_types, removed_to FROM hookhub_endpoints WHERE id = ?", (endpoint,)
    )
    subscribed, removed_to = (json.loads(rows[0][0]), rows[0][1]) if rows else ([], 0)
    parts = [
        Condition("e.sequence > ? AND e.sequence <= ?", (after, to)),
        _subscribed(subscribed),
        of_types(wanted.events),
    ]
    if wanted.since is not None:
        parts.append(Condition("e.timestamp >= ?", (wanted.since,)))
    if wanted.until is not None:
        parts.append(Condition("e.timestamp < ?", (wanted.until,)))
    # The range once more: PostgreSQL would read all deliveries of the endpoint to hash them.
    to_it = (
        "(SELECT 1 FROM hookhub_deliveries d WHERE d.sequence = e.sequence "
        "AND d.sequence > ? AND d.sequence <= ? AND d.endpoint_id = ?"
    )
    place = (after, to, endpoint)
    if wanted.only == "failed":
        text = (
            f"EXISTS {to_it} AND d.status = {FAILED}) "
            f"AND NOT EXISTS {to_it} AND d.status <> {FAILED})"
        )
        parts.append(Condition(text, (*place, *place)))
    elif wanted.only == "never_sent":
        # Of what retention has removed nobody knows any more whether it was sent.
        parts.append(Condition(f"e.sequence > ? AND NOT EXISTS {to_it})", (removed_to, *place)))
    return Condition(
        " AND ".join(f"({part.text})" for part in parts),
        tuple(value for part in parts for value in part.params),
    )


def of_types(patterns: Sequence[str]) -> Condition:
    """That an event is of a type that one of the patterns matches."""
    named = ["1 = 1" if "*" in patterns else "0 = 1"]
    params: list[Any] = []
    for pattern in patterns:
        if pattern.endswith(".*"):
            named.append("substr(e.type, 1, ?) = ?")
            params += [len(pattern) - 1, pattern[:-1]]
        elif pattern != "*":
            named.append("e.type = ?")
            params.append(pattern)
    return Condition(" OR ".join(named), tuple(params))


def _subscribed(patterns: Sequence[str]) -> Condition:
    """As new events are matched: the hub's own ones must be asked for by name."""
    text, params = of_types([pattern for pattern in patterns if pattern != "*"])
    if "*" in patterns:
        text = f"e.source IS NULL OR e.source <> '{OWN}' OR {text}"
    return Condition(text, params)


def count(reader: Reader, wanted: WantedReplay, after: int, to: int) -> int:
    """How many events of a part of the range are to be replayed."""
    if _filter(reader, wanted) is not None:
        return sum(1 for _ in _walk(reader, wanted, after, to))
    text, params = condition(reader, wanted, after, to)
    rows = reader.sql(f"SELECT COUNT(*) FROM hookhub_events e WHERE {text}", params)
    found: int = rows[0][0]
    return found


def find(reader: Reader, wanted: WantedReplay, after: int, to: int, limit: int) -> list[PastEvent]:
    """The first events of a part of the range that are to be replayed."""
    return list(islice(_walk(reader, wanted, after, to, limit), limit))


def _walk(
    reader: Reader, wanted: WantedReplay, after: int, to: int, page: int = PAGE
) -> Iterator[PastEvent]:
    passes = _filter(reader, wanted)
    # Payloads may be large: only so many at a time, and only if they are looked into.
    page, payload = (page, "NULL") if passes is None else (min(page, PAGE), "e.payload")
    while True:
        text, params = condition(reader, wanted, after, to)
        rows = reader.sql(
            f"SELECT e.sequence, e.key, {payload} FROM hookhub_events e "
            f"WHERE {text} ORDER BY e.sequence LIMIT ?",
            (*params, page),
        )
        for sequence, key, content in rows:
            if passes is None or passes.matches(json.loads(content)):
                yield PastEvent(sequence, key)
        if len(rows) < page:
            return
        after = rows[-1][0]


def _filter(reader: Reader, wanted: WantedReplay) -> Filter | None:
    rows = reader.sql("SELECT 1 FROM hookhub_endpoints WHERE id = ?", (wanted.endpoint_id,))
    return load_subscription(reader, wanted.endpoint_id).filter if rows else None


def _still(
    reader: Reader, wanted: WantedReplay, candidates: Sequence[PastEvent]
) -> list[PastEvent]:
    """Those of the candidates that are to be replayed at this moment, too."""
    if not candidates:
        return []
    sequences = [item.sequence for item in candidates]
    text, params = condition(reader, wanted, sequences[0] - 1, sequences[-1])
    rows = reader.sql(
        f"SELECT e.sequence, e.key FROM hookhub_events e WHERE {text} "
        f"AND e.sequence IN ({marks(sequences)}) ORDER BY e.sequence",
        (*params, *sequences),
    )
    return [PastEvent(*row) for row in rows]


# -- jobs -----------------------------------------------------------------------------------


_SELECT = (
    "SELECT id, endpoint_id, state, event_types AS events, choice AS only, start_after AS after, "
    "end_at AS last, since, until, gap, position, total, done, created_at, updated_at, "
    "finished_at, error FROM hookhub_jobs"
)


def _replays(reader: Reader, rest: str, params: Sequence[Any]) -> list[Replay]:
    return [
        Replay(**row | {"events": tuple(json.loads(row["events"])), "gap": bool(row["gap"])})
        for row in reader.records(f"{_SELECT} {rest}", params)
    ]


def wanted_by(replay: Replay) -> WantedReplay:
    """What a replay was asked for."""
    return WantedReplay(
        replay.endpoint_id,
        replay.events,
        replay.only,
        replay.after,
        replay.last,
        replay.since,
        replay.until,
    )


def insert_replay(tx: Transaction, wanted: WantedReplay, gap: bool) -> Replay:
    """A new replay; it runs from now on."""
    values = {
        "kind": "replay",
        "state": RUNNING,
        "endpoint_id": wanted.endpoint_id,
        "event_types": json.dumps(wanted.events),
        "choice": wanted.only,
        "start_after": wanted.after,
        "end_at": wanted.last,
        "since": wanted.since,
        "until": wanted.until,
        "gap": gap,
        "position": wanted.after,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    return get_replay(tx, tx.insert("hookhub_jobs", values))


def get_replay(reader: Reader, replay_id: int) -> Replay:
    """The replay with this id. Raises NotFound."""
    for replay in _replays(reader, "WHERE id = ?", (replay_id,)):
        return replay
    raise NotFound(f"There is no replay {replay_id}; GET /replays lists them.")


def list_replays(
    reader: Reader,
    *,
    endpoint_id: int | None = None,
    state: ReplayState | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[Replay]:
    """Replays, newest first."""
    wanted = {"endpoint_id": endpoint_id, "state": state}
    asked = {name: value for name, value in wanted.items() if value is not None}
    where = "WHERE " + " AND ".join(["1 = 1", *(f"{name} = ?" for name in asked)])
    params = list(asked.values())
    [(total,)] = reader.sql(f"SELECT COUNT(*) FROM hookhub_jobs {where}", params)
    page = f"{where} ORDER BY id DESC LIMIT ? OFFSET ?"
    return Page(_replays(reader, page, (*params, limit, offset)), total, limit, offset)


_FROM: dict[ReplayState, tuple[ReplayState, ...]] = {
    "paused": ("running",),
    "running": ("paused", "failed"),
    "cancelled": ("running", "paused", "failed"),
}


def change_state(tx: Transaction, replay_id: int, state: ReplayState) -> Replay:
    """Pause, resume or cancel.

    Raises:
        NotFound: there is no such replay.
        Conflict: it is in no state for that.
    """
    before = _FROM[state]
    changed = tx.change(
        "UPDATE hookhub_jobs SET state = ?, updated_at = ?, finished_at = ?, error = NULL, "
        f"owner = NULL, lease = 0 WHERE id = ? AND state IN ({marks(before)})",
        (state, tx.now, tx.now if state == "cancelled" else None, replay_id, *before),
    )
    replay = get_replay(tx, replay_id)
    if not changed and replay.state != state:
        raise Conflict(
            f"Replay {replay_id} is {replay.state}; only one that is {' or '.join(before)} can "
            f"become {state}."
        )
    return replay


# -- running --------------------------------------------------------------------------------


def claimable(reader: Reader) -> bool:
    """Whether there is a replay that nobody works on."""
    return bool(
        reader.sql(
            f"SELECT 1 FROM hookhub_jobs WHERE {IS_RUNNING} AND lease <= ? LIMIT 1",
            (reader.now,),
        )
    )


def claim_replays(tx: Transaction, owner: str, until: int) -> list[Replay]:
    """Take the replays that nobody works on, until the lease ends (microseconds)."""
    rows = tx.sql(
        f"UPDATE hookhub_jobs SET owner = ?, lease = ? WHERE {IS_RUNNING} "
        "AND lease <= ? RETURNING id",
        (owner, until, tx.now),
    )
    return [get_replay(tx, row[0]) for row in sorted(rows)]


def owned(reader: Reader, replay_id: int, owner: str) -> Replay | None:
    """The replay as it stands, if it runs and is still this owner's."""
    mine = f"WHERE id = ? AND owner = ? AND {IS_RUNNING}"
    return next(iter(_replays(reader, mine, (replay_id, owner))), None)


def release_replays(tx: Transaction) -> int:
    """Make every replay claimable at once: only for a database that no other process uses."""
    return tx.change("UPDATE hookhub_jobs SET owner = NULL, lease = 0 WHERE owner IS NOT NULL")


def pending(reader: Reader, endpoint_id: int, most: int) -> int:
    """How many deliveries of an endpoint are pending; counts no further than ``most``.

    Those of a deleted one are none: nobody waits for them.
    """
    rows = reader.sql(
        "SELECT COUNT(*) FROM (SELECT 1 FROM hookhub_deliveries "
        f"WHERE endpoint_id = ? AND {IS_PENDING} AND EXISTS (SELECT 1 FROM hookhub_endpoints "
        "WHERE id = ? AND deleted_at IS NULL) LIMIT ?) AS found",
        (endpoint_id, endpoint_id, most),
    )
    found: int = rows[0][0]
    return found


def keep(tx: Transaction, replay_id: int, owner: str, until: int, total: int | None) -> bool:
    """Prolong a lease, and note the total if it is known; False if it is lost."""
    return (
        tx.change(
            "UPDATE hookhub_jobs SET lease = ?, total = COALESCE(?, total) "
            f"WHERE id = ? AND owner = ? AND {IS_RUNNING}",
            (until, total, replay_id, owner),
        )
        > 0
    )


def fail(tx: Transaction, replay_id: int, owner: str, reason: str) -> None:
    """Give a replay up."""
    tx.change(
        "UPDATE hookhub_jobs SET state = ?, error = ?, updated_at = ?, finished_at = ?, "
        f"owner = NULL, lease = 0 WHERE id = ? AND owner = ? AND {IS_RUNNING}",
        ("failed", reason, tx.now, tx.now, replay_id, owner),
    )


def step(
    tx: Transaction,
    replay: Replay,
    owner: str,
    candidates: Collection[PastEvent],
    position: int,
    until: int,
) -> Replay | None:
    """Make the deliveries of a part of the range, and note how far it came.

    Args:
        replay: as the step before left it.
        candidates: what :func:`find` found up to ``position``.
        until: the new end of the lease.

    Returns:
        the replay as it is now; None if it is somebody else's by now, or not running.
    """
    # Before anything else is locked, as everybody does.
    tx.lock()
    finished = position >= replay.last
    taken = tx.change(
        "UPDATE hookhub_jobs SET position = ?, lease = ?, updated_at = ? "
        f"WHERE id = ? AND owner = ? AND {IS_RUNNING} AND position = ?",
        (position, until, tx.now, replay.id, owner, replay.position),
    )
    if not taken:
        return None
    if not tx.sql(
        "SELECT 1 FROM hookhub_endpoints WHERE id = ? AND deleted_at IS NULL",
        (replay.endpoint_id,),
    ):
        fail(tx, replay.id, owner, "The endpoint was deleted.")
        return get_replay(tx, replay.id)
    events = _still(tx, wanted_by(replay), list(candidates))
    if events:
        tx.replay(replay.endpoint_id, events)
    tx.change(
        "UPDATE hookhub_jobs SET done = done + ?, state = ?, finished_at = ? WHERE id = ?",
        (len(events), "done" if finished else RUNNING, tx.now if finished else None, replay.id),
    )
    return get_replay(tx, replay.id)
