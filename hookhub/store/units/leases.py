"""Leases: whose claim it is, and what becomes of it when its owner dies. Units of work.

A lease's number is either just unique, or it names its node as well: then it is a *guarded* one.
Whoever sees that the node is dead (:mod:`hookhub.store.nodes`) may release it at once; all others
end only with their time.
"""

from __future__ import annotations

from collections.abc import Sequence

from hookhub.contracts.deliveries import Claim
from hookhub.store.database import Reader, marks
from hookhub.store.schema import IS_LEASED, IS_PENDING
from hookhub.store.unit import Transaction

NODES = 2**24
"""Numbers that a node may have."""
GUARDED = 2**62
"""All guarded leases are beyond it; others begin with a time in nanoseconds, which is below."""
_COUNT = 2**38


def lease_base(node: int) -> int:
    """What this node adds its count to: years of leases before it would meet the next node's."""
    return GUARDED + node * _COUNT


def lease_node(lease: int) -> int:
    """Whose guarded lease it is."""
    return (lease - GUARDED) // _COUNT


def lease_count(lease: int) -> int:
    """The how-manieth guarded lease of its node it is."""
    return (lease - GUARDED) % _COUNT


def leasing_nodes(reader: Reader) -> set[int]:
    """The nodes that hold guarded leases: one look into the index for each of them."""
    found: set[int] = set()
    after = GUARDED
    while True:
        rows = reader.sql(
            f"SELECT lease FROM hookhub_deliveries WHERE {IS_LEASED} "
            "AND lease >= ? ORDER BY lease LIMIT 1",
            (after,),
        )
        if not rows:
            return found
        node = lease_node(rows[0][0])
        found.add(node)
        after = lease_base(node + 1)


def release_node(tx: Transaction, node: int) -> int:
    """Make everything due now that a dead node had claimed; returns how many."""
    return tx.change(
        "UPDATE hookhub_deliveries SET due_at = ?, lease = NULL WHERE id IN ("
        f"SELECT id FROM hookhub_deliveries WHERE {IS_LEASED} "
        f"AND lease >= ? AND lease < ?{tx.skip_locked})",
        (tx.now, lease_base(node), lease_base(node + 1)),
    )


def release_lost(tx: Transaction, leases: Sequence[int]) -> int:
    """Make everything due now that is claimed under these leases; returns how many.

    A transaction that made such a claim and is not over yet is waited for: it has the state row.
    """
    tx.lock()
    if not leases:
        return 0
    return tx.change(
        f"UPDATE hookhub_deliveries SET due_at = ?, lease = NULL WHERE {IS_LEASED} "
        f"AND lease IN ({marks(leases)})",
        (tx.now, *leases),
    )


def release_leases(tx: Transaction) -> int:
    """Make every leased delivery due now: only for a database that no other process uses."""
    return tx.change(
        f"UPDATE hookhub_deliveries SET due_at = ?, lease = NULL WHERE {IS_LEASED}", (tx.now,)
    )


def renew(tx: Transaction, claim: Claim, until: int) -> bool:
    """Let a lease end later; False if it is not this claim's any more."""
    changed = tx.change(
        f"UPDATE hookhub_deliveries SET due_at = ? WHERE id = ? AND lease = ? AND {IS_PENDING}",
        (until, claim.id, claim.lease),
    )
    return changed > 0


def give_back(tx: Transaction, claims: Sequence[Claim]) -> None:
    """Undo claims that were not attempted: due again at once."""
    tx.many(
        "UPDATE hookhub_deliveries SET due_at = ?, lease = NULL "
        f"WHERE id = ? AND lease = ? AND {IS_PENDING}",
        [(tx.now, claim.id, claim.lease) for claim in claims],
    )
