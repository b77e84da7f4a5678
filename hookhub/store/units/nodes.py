"""Which hubs there are, as each says itself: units of work."""

from __future__ import annotations

from typing import NamedTuple

from hookhub.store.database import Reader, marks
from hookhub.store.unit import Transaction

KEPT = 600 * 1_000_000
"""Microseconds for which a hub that went without a word is still shown."""


class Node(NamedTuple):
    """A hub, as of when it last said something; times are microseconds since 1970."""

    id: str
    """Another one each time that a hub is started."""
    name: str
    version: str
    tables_version: int
    """Of the core's tables, as this hub knows them."""
    started_at: int
    seen_at: int
    seen_until: int
    """When it must have said something again, or is gone."""
    is_draining: bool
    claimed: int
    """Deliveries that it has in its hands."""
    connections: int
    """Live connections."""
    owned: int = 0
    """Endpoints whose deliveries it alone attempts."""
    breakers: str = "{}"
    """JSON: endpoint to the state of its breaker, of those of its own that are not closed."""


def put_node(tx: Transaction, node: Node) -> None:
    """Say that this hub is there; forget those that are gone for long."""
    tx.change(
        "DELETE FROM hookhub_nodes WHERE id IN (SELECT id FROM hookhub_nodes "
        f"WHERE seen_until < ?{tx.skip_locked})",
        (tx.now - KEPT,),
    )
    tx.change(
        f"INSERT INTO hookhub_nodes ({', '.join(Node._fields)}) VALUES ({marks(node)}) "
        "ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, "
        "seen_until = excluded.seen_until, is_draining = excluded.is_draining, "
        "claimed = excluded.claimed, connections = excluded.connections, "
        "owned = excluded.owned, breakers = excluded.breakers",
        node,
    )


def remove_node(tx: Transaction, node_id: str) -> None:
    """This hub leaves."""
    tx.change("DELETE FROM hookhub_nodes WHERE id = ?", (node_id,))


def list_nodes(reader: Reader) -> list[Node]:
    """All of them, in the order of their start."""
    rows = reader.sql(
        f"SELECT {', '.join(Node._fields)} FROM hookhub_nodes ORDER BY started_at, id"
    )
    return [Node._make(row)._replace(is_draining=bool(row[7])) for row in rows]
