"""What this process has claimed: from the claim until the record, or until it is given back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence

import structlog

from hookhub.delivery.model import Claim
from hookhub.delivery.nodes import Nodes
from hookhub.errors import StoreUnavailable
from hookhub.store import Store
from hookhub.store.leases import GUARDED, give_back, lease_count, release_others, renew

LEASE_MARGIN = 30.0
"""Seconds that a lease outlives the longest attempt: time to write down what came of it."""

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

    async def release_unknown(self, before: int) -> None:
        """Release what is claimed for this node, and it does not know of it.

        When the connection breaks at the wrong moment, a claim was committed and nobody was told.

        Args:
            before: only leases made before this one.

        Raises:
            StoreUnavailable: they wait for the end of their leases.
        """
        base = self._nodes.base
        if base is None or before < base:
            return
        count = await self._store.write(lambda tx: release_others(tx, base, before, self._held))
        if count:
            log.info("delivery.leases_released", deliveries=count)

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

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """What will not be attempted here is due again at once."""
        if not claims:
            return
        for claim in claims:
            self.drop(claim)
        try:
            await self._store.write(lambda tx: give_back(tx, claims))
        except StoreUnavailable:
            log.warning("delivery.leases_left", deliveries=len(claims))
