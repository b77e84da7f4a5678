"""What this process has claimed: from the claim until the record, or until it is given back."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

import structlog

from hookhub.contracts.deliveries import Claim
from hookhub.contracts.errors import StoreUnavailable
from hookhub.delivery.nodes import Nodes
from hookhub.store import Store, Transaction
from hookhub.store.units.leases import GUARDED, give_back, lease_count, release_lost, renew

LEASE_MARGIN = 30.0
"""Seconds that a lease outlives the longest attempt: time to write down what came of it."""
MAX_SETTLED = 1_000
"""Leases that are looked for in one transaction."""

T = TypeVar("T")

log = structlog.get_logger("hookhub.delivery")


class Leases:
    """Makes leases, and knows which deliveries are held under them.

    A delivery that is held is not begun a second time by this process, whatever its lease says:
    when the clock is set forward, everything that is under way looks as if nobody had it.

    Args:
        longest: seconds that an attempt may take at most.
    """

    def __init__(self, store: Store, nodes: Nodes, longest: float) -> None:
        self._store = store
        self._nodes = nodes
        self._longest = round(longest * 1_000_000)
        self._unguarded = time.time_ns()
        self._counts = itertools.count(1)
        self._doubt = 0
        self._held: dict[int, Claim] = {}
        self._lost: deque[int] = deque()
        self._owed: deque[Claim] = deque()
        self.span = round((longest + LEASE_MARGIN) * 1_000_000)
        """Microseconds from a claim to the end of its lease."""

    @property
    def held(self) -> Mapping[int, Claim]:
        """Delivery to claim; may be looked into from the writer's thread."""
        return self._held

    def new(self, now: int) -> tuple[int, int]:
        """The number of a new lease, and when it ends (microseconds). Any thread."""
        base = self._nodes.base
        number = (self._unguarded if base is None else base) + next(self._counts)
        return number, now + self.span

    def doubt(self) -> None:
        """From now on nobody knows whether the guarded leases are still ours."""
        self._doubt = next(self._counts)

    def hold(self, claim: Claim) -> None:
        """It was claimed."""
        self._held[claim.id] = claim

    def drop(self, claim: Claim) -> None:
        """It is over; unless the same delivery was claimed once more meanwhile, for a retry."""
        found = self._held.get(claim.id)
        if found is not None and found.attempts == claim.attempts:
            del self._held[claim.id]

    def lost(self, lease: int) -> None:
        """Nobody knows whether what has this lease was committed. Any thread."""
        self._lost.append(lease)

    def owe(self, claims: Iterable[Claim]) -> None:
        """These will not be attempted here: let :meth:`settle` make them due again."""
        for claim in claims:
            self.drop(claim)
            self._owed.append(claim)

    async def settle(self) -> bool:
        """Make due what has a lease of this node and is not in its hands; whether there was any.

        Raises:
            StoreUnavailable: it is still to be done.
        """
        owed, lost = _taken(self._owed), _taken(self._lost)
        if not owed and not lost:
            return False

        def unit(tx: Transaction) -> int:
            give_back(tx, owed)
            return release_lost(tx, lost)

        try:
            count = await self._store.write(unit)
        except BaseException:
            self._owed.extendleft(owed)
            self._lost.extendleft(lost)
            raise
        if count:
            log.warning("delivery.lost_leases_released", deliveries=count)
        return True

    async def give_back(self, claims: Iterable[Claim]) -> None:
        """What will not be attempted here is due again, at once if the database takes it."""
        self.owe(claims)
        with suppress(StoreUnavailable):
            await self.settle()

    def good(self, claim: Claim, now: int) -> bool:
        """Whether an attempt may begin; else :meth:`renew` it first."""
        if now + self._longest > claim.until:
            # So long in the queue that the lease could end under way.
            return False
        return claim.lease < GUARDED or lease_count(claim.lease) > self._doubt

    async def renew(self, claim: Claim, now: int) -> Claim | None:
        """The claim, good for the longest attempt; None if somebody else has it by now.

        Raises:
            StoreUnavailable: nobody can say.
        """
        until = now + self.span
        if await self._store.write(lambda tx: renew(tx, claim, until)):
            return claim._replace(until=until)
        return None


def _taken(items: deque[T]) -> list[T]:
    """Some of them, taken out; others may put more in meanwhile."""
    return [items.popleft() for _ in range(min(len(items), MAX_SETTLED))]
