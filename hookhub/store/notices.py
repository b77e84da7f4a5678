"""What nodes on one PostgreSQL tell each other: that there is news, so that nobody waits to look.

A notice goes out with the commit that makes the news (``NOTIFY`` in the transaction, once for each
group of units); it says where to look, never what was found there. Whoever misses one looks every
so often in any case.
https://www.postgresql.org/docs/current/sql-notify.html
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

import structlog
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.store.database import Reader, is_sqlite, run_sql
from hookhub.store.kept_session import KeptSession, in_thread

if TYPE_CHECKING:
    import psycopg

CHANNEL = "hookhub"
QUIET = 10.0
"""Seconds without a notice after which the session is asked whether it is still there."""
PAUSE = 0.2
PAUSE_MAX = 5.0
"""Seconds between attempts to come back."""
DUE_MAX = 7_000
"""Characters that name the endpoints in a notice; the server takes less than 8,000 in all."""
POOLED = (
    "there is a connection pooler before the database that passes no notices on; news of other "
    "hubs is looked for once a second instead"
)

log = structlog.get_logger("hookhub.store")


class Topic(Enum):
    """Where there is news."""

    EVENTS = "events"
    ENDPOINTS = "endpoints"
    TOKENS = "tokens"
    DUE = "due"
    """Something is due for endpoints, which are named if they are few enough."""
    NODES = "nodes"
    """A node has come, leaves, or has given something up."""


def due_notice(endpoints: Iterable[int]) -> str:
    """What is said in a notice of endpoints that something is due for."""
    text = f"{Topic.DUE.value}:{','.join(map(str, sorted(endpoints)))}"
    return text if len(text) < DUE_MAX else Topic.DUE.value


def notify(reader: Reader, signature: str, text: str) -> None:
    """Give a notice with the transaction that this is; a unit of work."""
    reader.sql("SELECT pg_notify(?, ?)", (CHANNEL, f"{signature} {text}"))


class NoticeSession(KeptSession):
    """A kept session that listens. Raises StoreError."""

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings, "hookhub notices", 6 * QUIET)
        self._heard: list[str] = []
        self._connection: psycopg.Connection[Any] = self._database.connection()  # type: ignore[no-untyped-call]
        self._connection.add_notify_handler(lambda notice: self._heard.append(notice.payload))
        if self.is_own:
            self.run(lambda: run_sql(self._database, f"LISTEN {CHANNEL}"))

    def heard(self) -> list[str]:
        """The notices that have come; does not wait. Raises StoreUnavailable."""

        def read() -> None:
            try:
                self._connection.pgconn.consume_input()
            except Exception as error:
                raise StoreUnavailable(f"The server ended the session: {error}") from error
            while (notice := self._connection.pgconn.notifies()) is not None:
                self._heard.append(notice.extra.decode())

        self.run(read)
        heard, self._heard = self._heard, []
        return heard


class Notices:
    """Tells this node's listeners of what other nodes have committed.

    Args:
        settings: on SQLite nothing is told.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._listeners: list[tuple[Topic, Callable[[], None]]] = []
        self._due: list[Callable[[Collection[int] | None], None]] = []
        self.origin = "" if is_sqlite(settings.url) else secrets.token_hex(8)
        """Names this node in notices; empty on SQLite."""
        self.alone = False
        """Whether no other node is alive: a notice costs a tenth of a commit."""
        self._listening = False
        self._heard = 0

    def signature(self) -> str:
        """What names this node in the notices of its next commit; empty: it shall give none."""
        return "" if self.alone else self.origin

    def on(self, topic: Topic, listener: Callable[[], None]) -> None:
        """Call ``listener()`` in the Trio thread whenever there may be news. It must not raise."""
        self._listeners.append((topic, listener))

    def on_due(self, listener: Callable[[Collection[int] | None], None]) -> None:
        """Call ``listener(endpoints)`` when something is due for these; None: for nobody knows
        whom."""
        self._due.append(listener)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        task_status.started()
        pause = PAUSE
        while self.origin:
            try:
                session = await in_thread(lambda: NoticeSession(self._settings))
                if not session.is_own:
                    session.close()
                    log.warning("notices.none", reason=POOLED)
                    return
                pause = PAUSE
                await self._listen(session)
            except HookhubError as error:
                log.warning("notices.lost", error=error.detail)
            await trio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    async def _listen(self, session: NoticeSession) -> None:
        try:
            self._listening = True
            # Nobody knows what was said before.
            self._tell(Topic)
            self._tell_due(None)
            while True:
                with trio.move_on_after(QUIET) as quiet:
                    await trio.lowlevel.wait_readable(session.socket)
                if quiet.cancelled_caught:
                    await in_thread(lambda: session.value("SELECT 1"))
                self._take(session.heard())
        finally:
            self._listening = False
            session.close()

    def _take(self, notices: Iterable[str]) -> None:
        topics = set()
        due: set[int] | None = set()
        for notice in notices:
            origin, *names = notice.split(" ")
            if origin == self.origin:
                continue
            self._heard += 1
            for name in names:
                topic, _, ids = name.partition(":")
                topics.add(topic)
                if topic == Topic.DUE.value:
                    due = None if due is None or not ids else due.union(map(int, ids.split(",")))
        self._tell(topic for topic in Topic if topic.value in topics)
        if due is None or due:
            self._tell_due(due)

    def _tell(self, topics: Iterable[Topic]) -> None:
        wanted = set(topics)
        for topic, listener in self._listeners:
            if topic in wanted:
                listener()

    def _tell_due(self, endpoints: Collection[int] | None) -> None:
        for listener in self._due:
            listener(endpoints)

    def statistics(self) -> dict[str, float]:
        """A gauge, and a counter since start."""
        return {"listening": float(self._listening), "notices_total": self._heard}
