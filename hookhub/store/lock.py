"""Whether this process is the only hub on an SQLite database."""

from __future__ import annotations

import os
import sys
from types import TracebackType

import trio

from hookhub.config import DatabaseSettings
from hookhub.store.database import is_sqlite, sqlite_path


class HubLock:
    """A lock file beside an SQLite database, held shared by every hub that uses it.

    The first one there can take it exclusively for a moment: then no other hub is alive, and the
    leases of the one before are nobody's. The system drops the lock when a process dies, however
    it dies. On PostgreSQL :mod:`hookhub.store.nodes` does that and more; on Windows nobody is known
    to be alone, and leases end by themselves.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._path = f"{sqlite_path(settings.url)}.lock" if is_sqlite(settings.url) else None
        self._file: int | None = None
        self.alone = False

    async def __aenter__(self) -> HubLock:
        if self._path is None or sys.platform == "win32":
            return self
        import fcntl

        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
        except OSError:
            # Another hub is there, or is the first one for this moment: that may be one of this
            # very process, so the event loop must go on meanwhile.
            await trio.to_thread.run_sync(fcntl.flock, self._file, fcntl.LOCK_SH)
        return self

    def share(self) -> None:
        """Let other hubs in: call once what only a lone hub may do is done."""
        if self._file is not None and sys.platform != "win32":
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_SH)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
