"""Several processes behind one port: starts workers, starts them again, and stops them together.

The supervisor opens the sockets and does nothing else with them; each worker is a whole hub, one of
several on one database, that accepts from the same sockets. Each has a lifeline to the supervisor,
and stops when that is gone, so that nothing is left behind.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog
import trio

from hookhub.config import Settings
from hookhub.contracts.errors import ConfigError
from hookhub.http.listeners import (
    Listener,
    Worker,
    listener_sockets,
    open_listeners,
    refuse_connections,
)
from hookhub.store.database import is_sqlite

PAUSE, PAUSE_MAX = 0.5, 15.0
"""Seconds before a worker that ended by itself is started again; twice as long each time."""
HEALTHY = 60.0
"""Seconds after which a worker's end is a new story."""

log = structlog.get_logger("hookhub")


async def supervise(settings: Settings, command: Sequence[str], workers: int) -> int:
    """Run workers until SIGTERM or SIGINT, which all of them get; then wait for their ends.

    Args:
        command: starts a worker, if ``--worker`` and its value are added.
        workers: how many.

    Returns:
        the exit status: that of a worker that could not start, or else 0 if all ended well.

    Raises:
        ConfigError: the database is SQLite, or the address cannot be used.
    """
    if is_sqlite(settings.database.url):
        raise ConfigError(
            f"{workers} workers need PostgreSQL: SQLite has one writer for all processes, so more "
            "of them would not be faster. Set [database] url, or leave [server] workers at 1."
        )
    listeners = await open_listeners(settings.server)
    with tempfile.TemporaryDirectory(prefix="hookhub-") as directory:
        drain = settings.server.drain()
        return await _Supervisor(command, Path(directory), listeners, drain).run(workers)


class _Supervisor:
    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        listeners: Sequence[Listener],
        drain: float,
    ) -> None:
        self._command = command
        self._drain = drain
        self._directory = directory
        self._listeners = listeners
        self._sockets = tuple(sock.fileno() for sock in listener_sockets(listeners))
        self._running: dict[int, trio.Process] = {}
        """By the number of the worker."""
        self._replaced: dict[int, trio.Event] = {}
        """Of those that were asked to end: set when the next one serves."""
        self._stopping = trio.Event()
        self._status = 0

    async def run(self, workers: int) -> int:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._pass_signals_on)
            await nursery.start(self._replace_on_hangup)
            async with trio.open_nursery() as running:
                # The first one migrates the tables, and says what is wrong if something is.
                for number in range(1, workers + 1):
                    await running.start(self._keep, number)
            nursery.cancel_scope.cancel()
        return self._status

    async def _pass_signals_on(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                task_status.started()
                async for number in signals:
                    self._stop(signal.Signals(number))
                    nursery.start_soon(
                        self._refuse, self._drain if number == signal.SIGTERM else 0.0
                    )

    async def _refuse(self, delay: float) -> None:
        """Let no new connection come once the workers are about to accept no more.

        None of them does that: for all it knows, others go on.
        """
        await trio.sleep(delay)
        for listener in self._listeners:
            refuse_connections(listener)

    async def _replace_on_hangup(self, task_status: trio.TaskStatus[None]) -> None:
        """One worker after the other, the next when the new one serves: who began to serve before a
        new version was installed, or settings were changed, goes by the old ones."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                for number, process in sorted(self._running.items()):
                    log.info("worker.replacing", worker=number)
                    self._replaced[number] = trio.Event()
                    process.terminate()
                    await self._replaced[number].wait()

    async def _keep(self, number: int, task_status: trio.TaskStatus[None]) -> None:
        """One worker after another until all stop; started when the first one serves."""
        pause = PAUSE / 2
        told = task_status
        while not self._stopping.is_set():
            began = trio.current_time()
            served, status = await self._live(number, told)
            useless = not served and told is task_status
            if served:
                told = trio.TASK_STATUS_IGNORED
            if number in self._replaced and not self._stopping.is_set():
                continue
            if self._stopping.is_set() or useless:
                self._status = self._status or status
                if not self._stopping.is_set():
                    self._stop(signal.SIGTERM)
                break
            pause = PAUSE if trio.current_time() - began > HEALTHY else min(2 * pause, PAUSE_MAX)
            log.error("worker.ended", worker=number, status=status, restart_in=pause)
            with trio.move_on_after(pause):
                await self._stopping.wait()
        if told is task_status:
            task_status.started()

    async def _live(self, number: int, task_status: trio.TaskStatus[None]) -> tuple[bool, int]:
        """A worker's life: whether it ever served, and its exit status."""
        ours, theirs = trio.socket.socketpair()
        with ours, theirs:
            worker = Worker(number, self._directory, theirs.fileno(), self._sockets)
            process = await trio.lowlevel.open_process(
                [*self._command, "--worker", worker.option()],
                pass_fds=(worker.lifeline, *self._sockets),
            )
            theirs.close()
            self._running[number] = process
            if self._stopping.is_set():
                # The signal came while it was being started, and passed it by.
                process.terminate()
            try:
                served = await ours.recv(1) != b""
                if served:
                    task_status.started()
                    if (event := self._replaced.pop(number, None)) is not None:
                        event.set()
                status = await process.wait()
                # One that was just starting knows no better way to stop.
                told = self._stopping.is_set() and -status in (signal.SIGTERM, signal.SIGINT)
                return served, 0 if told else abs(status)
            finally:
                del self._running[number]

    def _stop(self, number: signal.Signals) -> None:
        self._stopping.set()
        for process in self._running.values():
            process.send_signal(number)
