"""Which node should attempt the deliveries of which endpoint. Pure.

Endpoints are spread over slots, and slots over nodes by rendezvous hashing: each slot is for the
node with the highest score for it, so a node that comes or goes moves its own share and no other.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

SLOTS = 256
"""Each is a lock of its owner's, so they are few; and enough for the shares to be alike."""


def slot_of(endpoint_id: int) -> int:
    """An endpoint's slot; ids are given out one by one, so they need no hash to be spread."""
    return endpoint_id % SLOTS


def slots_of(node: int, nodes: Collection[int]) -> frozenset[int]:
    """The slots that this one of the nodes should own."""
    others = [other for other in nodes if other != node]
    return frozenset(
        slot
        for slot in range(SLOTS)
        if all(_score(node, slot) > _score(other, slot) for other in others)
    )


def _score(node: int, slot: int) -> tuple[bytes, int]:
    return blake2b(b"%d %d" % (slot, node), digest_size=8).digest(), node
