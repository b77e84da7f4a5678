"""This hub among the others on its database: says that it is there, and when it leaves."""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Callable, Mapping

import structlog
import trio

from hookhub import __version__
from hookhub.contracts.errors import HookhubError
from hookhub.store import Store
from hookhub.store.migrations import CORE, TablesVersion, too_new
from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.store.units.nodes import Node, list_nodes, put_node, remove_node

BEAT = 5.0
"""Seconds from one sign of life to the next."""
BEAT_ALONE = 60.0
"""The same on SQLite, where other hubs are rare and each commit is a write to the disk."""
GOODBYE = 1.0
"""Seconds to say that it leaves; whoever is not heard counts as gone a little later."""
MISSED = 3
"""Beats that may be missed until a hub counts as gone."""

log = structlog.get_logger("hookhub.background")


class Membership:
    """This hub's place among the others.

    Args:
        name: what people call it; empty for the machine's name.
        draining: set when it is about to stop.
        tables: component to the version of its tables that this hub knows.
        claimed: how many deliveries it has in its hands.
        connections: how many live connections.
        owned: how many endpoints are its own.
        breakers: endpoint to the state of its breaker, of those of its own that are not closed.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        draining: trio.Event,
        tables: Callable[[], Mapping[str, int]],
        claimed: Callable[[], int],
        connections: Callable[[], int],
        owned: Callable[[], int],
        breakers: Callable[[], Mapping[int, str]],
    ) -> None:
        self._store = store
        self._name = name or platform.node() or "localhost"
        self._draining = draining
        self._tables = tables
        self._claimed = claimed
        self._connections = connections
        self._owned = owned
        self._breakers = breakers
        self._started_at = store.clock()
        self._beat = BEAT_ALONE if store.is_sqlite else BEAT
        self.id = secrets.token_hex(6)
        """Names this process."""
        self.outdated = trio.Event()
        """Set when the tables need a newer program than this one; it must stop."""
        self.why_outdated: str | None = None

    def own(self) -> Node:
        """This hub as it is now."""
        now = self._store.clock()
        return Node(
            self.id,
            self._name,
            __version__,
            len(CORE_MIGRATIONS),
            self._started_at,
            now,
            now + round(MISSED * self._beat * 1_000_000),
            self._draining.is_set(),
            self._claimed(),
            self._connections(),
            self._owned(),
            json.dumps(dict(self._breakers())),
        )

    async def nodes(self) -> list[Node]:
        """All hubs that have not left, this one as it is now. Raises StoreUnavailable."""
        others = [node for node in await self._store.read(list_nodes) if node.id != self.id]
        return sorted([*others, self.own()], key=lambda node: (node.started_at, node.id))

    async def breakers(self) -> dict[int, str]:
        """Endpoint to the state of its breaker, of those that are not closed, on all hubs that
        live: what the others said a few seconds ago at most. Raises StoreUnavailable."""
        now = self._store.clock()
        found: dict[int, str] = {}
        for node in await self.nodes():
            if node.seen_until >= now:
                found |= {int(key): state for key, state in json.loads(node.breakers).items()}
        return found

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Say that this hub is there until cancelled, and then that it leaves."""
        try:
            await self._say()
            task_status.started()
            while True:
                with trio.move_on_after(self._beat):
                    # That it is about to stop is told at once.
                    if not self._draining.is_set():
                        await self._draining.wait()
                    else:
                        await trio.sleep_forever()
                await self._say()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE):
                await self._leave()

    async def _say(self) -> None:
        node = self.own()
        try:
            await self._store.write(lambda tx: put_node(tx, node), locks=False)
            await self._check_tables()
        except HookhubError as error:
            log.warning("node.unheard", error=error.detail)

    async def _check_tables(self) -> None:
        """Whether this hub may go on beside what a newer one has made of the tables."""
        found = await self._store.versions()
        known = {CORE: len(CORE_MIGRATIONS), **self._tables()}
        for component, version in known.items():
            problem = too_new(component, found.get(component, TablesVersion()), version)
            if problem is not None and not self.outdated.is_set():
                log.error("node.outdated", component=component, reason=problem)
                self.why_outdated = problem
                self.outdated.set()

    async def _leave(self) -> None:
        try:
            await self._store.write(lambda tx: remove_node(tx, self.id), locks=False)
        except HookhubError as error:
            log.warning("node.unheard", error=error.detail)
