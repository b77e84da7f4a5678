"""What a second worker brings: single posts with one webhook, on PostgreSQL.

Everything shares the cores of this machine: hubs, PostgreSQL, who posts and who receives. Prints
a table with the share of the CPU that each takes; nothing is asserted about time: a bound that is
missed says so in its row.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from hookhub.testing.waiting import wait_until

HERE = Path(__file__).parent
ROUNDS = 3
SECONDS = 6.0
CONNECTIONS = 32
EVENT = json.dumps({"type": "user.created", "payload": {"user_id": 123}}).encode()
TICKS = os.sysconf("SC_CLK_TCK")

StartWorkers = Callable[[int], HubProcess]


class Round(NamedTuple):
    """What a round measured."""

    accepted: float
    """Posts answered a second."""
    delivered: float
    """Webhooks received a second, until the last."""
    hub: float
    """CPU seconds of the hubs for a second of posting."""
    database: float


def cpu(command: str) -> float:
    """CPU seconds so far of all processes whose command line has this in it."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if command in (path / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / TICKS


@pytest.fixture
def receiver() -> Iterator[httpx.Client]:
    """The light receiver."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "receiver.py"), str(port)])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        def answers() -> bool:
            try:
                return client.get("/reset").is_success
            except httpx.HTTPError:
                return False

        wait_until(answers)
        yield client
    process.terminate()
    process.wait()


def measure(hub: HubProcess, receiver: httpx.Client) -> Round:
    """Post for a while; wait for the last delivery."""
    receiver.get("/reset")
    before = cpu("hookhub serve"), cpu("postgres")
    arguments = ["127.0.0.1", str(hub.port), str(CONNECTIONS), str(SECONDS), "/events", hub.token]
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), *arguments],
        input=EVENT,
        capture_output=True,
        check=True,
    )
    after = cpu("hookhub serve"), cpu("postgres")
    accepted = float(done.stdout)
    found = {"count": -1}

    def still() -> bool:
        nonlocal found
        last, found = found, receiver.get("/stats").json()
        time.sleep(0.5)
        return bool(found["count"] == last["count"] and found["count"] >= accepted * SECONDS - 1)

    wait_until(still, 120)
    hubs, database = ((b - a) / SECONDS for a, b in zip(before, after, strict=True))
    delivered = found["count"] / (found["last"] - found["first"])  # type: ignore[operator]
    return Round(accepted, delivered, hubs, database)


def test_workers(tmp_path: Path, postgres_cluster: object, receiver: httpx.Client) -> None:
    """The table: one worker and two, in turns."""
    rounds: dict[int, list[Round]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, found in rounds.items():
            url = postgres_cluster.new_database()  # type: ignore[attr-defined]
            directory = tmp_path / f"{workers}-{len(found)}"
            directory.mkdir()
            settings = {
                "server": {"workers": workers},
                "database": {"url": url},
                "log": {"level": "warning"},
                "plugins": {"disabled": ["log"]},
            }
            with HubProcess(directory, settings) as hub, hub.client() as client:
                hook = {"url": f"{receiver.base_url}/hook", "event_types": ["*"], "name": "bench"}
                client.post("/webhooks", json=hook).raise_for_status()
                found.append(measure(hub, receiver))
    middle = {
        workers: Round(*map(statistics.median, zip(*found, strict=True)))
        for workers, found in rounds.items()
    }
    print(f"\n\n{ROUNDS} rounds of {SECONDS:g} s, {CONNECTIONS} connections, one webhook\n")
    print(f"{'':<12} {'accepted/s':>11} {'delivered/s':>12} {'cores: hub':>11} {'database':>9}")
    for workers, row in middle.items():
        print(
            f"{workers} worker{'s' * (workers > 1):<4} {row.accepted:>11,.0f} "
            f"{row.delivered:>12,.0f} {row.hub:>11.2f} {row.database:>9.2f}"
        )
    for name in ("accepted", "delivered"):
        ratio = getattr(middle[2], name) / getattr(middle[1], name)
        print(f"{name}: {ratio:.2f} times{'' if ratio >= 1.7 else '   missed (1.7)'}")
