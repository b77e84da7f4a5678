"""How fast events come in, as ratios against floors measured in the same run.

Prints a table. Nothing is asserted about time: a bound that is missed says so in its row.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hookhub.contracts.events import EventIds
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port

HERE = Path(__file__).parent
ROUNDS = 5
SECONDS = 3.0
BATCH = 500
PAYLOAD = {
    "user_id": 123,
    "telegram_id": 456789,
    "username": "testuser",
    "first_name": "Test",
    "last_name": "User",
    "referral_code": "refABC123",
    "referred_by_id": None,
}
EVENT = json.dumps({"type": "user.created", "payload": PAYLOAD}).encode()
BATCH_BODY = json.dumps([{"type": "user.created", "payload": PAYLOAD}] * BATCH).encode()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A real hub process on SQLite, as anybody runs it."""
    # Without hookhub-log: this process would have to read all that it writes.
    settings = {"log": {"level": "warning"}, "plugins": {"disabled": ["log"]}}
    with HubProcess(tmp_path, settings) as process:
        yield process


@pytest.fixture
def empty_port() -> Iterator[int]:
    """A process that serves the empty route."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "empty_app.py"), str(port)])
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


def load(port: int, path: str, body: bytes, connections: int, token: str = "none") -> float:
    """Requests per second that a process of its own gets answered."""
    arguments = ["127.0.0.1", str(port), str(connections), str(SECONDS), path, token]
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), *arguments],
        input=body,
        capture_output=True,
        check=True,
    )
    return float(done.stdout)


def executemany_rate(path: Path) -> float:
    """Rows per second: bare ``executemany`` of the same rows, 500 to a synchronous=FULL commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = full")
    connection.execute(
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "type TEXT NOT NULL, payload TEXT NOT NULL, timestamp INTEGER NOT NULL, key TEXT, "
        "source TEXT)"
    )
    payload = json.dumps(PAYLOAD, sort_keys=True)
    sequence, new_id = 0, EventIds().new
    begin = time.perf_counter()
    while time.perf_counter() < begin + SECONDS:
        rows = []
        for _ in range(BATCH):
            sequence += 1
            rows.append((sequence, new_id(sequence), "user.created", payload, 1, None, None))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    rate = sequence / (time.perf_counter() - begin)
    connection.close()
    return rate


def metric(hub: HubProcess, name: str) -> float:
    """A number of ``/metrics``."""
    for line in httpx.get(f"{hub.url}/metrics", trust_env=False).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def published(hub: HubProcess, port: int) -> float:
    """Events acknowledged per second over one WebSocket."""
    arguments = ["127.0.0.1", str(port), str(SECONDS), "500", hub.token]
    done = subprocess.run(
        [sys.executable, str(HERE / "publish_load.py"), *arguments],
        input=EVENT,
        capture_output=True,
        check=True,
    )
    return float(done.stdout)


def verdict(value: float, bound: float) -> str:
    return "ok" if value >= bound else "BELOW"


def test_ingest(hub: HubProcess, empty_port: int, tmp_path: Path) -> None:
    """Single posts, batches and shared commits."""
    port = int(hub.url.rsplit(":", 1)[1])
    empty, single, publish, batch, floor = [], [], [], [], []
    for number in range(ROUNDS):
        empty.append(load(empty_port, "/empty", EVENT, 32))
        single.append(load(port, "/events", EVENT, 32, hub.token))
        publish.append(published(hub, port))
        batch.append(BATCH * load(port, "/events/batch", BATCH_BODY, 4, hub.token))
        floor.append(executemany_rate(tmp_path / f"floor{number}.db"))
    before = metric(hub, "hookhub_store_commits_total"), metric(hub, "hookhub_store_events_total")
    many = load(port, "/events", EVENT, 64, hub.token)
    after = metric(hub, "hookhub_store_commits_total"), metric(hub, "hookhub_store_events_total")
    shared = (after[0] - before[0]) / (after[1] - before[1])
    singles, batches = statistics.median(single), statistics.median(batch)
    single_ratio = statistics.median(a / b for a, b in zip(single, empty, strict=True))
    batch_ratio = statistics.median(a / b for a, b in zip(batch, floor, strict=True))
    gain = statistics.median(a / b for a, b in zip(batch, single, strict=True))
    faster = statistics.median(a / b for a, b in zip(publish, single, strict=True))
    near = statistics.median(a / b for a, b in zip(publish, batch, strict=True))
    rows = [
        ("empty Quart-Trio POST route, requests/s", statistics.median(empty), "", ""),
        ("single POST /events, requests/s", singles, "", ""),
        ("  … against the empty route", single_ratio, "≥ 0.55", verdict(single_ratio, 0.55)),
        ("published over one WebSocket, events/s", statistics.median(publish), "", ""),
        ("  … against single posts", faster, "≥ 10", verdict(faster, 10)),
        ("  … against the batch route", near, "≥ 0.5", verdict(near, 0.5)),
        ("bare executemany by 500, rows/s", statistics.median(floor), "", ""),
        ("POST /events/batch of 500, 4 conn., events/s", batches, "", ""),
        ("  … against bare executemany", batch_ratio, "≥ 0.35", verdict(batch_ratio, 0.35)),
        ("  … against single posts", gain, "≥ 8", verdict(gain, 8)),
        ("64 concurrent single posts, requests/s", many, "", ""),
        ("  … commits per event", shared, "< 1", verdict(-shared, -0.999)),
    ]
    print(f"\n\nmedian of {ROUNDS} rounds of {SECONDS:g} s each\n")
    for name, value, bound, result in rows:
        print(f"{name:44} {value:>12,.2f}  {bound:8} {result}")
