"""Which node should own which slot: decided alike everywhere, spread evenly, moved seldom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookhub.delivery.slots import SLOTS, slot_of, slots_of

NODES = st.sets(st.integers(0, 2**24 - 1), min_size=1, max_size=8)


@given(NODES)
def test_each_slot_has_one_owner(nodes: set[int]) -> None:
    """Nothing is left over, nothing is owned twice."""
    shares = [slots_of(node, nodes) for node in nodes]
    assert sorted(slot for share in shares for slot in share) == list(range(SLOTS))


@given(NODES, st.integers(0, 2**24 - 1))
def test_who_comes_takes_only_its_own(nodes: set[int], new: int) -> None:
    """Nobody gets anything from another than the one that comes; and so when it goes."""
    for node in nodes - {new}:
        before, after = slots_of(node, nodes - {new}), slots_of(node, nodes | {new})
        assert before - after == before & slots_of(new, nodes | {new})
        assert after <= before


def test_shares_are_alike() -> None:
    """Of three nodes each gets about a third."""
    for first in range(0, 90, 3):
        nodes = range(first, first + 3)
        assert all(50 < len(slots_of(node, nodes)) < 125 for node in nodes)


def test_the_first_endpoints_share_no_slot() -> None:
    """A few webhooks never hold each other up."""
    assert len({slot_of(number) for number in range(1, SLOTS + 1)}) == SLOTS
