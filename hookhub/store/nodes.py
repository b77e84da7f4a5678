"""Which hubs are alive on one PostgreSQL: each holds an advisory lock as long as it lives.

The lock is a session's, so the server itself drops it when the process dies, however it dies:
at once if its machine lives on, else when the server's keep-alive finds nobody there. A process
that is frozen counts as dead as well: the server ends a session that says nothing for too long.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hookhub.config import DatabaseSettings
from hookhub.store.database import run_sql
from hookhub.store.kept_session import KeptSession
from hookhub.store.notices import CHANNEL

LOCK_CLASS = 0x686F6F6B
"""First half of the locks' keys; the second half is the node's number."""
_LEAVING = LOCK_CLASS + 1
"""The same of a node that is about to stop."""
_SLOT = LOCK_CLASS + 2
"""The same of a slot of endpoints; the second half is its number."""
_SILENCE = 20
"""Seconds until the server ends a session in which nothing is asked (PostgreSQL 14 and later)."""
_NODES = (
    "SELECT locks.classid::bigint, locks.objid::bigint, COALESCE(EXTRACT(EPOCH FROM "
    "clock_timestamp() - GREATEST(of.query_start, of.state_change)), 0)::float8 "
    "FROM pg_locks AS locks "
    "LEFT JOIN pg_stat_activity AS of ON of.pid = locks.pid "
    "WHERE locks.locktype = 'advisory' AND granted AND objsubid = 2 "
    f"AND classid IN ({LOCK_CLASS}, {_LEAVING}) "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Neighbours(NamedTuple):
    """Who holds the lock of its number."""

    silent: dict[int, float]
    """Node to the seconds for which its session has asked nothing."""
    leaving: frozenset[int]
    """Those that are about to stop."""


class NodeLock(KeptSession):
    """A kept session with this node's lock; a lock means nothing if it is not its own.

    Args:
        settings: a PostgreSQL database.

    Raises:
        StoreError: it cannot be connected to.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings, "hookhub node", _SILENCE)

    def take(self, node: int) -> bool:
        """Take the lock of this number; False if another session has it. Raises StoreUnavailable"""
        return bool(self.value(f"SELECT pg_try_advisory_lock({LOCK_CLASS}, {node})"))

    def look(self) -> Neighbours:
        """All nodes that hold their lock. Raises StoreUnavailable."""
        rows = self.run(lambda: run_sql(self._database, _NODES).fetchall())
        return Neighbours(
            {node: silent for kind, node, silent in rows if kind == LOCK_CLASS},
            frozenset(node for kind, node, _ in rows if kind == _LEAVING),
        )

    def leave(self, node: int) -> None:
        """Say that this node is about to stop. Raises StoreUnavailable."""
        self.value(f"SELECT pg_try_advisory_lock({_LEAVING}, {node})")

    def end(self, node: int) -> None:
        """End the session of another node, with all its locks. Raises StoreUnavailable."""
        self.value(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_locks "
            f"WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = {LOCK_CLASS} "
            f"AND objid = {node} AND pid <> pg_backend_pid() "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )

    def tell(self, text: str) -> None:
        """Give a notice. Raises StoreUnavailable."""
        self.value(f"SELECT pg_notify('{CHANNEL}', '{text}')")

    def take_slots(self, slots: Collection[int]) -> set[int]:
        """Take the locks of those slots that nobody owns. Raises StoreUnavailable."""
        return self._slots("pg_try_advisory_lock", slots)

    def release_slots(self, slots: Collection[int]) -> None:
        """Let others own these slots. Raises StoreUnavailable."""
        self._slots("pg_advisory_unlock", slots)

    def _slots(self, function: str, slots: Collection[int]) -> set[int]:
        if not slots:
            return set()
        values = ", ".join(f"({slot})" for slot in sorted(slots))
        query = f"SELECT slot, {function}({_SLOT}, slot) FROM (VALUES {values}) AS of (slot)"
        rows = self.run(lambda: run_sql(self._database, query).fetchall())
        return {slot for slot, done in rows if done}

    def server_age(self) -> float:
        """Seconds since the server was started. Raises StoreUnavailable."""
        return float(self.value("SELECT EXTRACT(EPOCH FROM now() - pg_postmaster_start_time())"))
