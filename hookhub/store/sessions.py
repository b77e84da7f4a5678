"""PostgreSQL sessions in which nobody waits without end.

A hub that freezes (a stopped process, a paused machine, a network that carries nothing more) may
hold locks that every other hub needs. So each transaction has limits, at the server as well as
here. The server's are the session's; behind a pooler that lends its sessions to many clients
(PgBouncer's transaction mode) they are set with each transaction and end with it, so that they are
neither refused nor passed on to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

if TYPE_CHECKING:
    from hookhub.store.connection import PatientConnection

APPLICATION = "hookhub"
_KEEP_ALIVE = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""How the server shall look whether this hub's machine is still there; its own default is hours."""


class Limits(NamedTuple):
    """Of a session's transactions, in seconds; 0 is none."""

    statement: float
    """A statement."""
    lock: float
    """The wait for a lock."""
    idle: float
    """The hub's silence within a transaction: after it the server ends the session."""
    answer: float
    """The server's silence within a statement: after it the hub gives up the connection."""
    silence: float = 0
    """The hub's silence outside of transactions: after it the server ends the session, if it knows
    of that (PostgreSQL 14 and later)."""

    @classmethod
    def writing(cls, timeout: float) -> Limits:
        """For units of work: a healthy hub gets a frozen one's locks within ``timeout``."""
        return cls(timeout, 0.75 * timeout, timeout / 2, 1.25 * timeout)

    @classmethod
    def reading(cls, timeout: float) -> Limits:
        """Nobody waits for those who read, and they may have much to read."""
        return cls(6 * timeout, 0, timeout / 2, 6.25 * timeout)

    @classmethod
    def migrating(cls, timeout: float) -> Limits:
        """Steps take as long as they need, and wait as long for those of another hub."""
        return cls(0, 0, timeout / 2, 0)

    @classmethod
    def altering(cls, timeout: float) -> Limits:
        """For changes of tables while hubs work: whoever comes later waits behind them, so they
        rather give up their own wait."""
        return cls(6 * timeout, 0.2, timeout / 2, 6.25 * timeout)

    def of_transactions(self) -> dict[str, str]:
        """Those that the server keeps, as it names them."""
        return {
            "statement_timeout": f"{_ms(self.statement)}",
            "lock_timeout": f"{_ms(self.lock)}",
            "idle_in_transaction_session_timeout": f"{_ms(self.idle)}",
        }


class Sessions(peewee.PostgresqlDatabase):
    """A PostgreSQL database for one thread at a time, with one session after another.

    Args:
        url: ``postgresql://…``.
        limits: of its transactions.
        params: further parameters of a connection.
    """

    def __init__(self, url: str, limits: Limits, **params: Any) -> None:
        self.limits = limits
        self.pooled = False
        """Whether the session is not the hub's own from end to end."""
        self.pipelines = False
        """Whether statements may be sent without waiting for the answers (libpq 14 and later)."""
        super().__init__(url, prefer_psycopg3=True, application_name=APPLICATION, **params)

    def _connect(self) -> PatientConnection:
        # psycopg need not be installed where SQLite is used.
        from hookhub.store.connection import PatientConnection

        connection = PatientConnection.connect(
            self.database, autocommit=True, **self.connect_params
        )
        try:
            connection.patience = self.limits.answer
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: PatientConnection) -> None:
        # A pooler shows itself by the process id that it made up for the cancel key.
        real = connection.execute("SELECT pg_backend_pid()").fetchone()
        self.pooled = real != (connection.info.backend_pid,)
        self.pipelines = connection.pipelines and not self.pooled
        if self.pooled:
            # The next transaction may be in another session, which knows nothing of them.
            connection.prepare_threshold = None
        else:
            silence = {
                "tcp_user_timeout": f"{_ms(self.limits.idle)}",
                "idle_session_timeout": f"{_ms(self.limits.silence)}",
            }
            connection.set_where_known(_KEEP_ALIVE | silence | self.limits.of_transactions())

    def begin_limited(self, mode: str = "") -> None:
        """Begin a transaction.

        Args:
            mode: ``READ ONLY`` and the like.
        """
        text = f"BEGIN {mode}"
        if self.pooled:
            for name, value in self.limits.of_transactions().items():
                text += f"; SET LOCAL {name} = {value}"
        connection: PatientConnection = self.connection()  # type: ignore[no-untyped-call]
        # Nothing is there to wait for but a pooler's next free session: a connection that says
        # nothing to this is dead.
        connection.patience = self.limits.answer if self.pooled else self.limits.idle
        self.execute_sql(text)  # type: ignore[no-untyped-call]
        connection.patience = self.limits.answer

    def unhurried(self) -> None:
        """Let the statements of this transaction take as long as they need."""
        self.execute_sql("SET LOCAL statement_timeout = 0")  # type: ignore[no-untyped-call]
        self.connection().patience = 0  # type: ignore[no-untyped-call]

    def end_frozen(self) -> int:
        """End the sessions of hubs that hold a transaction open and do not go on; returns how many.

        The server does that itself, but not while a statement has come in half, or while its
        result cannot be sent to a pooler.
        """
        cursor = self.execute_sql(  # type: ignore[no-untyped-call]
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = %s AND datname = current_database() "
            "AND usename = current_user AND pid <> pg_backend_pid() AND xact_start IS NOT NULL "
            "AND wait_event_type = 'Client' "
            "AND state_change < clock_timestamp() - make_interval(secs => %s)",
            (APPLICATION, self.limits.idle),
        )
        return int(cursor.fetchone()[0])


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
