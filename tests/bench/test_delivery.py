"""How fast events go out, as ratios against a floor measured in the same run.

Prints a table. Nothing is asserted about time: a bound that is missed says so in its row.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft, EventIds
from hookhub.store import open_store
from hookhub.store.units.endpoints import insert_endpoint
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from support.of_process import cpu_seconds, memory

HERE = Path(__file__).parent
EVENTS = 8_000
SECONDS = 4.0
BODY = {
    "user_id": 123,
    "telegram_id": 456789,
    "username": "testuser",
    "first_name": "Test",
    "last_name": "User",
    "referral_code": "refABC123",
    "referred_by_id": None,
}
PAYLOAD = json.dumps(BODY, sort_keys=True)


@pytest.fixture
def receiver() -> Iterator[str]:
    """The URL of a receiver in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "receiver.py"), str(port)])
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/reset", trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield url
    process.kill()
    process.wait()


def floor(receiver: str, in_flight: int) -> float:
    """Requests per second of the bare loop."""
    arguments = [receiver.rsplit(":", 1)[1], str(in_flight), str(SECONDS)]
    command = [sys.executable, str(HERE / "httpcore_floor.py"), *arguments]
    done = subprocess.run(command, capture_output=True, check=True)
    return float(done.stdout)


async def fill(database: str, receiver: str, webhooks: int, events: int) -> None:
    """Put pending deliveries into a new database: one for each event, the webhooks in turn."""
    config = {"url": f"{receiver}/hook", "format": "payload", "headers": {}}
    async with open_store(DatabaseSettings(url=database)) as store:
        for number in range(webhooks):
            new = NewEndpoint(
                f"w{number}", (f"bench.e{number}",), config, secret="whsec_" + "A" * 32
            )
            await store.write(partial(insert_one, new=new))
        batch = 1000
        for start in range(0, events, batch):
            numbers = range(start, min(events, start + batch))
            await store.write(partial(append_some, numbers=numbers, webhooks=webhooks))


def insert_one(tx: Any, new: NewEndpoint) -> None:
    insert_endpoint(tx, "webhook", new)


def append_some(tx: Any, numbers: range, webhooks: int) -> None:
    new_id = EventIds().new
    for number in numbers:
        event_type = f"bench.e{number % webhooks}"
        tx.append(Draft(new_id(tx.now), event_type, PAYLOAD, tx.now))


def settings(database: str, in_flight: int) -> dict[str, Any]:
    return {
        "database": {"url": database},
        "log": {"level": "warning"},
        "egress": {"allow": ["127.0.0.0/8"]},
        "delivery": {"concurrency": in_flight, "endpoint_concurrency": in_flight},
        "plugins": {"disabled": ["log"]},
    }


def stats(receiver: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{receiver}/stats", trust_env=False).json()
    return found


def drain(directory: Path, receiver: str, webhooks: int, in_flight: int) -> float:
    """Deliveries per second of a hub that finds them all pending at its start."""
    database = f"sqlite:///{directory / f'{webhooks}-{in_flight}-{time.monotonic_ns()}.db'}"
    trio.run(fill, database, receiver, webhooks, EVENTS)
    httpx.get(f"{receiver}/reset", trust_env=False)
    with HubProcess(directory, settings(database, in_flight)):
        deadline = time.monotonic() + 120
        while (found := stats(receiver))["count"] < EVENTS:
            assert time.monotonic() < deadline, found["count"]
            time.sleep(0.2)
    return (EVENTS - 1) / (found["last"] - found["first"])


def test_throughput(receiver: str, tmp_path: Path) -> None:
    """Claimed from SQLite, signed, sent, recorded."""
    rows = []
    for number in range(3):
        base = floor(receiver, 20)
        for webhooks, in_flight in ((1, 20), (1, 500), (1000, 500)):
            directory = tmp_path / f"{number}-{webhooks}-{in_flight}"
            directory.mkdir()
            rows.append(
                (webhooks, in_flight, base, drain(directory, receiver, webhooks, in_flight))
            )
    print(f"\n\nmedian of 3 rounds of {EVENTS:,} deliveries\n")
    print(
        f"floor (bare loop, 20 in flight), requests/s  {statistics.median(r[2] for r in rows):,.0f}"
    )
    first = None
    for webhooks, in_flight in ((1, 20), (1, 500), (1000, 500)):
        found = [row for row in rows if row[:2] == (webhooks, in_flight)]
        rate = statistics.median(row[3] for row in found)
        ratio = statistics.median(row[3] / row[2] for row in found)
        first = first or rate
        bound = "≥ 0.5" if in_flight == 20 else f"≥ 0.9 of the first: {rate / first:.2f}"
        kind = f"{webhooks:>5} webhooks, {in_flight:>3} in flight"
        print(f"{kind}: {rate:>8,.0f}/s  {ratio:.2f}  {bound}")


def test_latency(receiver: str, tmp_path: Path) -> None:
    """Commit to receipt on an idle hub, 100 events/s."""
    database = f"sqlite:///{tmp_path / 'latency.db'}"
    with HubProcess(tmp_path, settings(database, 100)) as hub:
        headers = {"Authorization": f"Bearer {hub.token}"}
        with httpx.Client(base_url=hub.url, headers=headers, trust_env=False) as client:
            body = {"name": "w", "url": f"{receiver}/hook", "event_type": "*", "secret": "s"}
            client.post("/webhooks", json=body).raise_for_status()
            client.post("/events", json={"type": "user.created", "payload": BODY})
            httpx.get(f"{receiver}/reset", trust_env=False)
            begin = time.monotonic()
            for number in range(1000):
                pause = begin + number * 0.01 - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
                payload = {**BODY, "sent": time.monotonic()}
                event = {"type": "user.created", "payload": payload}
                client.post("/events", json=event).raise_for_status()
            deadline = time.monotonic() + 30
            while (found := stats(receiver))["count"] < 1000:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    delays = sorted(found["delays"])
    p50, p99 = delays[500] * 1000, delays[990] * 1000
    print("\n\nfrom the begin of the POST to receipt, 100 events/s (commit included)\n")
    print(f"p50 {p50:.1f} ms (bound 5)   p99 {p99:.1f} ms (bound 25)")


WEBHOOKS = 1000
HANGING = 300
RATE = 100
PACED = 3000


def paced(hub: HubProcess, receiver: str, users: list[int]) -> list[float]:
    """Seconds from the begin of each POST to its receipt, at a steady rate."""
    httpx.get(f"{receiver}/reset", trust_env=False)
    headers = {"Authorization": f"Bearer {hub.token}"}
    healthy = 0
    with httpx.Client(base_url=hub.url, headers=headers, trust_env=False, timeout=30) as client:
        begin = time.monotonic()
        for number in range(PACED):
            pause = begin + number / RATE - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            user = users[number % len(users)]
            healthy += user >= HANGING
            payload = {**BODY, "user_id": user, "sent": time.monotonic()}
            event = {"type": "user.created", "payload": payload}
            client.post("/events", json=event).raise_for_status()
    deadline = time.monotonic() + 60
    while (found := stats(receiver))["count"] < healthy:
        assert time.monotonic() < deadline, (found["count"], healthy)
        time.sleep(0.1)
    return sorted(found["delays"])


def test_hanging_neighbours(receiver: str, tmp_path: Path) -> None:
    """The p95 of 700 healthy webhooks, without and with 300 that hang until their time-out."""
    database = f"sqlite:///{tmp_path / 'neighbours.db'}"
    with HubProcess(tmp_path, settings(database, 1000)) as hub:
        headers = {"Authorization": f"Bearer {hub.token}"}
        with httpx.Client(base_url=hub.url, headers=headers, trust_env=False) as client:
            for number in range(WEBHOOKS):
                path = "hang" if number < HANGING else "hook"
                body = {
                    "name": f"w{number}",
                    "url": f"{receiver}/{path}",
                    "event_type": "user.created",
                    "filter": {"user_id": number},
                    "secret": "s",
                }
                client.post("/webhooks", json=body).raise_for_status()
        everybody = [(number * 7919) % WEBHOOKS for number in range(WEBHOOKS)]
        alone = paced(hub, receiver, [user for user in everybody if user >= HANGING])
        among = paced(hub, receiver, everybody)
    print(f"\n\n{PACED:,} events at {RATE}/s to 1,000 webhooks, ms from POST to receipt\n")
    for name, delays in (("700 healthy alone", alone), ("with 300 that hang", among)):
        p50, p95, p99 = (delays[round(len(delays) * share)] * 1000 for share in (0.5, 0.95, 0.99))
        print(f"{name:20} p50 {p50:6.1f}   p95 {p95:6.1f}   p99 {p99:6.1f}")
    ratio = among[round(len(among) * 0.95)] / alone[round(len(alone) * 0.95)]
    print(f"p95 ratio {ratio:.2f} (bound 1.5)")


FAN_OUT = 4_000


def fan_out(directory: Path, receiver: str, webhooks: int) -> float:
    """Seconds of the hub's CPU for each delivery, from the POST of its event to its record."""
    database = f"sqlite:///{directory / f'fan-out-{webhooks}.db'}"
    with HubProcess(directory, settings(database, 100)) as hub:
        headers = {"Authorization": f"Bearer {hub.token}"}
        with httpx.Client(base_url=hub.url, headers=headers, trust_env=False) as client:
            for number in range(webhooks):
                body = {"name": f"w{number}", "url": f"{receiver}/hook", "event_type": "*"}
                client.post("/webhooks", json={**body, "secret": "s"}).raise_for_status()
            httpx.get(f"{receiver}/reset", trust_env=False)
            begin = cpu_seconds(hub.pid)
            for _ in range(FAN_OUT // webhooks):
                event = {"type": "user.created", "payload": BODY}
                client.post("/events", json=event).raise_for_status()
            deadline = time.monotonic() + 60
            while client.get("/webhooks/stats").json()["successful_deliveries"] < FAN_OUT:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            return (cpu_seconds(hub.pid) - begin) / FAN_OUT


def test_fan_out(receiver: str, tmp_path: Path) -> None:
    """One event to ten webhooks against one event to one."""
    rounds = []
    for number in range(3):
        directory = tmp_path / str(number)
        directory.mkdir()
        rounds.append((fan_out(directory, receiver, 1), fan_out(directory, receiver, 10)))
    one, ten = (statistics.median(costs) * 1e6 for costs in zip(*rounds, strict=True))
    ratio = statistics.median(ten / one for one, ten in rounds)
    print(f"\n\nthe hub's CPU for each of {FAN_OUT:,} deliveries, its event's POST included\n")
    print(f"one event to one webhook   {one:6.0f} µs")
    print(f"one event to ten webhooks  {ten:6.0f} µs   ratio {ratio:.2f} (bound 0.8)")


BACKLOG = 1_000_000
SOME = 1_000


class Start(NamedTuple):
    """How a hub started with a backlog, and went on."""

    seconds: float
    rate: float
    """Deliveries per second."""
    memory: float
    """MB."""


def backlog(directory: Path, receiver: str, database: str, count: int) -> Start:
    """Start a hub and let it make so many of the pending deliveries."""
    httpx.get(f"{receiver}/reset", trust_env=False)
    begin = time.monotonic()
    with HubProcess(directory, settings(database, 100)) as hub:
        started = time.monotonic() - begin
        deadline = time.monotonic() + 120
        while (found := stats(receiver))["count"] < count:
            assert time.monotonic() < deadline, found["count"]
            time.sleep(0.02)
        used = memory(hub.pid) / 1e6
    return Start(started, (found["count"] - 1) / (found["last"] - found["first"]), used)


def test_backlog(receiver: str, tmp_path: Path) -> None:
    """A million pending deliveries against a thousand."""
    few = []
    for number in range(5):
        database = f"sqlite:///{tmp_path / f'few-{number}.db'}"
        trio.run(fill, database, receiver, 100, SOME)
        few.append(backlog(tmp_path, receiver, database, SOME))
    database = f"sqlite:///{tmp_path / 'many.db'}"
    trio.run(fill, database, receiver, 100, BACKLOG)
    many = [backlog(tmp_path, receiver, database, SOME) for _ in range(5)]
    long = backlog(tmp_path, receiver, database, 20 * SOME)
    cost = statistics.median(item.rate for item in few) / statistics.median(
        item.rate for item in many
    )
    start, usual = (statistics.median(item.seconds for item in items) for items in (many, few))
    print(f"\n\n{BACKLOG:,} pending deliveries of 100 webhooks, medians of five starts\n")
    print(f"start-up                   {start:6.2f} s   (bound 3 s; with {SOME:,}: {usual:.2f} s)")
    print(f"cost of a delivery         {cost:6.2f} times that with {SOME:,} (bound 1.3)")
    print(f"memory after {20 * SOME:,}        {long.memory:6.0f} MB  (bound 250)")
