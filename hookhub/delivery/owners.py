"""Which endpoints this node owns: it alone attempts their deliveries, so their limits are global.

Who *should* own a slot of endpoints is decided by each node for itself (:mod:`.slots`); that only
one *does* is the database's business: the owner holds an advisory lock of the slot, on the session
that says that its node lives. Whoever is to give a slot up begins nothing more there, waits until
what is in flight is recorded, and lets go of the lock then.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import trio

from hookhub.contracts.deliveries import Claim
from hookhub.delivery.lanes import Scheduler
from hookhub.delivery.limits import Window
from hookhub.delivery.slots import SLOTS, slot_of, slots_of
from hookhub.store.kept_session import in_thread
from hookhub.store.nodes import NodeLock

TRUST = 1.0
"""Seconds from the beginning of a look for which it is gone by; less than others wait until they
take over."""
ALL = frozenset(range(SLOTS))


class Owners:
    """The slots of this node, and with them its lanes.

    Args:
        give_back: for claims that will not be attempted here.
        taken: called when slots have come to this node.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        give_back: Callable[[Sequence[Claim]], Awaitable[None]],
        taken: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._give_back = give_back
        self._taken = taken
        self._mine: frozenset[int] = frozenset()
        self._wanted: frozenset[int] = frozenset()
        self._locked: frozenset[int] = frozenset()
        self._looked = float("-inf")
        self._alone = False
        self._nodes: tuple[frozenset[int], int] = frozenset(), -1

    def own_all(self) -> None:
        """No other node is known of, or can be."""
        self._alone = True
        self._enter(ALL)

    @property
    def slots(self) -> int:
        """How many are owned."""
        return len(self._mine)

    def owns(self, endpoint_id: int) -> bool:
        """Whether this node attempts the endpoint's deliveries."""
        return slot_of(endpoint_id) in self._mine

    def sure(self) -> bool:
        """Whether nobody else can have begun to own what this node owns. Any thread."""
        return self._alone or time.monotonic() - self._looked < TRUST

    def lost(self) -> None:
        """The session with the locks is gone: nothing begins until :meth:`settle`."""
        self._looked = float("-inf")
        self._locked = frozenset()

    async def settle(
        self, lock: NodeLock, began: float, node: int, nodes: frozenset[int], *, first: bool
    ) -> bool:
        """Take and give up what is due.

        Args:
            began: when the look began that found these nodes (:func:`time.monotonic`).
            nodes: those that may own slots.
            first: whether nobody can have attempted anything a moment ago.

        Returns:
            whether slots were given up: somebody waits for them.

        Raises:
            StoreUnavailable: the session is gone.
        """
        if (nodes, node) != self._nodes:
            self._nodes = nodes, node
            self._wanted = slots_of(node, nodes) if node in nodes else frozenset()
        missing = self._wanted - self._locked
        self._locked |= await in_thread(lambda: lock.take_slots(missing))
        await self._leave(self._mine - (self._wanted & self._locked))
        over = self._over()
        await in_thread(lambda: lock.release_slots(over))
        self._locked -= over
        again = not self.sure()
        self._looked = began
        self._enter((self._locked & self._wanted) - self._mine, empty=not first)
        if again:
            self._taken()
        return bool(over)

    async def _leave(self, slots: frozenset[int]) -> None:
        if not slots:
            return
        self._mine -= slots
        dropped: list[Claim] = []
        for lane in self._scheduler:
            if slot_of(lane.endpoint.id) in slots:
                lane.owned = False
                dropped += self._scheduler.drop_queue(lane)
        await self._give_back(dropped)

    def _over(self) -> frozenset[int]:
        """Slots with a lock that are given up, and where nothing is in flight any more."""
        left = self._locked - self._wanted
        if not left:
            return left
        return left - {slot_of(lane.endpoint.id) for lane in self._scheduler if lane.in_flight}

    def _enter(self, slots: frozenset[int], *, empty: bool = False) -> None:
        if not slots:
            return
        self._mine |= slots
        now = trio.current_time() if empty else 0.0
        for lane in self._scheduler:
            if slot_of(lane.endpoint.id) in slots:
                lane.owned = True
                lane.window = Window(lane.window.limit)
                if empty:
                    lane.rate.begin_empty(now)
                # What was known of the store is old.
                self._scheduler.set_due(lane, None)
                self._scheduler.limits_changed(lane)
        self._taken()
