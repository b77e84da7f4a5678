"""What an installation needs, from what its parts cost: the model of docs/scaling.md.

    python tests/support/scaling.py

prints the tables of that page, from the costs that were measured when it was written;
tests/bench/test_scale.py measures them anew and holds the model against what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

KEPT = 1024
"""Different filters of live clients that a hub keeps apart; beyond, each client has its own."""


class Cost(NamedTuple):
    """What one unit of work takes."""

    hub: float = 0.0
    """CPU seconds of the hubs, all together."""
    database: float = 0.0
    """CPU seconds of PostgreSQL."""
    wal: float = 0.0
    """Bytes of its log."""

    def plus(self, other: Cost, times: float = 1.0) -> Cost:
        """This, and so many of the other."""
        return Cost(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))

    def over(self, count: float) -> Cost:
        """The share of one of so many."""
        return Cost(*(part / count for part in self))


Costs = Mapping[str, Cost]
"""By the names that :meth:`Load.units` counts."""


class Load(NamedTuple):
    """What an installation does in a second."""

    nodes: int = 1
    events: float = 0.0
    batch: int = 1
    """Events in one request."""
    group: float = 1.0
    """Requests that share a commit."""
    deliveries: float = 0.0
    clients: int = 0
    """Live connections of all nodes together."""
    share: float = 0.0
    """Of all events, how many a client wants."""
    filters: int = 0
    """Different filters among the clients that look into payloads."""

    @property
    def commits(self) -> float:
        """Commits of events."""
        return self.events / self.batch / self.group

    @property
    def messages(self) -> float:
        """Events that come to clients."""
        return self.events * self.clients * self.share

    @property
    def writes(self) -> float:
        """Writes to clients' sockets: what one commit brings a client goes in one."""
        wanted: float = 1 - (1 - self.share) ** (self.batch * self.group)
        return self.commits * self.clients * wanted

    @property
    def apart(self) -> float:
        """Filters that all nodes together look at one by one."""
        clients = self.clients / self.nodes
        return self.nodes * (min(self.filters, clients) if self.filters <= KEPT else clients)

    @property
    def tests(self) -> float:
        """Payloads that are held against filters, on all nodes."""
        return self.events * self.apart

    @property
    def made(self) -> float:
        """Times that what a commit brings is put together for a filter, on all nodes."""
        return self.commits * self.apart

    def units(self) -> dict[str, float]:
        """How many of each unit there are."""
        posts = self.events / self.batch
        others = self.nodes - 1
        return {
            "node": self.nodes,
            "commit": self.commits,
            "post": posts,
            "batched": self.events if self.batch > 1 else 0,
            "delivery": self.deliveries,
            "foreign commit": self.commits * others,
            "foreign event": self.events * others,
            "visit": self.commits * self.clients - self.writes,
            "write": self.writes,
            "joined": self.messages - self.writes,
            "filter": self.made,
            "test": self.tests,
            "idle": self.clients,
        }


def predict(costs: Costs, load: Load) -> Cost:
    """What it takes in a second."""
    total = Cost()
    for name, count in load.units().items():
        total = total.plus(costs[name], count)
    return total


MEASURED: Costs = {
    "node": Cost(20586.7e-6, 5881.92e-6, 199),
    "commit": Cost(1645.53e-6, 434.11e-6, 166),
    "post": Cost(1040.17e-6, 29.22e-6, 397),
    "batched": Cost(36.63e-6, 9.57e-6, 418),
    "delivery": Cost(683.45e-6, 164.53e-6, 1300),
    "foreign commit": Cost(1112.58e-6, 533.13e-6, 2),
    "foreign event": Cost(2.33e-6),
    "write": Cost(8.48e-6),
    "joined": Cost(0.13e-6),
    "visit": Cost(0.86e-6),
    "filter": Cost(8.09e-6),
    "test": Cost(1.14e-6),
    "idle": Cost(9.27e-6),
}
"""On 2026-11-25, two cores of an Intel Xeon, Python 3.11, PostgreSQL 15, all on one machine."""

MESSAGE, REQUEST, HEADERS = 251, 628, 66
"""Bytes of a live message, of a webhook's request, and of Ethernet, IP and TCP before either."""
FULL = 0.6
"""Share of its core that a node may use: what is left takes what comes in bursts."""
MOST = 1_000
"""Nodes that are tried."""


def fewest(costs: Costs, load: Load) -> Load | None:
    """The smallest number of nodes that none is too much for; None if more do not help."""
    for nodes in range(1, MOST):
        shared = load._replace(nodes=nodes)
        if predict(costs, shared).hub / nodes <= FULL:
            return shared
    return None


LIVE = Load(events=10_000, batch=100, clients=100_000, share=0.001)
SHAPES = {
    "single posts, 100 to a commit": Load(events=10_000, group=100),
    "batches of 100": Load(events=10_000, batch=100),
    "batches of 500": Load(events=10_000, batch=500),
    "batches of 100, one delivery of each": Load(events=10_000, batch=100, deliveries=10_000),
    "100,000 clients at rest": Load(clients=100_000),
    "each client wants everything": LIVE._replace(share=1.0),
    "0.1 %, 10 filters": LIVE._replace(filters=10),
    "… in batches of 500": LIVE._replace(filters=10, batch=500),
    "0.1 %, 1,000 filters": LIVE._replace(filters=1_000),
    "0.1 %, each its own filter": LIVE._replace(filters=100_000),
    "one of ten hubs: 10,000 clients, 1,000 events/s, 1 %, 100 filters": LIVE._replace(
        events=1_000, clients=10_000, share=0.01, filters=100
    ),
}


def network(load: Load) -> float:
    """Bits a second to clients and receivers, TCP and IP included."""
    live = load.messages * MESSAGE + load.writes * HEADERS
    return 8 * (live + load.deliveries * (REQUEST + HEADERS))


def line(name: str, load: Load, costs: Costs) -> str:
    """A row of the page's tables."""
    found = fewest(costs, load)
    shared = found or load._replace(nodes=MOST)
    needs = predict(costs, shared)
    nodes = f"over {MOST:,}" if found is None else f"{found.nodes:,}"
    return (
        f"| {name} | {nodes} | {needs.hub / shared.nodes:.2f} | {needs.database:.2f} | "
        f"{needs.wal / 1e6:.1f} | {load.messages / 1e6:g} | {network(load) / 1e9:.2g} |"
    )


def main() -> None:
    """Print the table, and what of each row takes how much."""
    print("| shape | nodes | cores of each | PostgreSQL | log, MB/s | M messages/s | Gbit/s out |")
    for name, load in SHAPES.items():
        print(line(name, load, MEASURED))
    for name, load in SHAPES.items():
        shared = fewest(MEASURED, load) or load._replace(nodes=MOST)
        cores = {unit: MEASURED[unit].hub * many for unit, many in shared.units().items()}
        most = sorted(cores, key=cores.__getitem__, reverse=True)[:5]
        print(f"\n{name}, {shared.nodes:,} nodes, cores of all:")
        print(", ".join(f"{unit} {cores[unit]:.2f}" for unit in most))


if __name__ == "__main__":
    main()
