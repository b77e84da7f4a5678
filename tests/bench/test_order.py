"""What numbering events one after the other costs when the database is far away.

One, two and three nodes commit single events as fast as they can, with nothing, 1 ms and 5 ms
added to each round trip between them and PostgreSQL. Prints a table; nothing is asserted about
time: throughput that falls with the number of nodes says so in its row.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hookhub.testing.machine import free_port
from hookhub.testing.waiting import wait_until

HERE = Path(__file__).parent
TASKS = 32
"""Who commit at once, on each node."""
SECONDS = 3.0
NODES = (1, 2, 3)
DELAYS = (0.0, 0.001, 0.005)
NOISE = 0.9
"""What a machine may lose from one run to the next."""


class Rate(NamedTuple):
    """A second's work, of all nodes."""

    events: float
    commits: float


@contextmanager
def far(port: int, delay: float) -> Iterator[int]:
    """The port by which PostgreSQL is that far away."""
    if not delay:
        yield port
        return
    own = free_port()
    process = subprocess.Popen([sys.executable, HERE / "delay.py", str(own), str(port), str(delay)])

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", own)) == 0

    try:
        wait_until(listens)
        yield own
    finally:
        process.kill()
        process.wait()


def measure(url: str, nodes: int) -> Rate:
    """What so many nodes commit."""
    arguments = [sys.executable, HERE / "committing.py", url, str(TASKS), str(SECONDS)]
    running: list[subprocess.Popen[str]] = []
    for _ in range(nodes):
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        running.append(process)
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0].split() for process in running]
    return Rate(*(sum(map(float, column)) for column in zip(*said, strict=True)))


def test_order(postgres_cluster: Any) -> None:
    """The table."""
    print(f"\n\n{TASKS} tasks on each node, {SECONDS:g} s each\n")
    print(f"{'added':>6} {'nodes':>6} {'events/s':>10} {'commits/s':>10}")
    for delay in DELAYS:
        most = 0.0
        for nodes in NODES:
            url = postgres_cluster.new_database()
            with far(postgres_cluster.port, delay) as port:
                rate = measure(url.replace(str(postgres_cluster.port), str(port)), nodes)
            verdict = "" if rate.events >= NOISE * most else "   falls"
            most = max(most, rate.events)
            print(
                f"{1000 * delay:>4.0f} ms {nodes:>6} {rate.events:>10,.0f} {rate.commits:>10,.0f}"
                f"{verdict}"
            )
