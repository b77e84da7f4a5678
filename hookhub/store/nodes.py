"""Which hubs are alive on one PostgreSQL: each holds an advisory lock as long as it lives.

The lock is a session's, so the server itself drops it when the process dies, however it dies:
at once if its machine lives on, else when the server's keep-alive finds nobody there. A process
that is frozen counts as dead as well: the server ends a session that says nothing for too long.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from hookhub.config import DatabaseSettings
from hookhub.store.database import run_sql
from hookhub.store.kept_session import KeptSession

LOCK_CLASS = 0x686F6F6B
"""First half of the locks' keys; the second half is the node's number."""
_SILENCE = 20
"""Seconds until the server ends a session in which nothing is asked (PostgreSQL 14 and later)."""
LIVING = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    f"AND classid = {LOCK_CLASS} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


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

    def living(self) -> set[int]:
        """The numbers of all nodes that hold their lock. Raises StoreUnavailable."""
        return self.run(lambda: {row[0] for row in run_sql(self._database, LIVING).fetchall()})

    def server_age(self) -> float:
        """Seconds since the server was started. Raises StoreUnavailable."""
        return float(self.value("SELECT EXTRACT(EPOCH FROM now() - pg_postmaster_start_time())"))
