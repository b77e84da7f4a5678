"""What ten thousand webhooks cost that have nothing to do: making them, and keeping them.

A hub on SQLite and one on PostgreSQL; CPU is the hub's own, so that other work on the machine
counts little. Prints a table; nothing is asserted about time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import pytest

from hookhub.testing.hub_process import HubProcess

STEPS = (1_000, 10_000)
IDLE = 30.0
BOUND = 2.0
"""Percent of a core."""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """CPU seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def make(client: httpx.Client, first: int, last: int) -> None:
    for number in range(first, last):
        hook = {
            "name": f"n{number}",
            "url": f"http://127.0.0.1:9/{number}",
            "event_types": ["user.created"],
        }
        client.post("/webhooks", json=hook).raise_for_status()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_many_webhooks(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The table of one database."""
    settings: dict[str, object] = {"log": {"level": "warning"}, "plugins": {"disabled": ["log"]}}
    if database == "postgres":
        settings["database"] = {"url": request.getfixturevalue("postgres_url")}
    print(
        f"\n\n{database}\n{'webhooks':>9} {'CPU ms to make one':>19} {'idle, % of a core':>18} MiB"
    )
    with HubProcess(tmp_path, settings) as hub, hub.client() as client:
        made, pid = 0, hub.pid
        for step in STEPS:
            before = cpu(pid)
            make(client, made, step)
            each = 1000 * (cpu(pid) - before) / (step - made)
            made = step
            time.sleep(3)
            before = cpu(pid)
            time.sleep(IDLE)
            idle = 100 * (cpu(pid) - before) / IDLE
            verdict = "" if idle <= BOUND else "   missed"
            print(f"{made:>9,} {each:>19.2f} {idle:>18.2f} {memory(pid):>3.0f}{verdict}")
