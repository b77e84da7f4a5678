"""The nodes on one database: says that this one lives, and takes over what dead ones had claimed.

On SQLite there is nothing to do here: see :class:`hookhub.store.lock.HubLock`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

import structlog
import trio

from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.delivery.owners import Owners
from hookhub.store import Store
from hookhub.store.database import is_sqlite
from hookhub.store.kept_session import in_thread
from hookhub.store.nodes import Neighbours, NodeLock
from hookhub.store.notices import Topic
from hookhub.store.units.leases import NODES, lease_base, leasing_nodes, release_node
from hookhub.store.units.replays import release_replays

LOOK = 0.3
"""Seconds between two looks at who lives."""
SILENT = 1.0
"""Seconds without a look after which a node is missing although it has its lock: it is frozen."""
GRACE = 1.25
"""Seconds that a node must be missing: one whose connection broke is back by then. More than
:data:`hookhub.delivery.owners.TRUST`, so that what it owned is no more begun there."""
SETTLED = 10.0
"""Seconds after the server's start in which others may still be on their way back to it."""
SEARCH = 30.0
"""Seconds between two searches for leases of nodes that were never seen alive."""
PAUSE = 0.2
PAUSE_MAX = 0.5
"""Seconds between attempts to come back; well below :data:`GRACE`."""
NEVER = float("-inf")
POOLED = (
    "there is a connection pooler before the database; what a killed hub had claimed comes back "
    "only when its leases end, and the limits of endpoints are those of each hub"
)

T = TypeVar("T")

log = structlog.get_logger("hookhub.delivery")


class Absences:
    """Who is gone for how long. Pure; told the time."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._missing: dict[int, float] = {}

    def look(self, living: Collection[int], now: float) -> None:
        """Those who live now; all others that are known are missing."""
        self._known.update(living)
        for node in self._known:
            if node in living:
                self._missing.pop(node, None)
            else:
                self._missing.setdefault(node, now)

    def suspect(self, nodes: Collection[int], since: float) -> None:
        """These left leases behind; whoever of them is not seen is missing since then."""
        for node in nodes:
            if node not in self._known:
                self._known.add(node)
                self._missing[node] = since

    def present(self, now: float) -> frozenset[int]:
        """Those who are not missing for so long."""
        return frozenset(self._known.difference(self.dead(now)))

    def dead(self, now: float) -> list[int]:
        """Those who are missing for long enough."""
        return [node for node, since in self._missing.items() if now - since >= GRACE]

    def forget(self, node: int) -> None:
        """It is dealt with."""
        self._known.discard(node)
        self._missing.pop(node, None)

    def begin_anew(self) -> None:
        """This node itself was away, and does not know since when others are missing."""
        self._missing.clear()


class Nodes:
    """Keeps this node's lock, and releases the leases of nodes that have lost theirs.

    Args:
        owners: what this node owns, under locks on the same session.
        released: called when something became due by that.
        doubted: called when the lock was lost: others may have released this node's own leases
            since, and nobody knows for a while.
    """

    def __init__(
        self,
        store: Store,
        owners: Owners,
        released: Callable[[], None],
        doubted: Callable[[], None],
    ) -> None:
        self._store = store
        self._owners = owners
        self._released = released
        self._doubted = doubted
        self._node = secrets.randbelow(NODES)
        self._absences = Absences()
        self._search_at = NEVER
        self._tried = False
        self._joined = False
        self._pause = trio.CancelScope()
        self._look_again = False
        self._leaving: set[int] = set()
        self._is_leaving = self._said = False
        self.base: int | None = None
        """What the leases of this node begin with; None while they cannot be guarded."""
        self.living = 0
        """Nodes with a lock, this one included; 0 while this one has none."""
        self.taken_over = 0
        """Deliveries that dead nodes had claimed."""

    def look(self) -> None:
        """There may be something to take or to give up: look now."""
        self._look_again = True
        self._pause.cancel()

    def leave(self) -> None:
        """This node is about to stop: let others have what it owns."""
        self._is_leaving = True
        self.look()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Stay until cancelled; started when the first look is done, or cannot be."""
        if is_sqlite(self._store.settings.url):
            self._owners.own_all()
            task_status.started()
            return
        pause = PAUSE
        while True:
            first = not self._tried
            self._tried = True
            try:
                if not await self._live(task_status if first else trio.TASK_STATUS_IGNORED):
                    return
                pause = PAUSE
            except HookhubError as error:
                log.warning("nodes.left", node=self._node, error=error.detail)
            await trio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    async def _live(self, task_status: trio.TaskStatus[None]) -> bool:
        """One connection's life; False if the database is no place for locks."""
        told = False
        lock: NodeLock | None = None
        try:
            lock = await trio.to_thread.run_sync(NodeLock, self._store.settings)
            if not lock.is_own:
                log.warning("nodes.unguarded", reason=POOLED)
                self._owners.own_all()
                return False
            await self._join(lock)
            await self._look(lock, first=task_status is not trio.TASK_STATUS_IGNORED)
            task_status.started()
            told = True
            while True:
                self._pause = trio.CancelScope()
                self._pause.deadline = trio.current_time() + (0 if self._look_again else LOOK)
                with self._pause:
                    await trio.lowlevel.wait_readable(lock.socket)
                self._look_again = False
                await self._look(lock)
        finally:
            if not told:
                task_status.started()
            if self.base is not None:
                self._owners.lost()
                self.base = None
                self.living = 0
                self._store.notices.alone = False
                self._doubted()
            if lock is not None:
                lock.close()

    async def _join(self, lock: NodeLock) -> None:
        while not await in_thread(partial(lock.take, self._node)):
            # The session before this one, if the server has not noticed its end yet; at the
            # first time, one in millions, another node.
            if not self._joined:
                self._node = secrets.randbelow(NODES)
            await trio.sleep(LOOK)
        if self._joined:
            log.info("nodes.rejoined", node=self._node)
        self._joined = True
        self._said = False
        self.base = lease_base(self._node)
        self._absences.begin_anew()
        self._search_at = NEVER

    async def _look(self, lock: NodeLock, *, first: bool = False) -> None:
        began, now = time.monotonic(), trio.current_time()
        found = await in_thread(lock.look)
        if self._node not in found.silent:
            raise StoreUnavailable("This node's lock is gone.")
        living = {node for node, silent in found.silent.items() if silent < SILENT} | {self._node}
        self.living = len(living)
        self._store.notices.alone = self.living == 1
        self._absences.look(living, now)
        self._leaving |= found.leaving
        alone = first and len(found.silent) == 1 and await in_thread(lock.server_age) > SETTLED
        await self._release_dead(lock, found, alone)
        present = self._absences.present(now)
        candidates = present.difference(self._leaving) or present
        given = await self._owners.settle(lock, began, self._node, candidates, first=alone)
        await self._tell(lock, given or first)

    async def _release_dead(self, lock: NodeLock, found: Neighbours, alone: bool) -> None:
        try:
            await self._search(NEVER if alone else trio.current_time())
            for node in self._absences.dead(trio.current_time()):
                if node in found.silent:
                    log.warning("nodes.frozen", node=node)
                    await in_thread(partial(lock.end, node))
                await self._take_over(node)
            if alone:
                await self._store.write(release_replays)
        except StoreUnavailable as error:
            log.warning("nodes.look_failed", error=error.detail)

    async def _tell(self, lock: NodeLock, news: bool) -> None:
        """Say that this node is there, leaves, or has given up slots."""
        if self._is_leaving and not self._said:
            await in_thread(partial(lock.leave, self._node))
            self._said = self._look_again = news = True
        if news:
            origin = self._store.notices.origin
            await in_thread(partial(lock.tell, f"{origin} {Topic.NODES.value}"))

    async def _search(self, missing_since: float) -> None:
        """Look for leases of nodes that were never seen alive."""
        now = trio.current_time()
        if now >= self._search_at:
            self._absences.suspect(await self._store.read(leasing_nodes), missing_since)
            self._search_at = now + SEARCH

    async def _take_over(self, node: int) -> None:
        count = await self._store.write(lambda tx: release_node(tx, node), locks=False)
        self._absences.forget(node)
        self.taken_over += count
        if count:
            log.info("delivery.leases_released", deliveries=count, node=node)
            self._released()
